"""What the jobs of a sweep share, by files in its folder: run folders, runs and GPUs, each for one of them at a time.

Locks are of the kernel, by flock: they end with the process, however it ends.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from al_lightning.command.sweep import prefix


@contextmanager
def alive(folder: Path, number: int) -> Iterator[None]:
    """Hold what :func:`n_alive` counts.

    Args:
        folder: of the sweep.
        number: of the job.
    """
    with _open(folder, f"{number}.alive") as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # shared: an earlier process of this job may not have ended yet
        yield


def n_alive(folder: Path) -> int:
    """Jobs that run now, on whatever machine."""
    return sum(_is_held(file) for file in folder.glob("*.alive"))


@contextmanager
def turn(folder: Path, run: Path) -> Iterator[None]:
    """Hold a run folder against the other jobs of this sweep: those of one folder wait for each other.

    Args:
        folder: of the sweep.
        run: the run folder.
    """
    with _open(folder, f"{_digest(str(run.resolve()))}.turn") as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{prefix()}waits for another job of this sweep to end: it runs {run}", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def claim(folder: Path, run: str, number: int) -> bool:
    """Whether no other job of this sweep has come to the same run before.

    Args:
        folder: of the sweep.
        run: its folder and length.
        number: of the job. One that a cluster begins again, after it was preempted, has its claim still.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_digest(run)}.claim"
    try:
        path.symlink_to(str(number))  # there with what it says, or not at all
        return True
    except FileExistsError:
        return str(path.readlink()) == str(number)


@contextmanager
def gpu(n_gpus: int, folder: Path | None, each: int = 1) -> Iterator[int]:
    """The first GPU for a job, so that jobs at the same time are spread evenly over those of a machine.

    A job holds the lowest slot that is free. Jobs that take different numbers of GPUs do not see each other.

    Args:
        n_gpus: how many there are to choose from.
        folder: of the sweep; None for a run, which takes the first.
        each: GPUs that a job takes.
    """
    slot, groups, size = 0, n_gpus // each, f"-{each}" if each > 1 else ""
    while folder is not None and groups > 1:
        with _open(folder, f"{socket.gethostname()}{size}-{slot}.slot") as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                slot += 1
                continue
            yield slot % groups * each
            return
    yield 0


@contextmanager
def _open(folder: Path, name: str) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)  # somebody may have cleared up while the sweep runs
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_held(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDWR)  # NFS locks for oneself only what is open for writing
    except OSError:  # somebody has cleared up
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
