"""The lock of a run folder: one process at a time, on whatever machine, until it ends, however it ends.

By flock, on a file that stays. Linux sends it to an NFS server as a lock of the file's bytes, unless the mount keeps
locks to itself: then a machine sees none of the others, and what another one has left is not touched.
"""

import fcntl
import os
import re
import socket
from io import BufferedRandom
from pathlib import Path

from al_lightning.errors import UserError
from al_lightning.runs.rounds import read_json

FILE = ".lock"
HOLDER = ".holder"  # who has it open; one that is left says that its process was killed


class LockedError(UserError):
    """Another process holds the run folder.

    Attributes:
        who: which one, as far as it is known.
    """

    def __init__(self, folder: Path) -> None:
        holder = read_json(folder / HOLDER)
        self.who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        super().__init__(f"{folder}: {self.who} runs it; wait for it to end, or stop it")


def take(folder: Path) -> BufferedRandom:
    """Make a folder if there is none, and lock it until the file that is returned is closed.

    Raises:
        LockedError: another process has it.
        UserError: another machine may have it, and its lock cannot be seen from here.
        OSError: it cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Not through a link: the folder may come from elsewhere.
    file = os.fdopen(os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file.fileno()), (folder / FILE).stat()):
            raise BlockingIOError  # set aside by another process between the two lines above
    except (BlockingIOError, FileNotFoundError):
        file.close()
        raise LockedError(folder) from None
    holder = read_json(folder / HOLDER)
    if holder and holder["host"] != socket.gethostname() and (option := keeps_locks(folder)):
        file.close()
        raise UserError(
            f"{folder}: process {holder['pid']} on {holder['host']} may have it open: the mount has {option}, so its "
            f"lock is not seen here. Mount it without that; or, if the process has ended, remove {folder / HOLDER}"
        )
    return file


def keeps_locks(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The option of a folder's mount for which a lock is seen on this machine alone; empty where there is none.

    Args:
        folder: to look at.
        mounts: what is mounted, as Linux tells it; other systems do not.
    """
    device = folder.stat().st_dev
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    mine = [line for line in lines if line.split()[2] == f"{os.major(device)}:{os.minor(device)}"]
    found = re.search(r"\b(local_lock=(?:all|flock)|nolock|localflock)\b", " ".join(mine))
    return found[1] if found else ""


def is_open(path: Path) -> bool:
    """Whether a process has a run folder open, on whatever machine: the lock is free when it ends, however it ends.

    Raises:
        OSError: the lock cannot be asked.
    """
    try:
        lock = os.open(path / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)  # at once: a run that goes on takes it
    return False
