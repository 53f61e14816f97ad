"""What is in files, seen with as little reading as can be, and whose fault it is where nothing is seen."""

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, file_digest
from io import BufferedReader
from pathlib import Path

from al_lightning.data.cache_folder import File, Manifest
from al_lightning.data.decode import reason
from al_lightning.data.threads import in_threads
from al_lightning.errors import DataError

# A file may change twice within a tick of the file system's clock: with times as close to the look at it as this, it
# is read again.
RACY_NS = 2_000_000_000

CHANGED = "it changed while it was read"


class NoFileError(OSError):
    """Something else than a file has the name of one."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "not a regular file")


@dataclass(frozen=True)
class Seen:
    """What a look has found.

    Attributes:
        files: state and content of every file that can be read, by path.
        refused: why not of those that are no files.
        failed: why not of those that the machine fails to read.
    """

    files: Mapping[str, File]
    refused: Mapping[str, str]
    failed: Mapping[str, str]


def look(base: Path, paths: Sequence[str], known: Manifest) -> Seen:
    """Look at files, and read those that are not as they were."""

    def one(path: str) -> File | OSError:
        try:
            # Before it is opened: with some devices, opening alone does something.
            state = state_of((base / path).stat())
            before = known.files.get(path)
            if before and before[:4] == state and before.ctime_ns + RACY_NS < known.looked_ns:
                return before
            with open_at(base / path) as file:
                state = state_of(os.fstat(file.fileno()))
                return File(*state, file_digest(file, lambda: blake2b(digest_size=16)).hexdigest())
        except OSError as error:
            return error

    found = dict(zip(paths, in_threads(one, paths, "look at images"), strict=True))
    return Seen(
        {path: each for path, each in found.items() if isinstance(each, File)},
        {path: reason(each) for path, each in found.items() if isinstance(each, NoFileError)},
        {
            path: reason(each)
            for path, each in found.items()
            if isinstance(each, OSError) and not isinstance(each, NoFileError)
        },
    )


def state_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Size, times and inode.

    Raises:
        NoFileError: this is no file.
    """
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise NoFileError
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def open_at(path: Path) -> BufferedReader:
    """Open for reading without waiting, whatever the path has become by now."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")


def check_all_read(base: Path, n_paths: int, failed: Mapping[str, str]) -> None:
    """Refuse to go on without files that another look may find whole: results would depend on the hour.

    Args:
        base: the root.
        n_paths: how many files there are.
        failed: why the machine failed to read a file, by path.

    Raises:
        DataError: there are such files.
    """
    if failed:
        path = min(failed)
        raise DataError(
            f"{base}: {len(failed)} of {n_paths} files cannot be read now, the first of them {path}: {failed[path]}. "
            "The machine is at fault and not what is in the files: see to permissions, drive, network and memory, or "
            "delete the files, and run again."
        )
