"""The lock of a run folder: one process at a time, on whatever machine, until it ends, however it ends.

By flock, on a file that stays; on NFS the server has to support it.
"""

import fcntl
import os
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
    return file


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
