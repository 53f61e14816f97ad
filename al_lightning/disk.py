"""What makes a write last."""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, data: bytes) -> None:
    """Write a new file, so that it survives a crash."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """Put a file in place of the one of that name, at once."""
    part = folder / f".{name}.part"
    part.unlink(missing_ok=True)
    write(part, data)
    part.replace(folder / name)
    sync(folder)


def swap(part: Path, target: Path) -> None:
    """Put a folder that is on the disk in place of another, which is `.name.old` until it is gone."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    part.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def place(target: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder with files in place of the one of that name, from `.name`."""
    part = target.with_name(f".{target.name}")
    try:
        part.mkdir()
        for name, data in files.items():
            write(part / name, data)
        sync(part)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)  # on a full disk, room for what is written next
        raise
    swap(part, target)


def look_anew(folder: Path) -> None:
    """Have a client of NFS, which keeps what it knows of a folder for a while, ask again: it has changed it itself."""
    with suppress(OSError):  # where nothing can be written, nothing is expected of others
        (look := folder / f".look-{os.getpid()}").touch()
        look.unlink()


@contextmanager
def alone(file: Path, waiting: str) -> Iterator[None]:
    """Hold a lock, on a file that stays; where another process has it, say so and wait."""
    how = fcntl.LOCK_EX
    try:  # NFS gives nobody for himself what he has not opened for writing
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # what is complete can be used where nothing can be written
        handle, how = os.open(file, os.O_RDONLY | os.O_CREAT, 0o666), fcntl.LOCK_SH
    try:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            print(waiting, file=sys.stderr)
            fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
