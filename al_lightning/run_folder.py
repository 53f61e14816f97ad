"""What a run leaves on disk. This module alone writes there, and only while it holds the lock.

A round is committed by one rename of `rounds/.007` to `rounds/007`. `rounds.csv` and `queries.csv` are views over the
committed rounds, written anew after each.
"""

import fcntl
import io
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from al_lightning import rounds
from al_lightning.disk import sync
from al_lightning.errors import ConfigError, UserError
from al_lightning.rounds import DamagedError, Masks, Round, read_json, to_csv

SET_ASIDE = "set-aside"
VIEWS = ("config.yaml", "rounds.csv", "queries.csv")
SWEEPS = ".sweep"  # in a study: a folder for each sweep that runs
LISTING = "images.csv.gz"
OWN = re.compile(r"\.\d{3,}(\.old)?")  # in `rounds`: a round that is being written, and the one that it replaces
HOLDER = ".holder"  # who has it open; one that is left says that its process was killed


class LockedError(UserError):
    """Another process holds the run folder."""


class WriteError(UserError):
    """The disk is full or cannot be written; what was committed stands."""


class RunFolder:
    """A run folder, locked while it is open: `with RunFolder(path) as folder: ...`.

    Opening it mends what a crash has left: half-written files go, damaged rounds and those after them are named and
    moved to `set-aside/`.

    Args:
        path: the folder.
        overwrite: begin anew; a folder that is there is moved to `set-aside/` of the study first.

    Attributes:
        path: the folder.
        rounds: the committed rounds, in order, without their masks and weights.

    Raises:
        LockedError: another process has it open.
        ConfigError: the folder cannot be made.
        WriteError: it cannot be written to.
        UserError: it holds links, which could lead out of it.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path, self.overwrite = path, overwrite
        self.rounds: list[Round] = []

    def __enter__(self) -> "RunFolder":
        try:
            is_new = not self.path.exists()
            self._lock()
            if self.overwrite and is_new:
                print(f"overwrite=true: {self.path} is new, there was nothing to move")
            elif self.overwrite:
                old = _set_aside(self.path, self.path.parent / SET_ASIDE)
                print(f"{self.path}: what was there is now {old}")
                self._file.close()
                self._lock()
        except OSError as error:
            raise ConfigError(f"paths.output_root: cannot write to {self.path}: {error.strerror}") from error
        try:
            self._refuse_links()
            with self._writing("its state"):
                (self.path / "rounds").mkdir(exist_ok=True)
                holder = {"pid": os.getpid(), "host": socket.gethostname()}
                self._replace(HOLDER, json.dumps(holder).encode())
                self._mend()
                self.write_views()  # the last process may have died between a commit and its views
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):
            (self.path / HOLDER).unlink(missing_ok=True)
        self._file.close()

    def write_config(self, text: str) -> None:
        """Write `config.yaml`."""
        with self._writing("config.yaml"):
            self._replace("config.yaml", text.encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`."""
        with self._writing("summary.json"):
            self._replace("summary.json", (json.dumps(summary, indent=2) + "\n").encode())

    def write_listing(self, listing: bytes) -> None:
        """Write `images.csv.gz`: the images that the run was made with, see :mod:`al_lightning.data.listing`."""
        with self._writing(LISTING):
            self._replace(LISTING, listing)

    def write_rejected(self, rejected: Sequence[tuple[str, str]]) -> None:
        """Write `rejected.csv`: files of the data set that were left out, and why; no file where there are none."""
        self._write_table("rejected.csv", ("path", "reason"), rejected)

    def write_duplicates(self, duplicates: Sequence[tuple[int, str, str, str]]) -> None:
        """Write `duplicates.csv`: the groups of images that look alike to the model; no file where there are none."""
        self._write_table("duplicates.csv", ("group", "part", "class", "path"), duplicates)

    def write_pool(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write `pool.npz`: what a report shows of the pool, see :func:`al_lightning.evidence.pool_map`."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        with self._writing("pool.npz"):
            self._replace("pool.npz", buffer.getvalue())

    def masks(self, number: int) -> Masks:
        """The masks of a committed round."""
        return rounds.read_masks(self.path / "rounds" / f"{number:03d}" / "masks.npz")

    def commit(self, done: Round) -> None:
        """Commit a round: after this call it survives a crash, before it nothing of it is seen.

        Raises:
            WriteError: it could not be written; the rounds before it stand.
        """
        target = self.path / "rounds" / f"{done.number:03d}"
        part, old = target.with_name(f".{target.name}"), target.with_name(f".{target.name}.old")
        with self._writing(f"round {done.number}"):
            try:
                part.mkdir()
                for name, data in rounds.to_files(done).items():
                    _write(part / name, data)
                sync(part)
            except OSError:
                shutil.rmtree(part, ignore_errors=True)  # on a full disk, room for the summary
                raise
            if target.exists():  # a last round, run again to go on
                target.rename(old)
            part.rename(target)
            sync(target.parent)
        self.rounds[done.number :] = [replace(done, evidence=None, masks=None, weights=None)]
        shutil.rmtree(old, ignore_errors=True)
        self.write_views()

    def write_views(self) -> None:
        """Write `rounds.csv` and `queries.csv` from the committed rounds."""
        rows = [round_.row for round_ in self.rounds]
        queries = [query for round_ in self.rounds for query in round_.queries]
        with self._writing("rounds.csv"):
            if rows:
                self._replace("rounds.csv", to_csv(list(rows[0]), rows))
                self._replace("queries.csv", to_csv(rounds.QUERY_COLUMNS, queries))
            else:
                for name in ("rounds.csv", "queries.csv"):
                    (self.path / name).unlink(missing_ok=True)

    def _write_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with self._writing(name):
            if rows:
                self._replace(name, to_csv(columns, [dict(zip(columns, row, strict=True)) for row in rows]))
            else:
                (self.path / name).unlink(missing_ok=True)

    def _lock(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        # Not through a link: the folder may come from elsewhere.
        self._file = os.fdopen(os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._file.fileno()), (self.path / ".lock").stat()):
                raise BlockingIOError  # set aside by another process between the two lines above
        except (BlockingIOError, FileNotFoundError):
            self._file.close()
            holder = read_json(self.path / HOLDER)
            who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
            raise LockedError(f"{self.path}: {who} is at this run; wait for it to end, or stop it") from None

    def _refuse_links(self) -> None:
        for parent, folders, files in os.walk(self.path):
            for name in (*folders, *files):
                if (Path(parent) / name).is_symlink():
                    raise UserError(f"{Path(parent) / name}: a link, which a run folder must not hold; remove it")

    def _mend(self) -> None:
        for left_over in (self.path / "rounds").glob(".*"):
            if not OWN.fullmatch(left_over.name):
                continue  # of a file manager or a file system: .DS_Store, ._001, .nfs...
            whole = left_over.with_name(left_over.name.strip(".").removesuffix(".old"))
            if left_over.suffix == ".old" and not whole.exists():  # killed between the two renames of a commit
                left_over.rename(whole)
            else:
                shutil.rmtree(left_over)
        self.rounds, damage = committed(self.path)
        if not damage:
            return
        stands = f"going on after round {len(self.rounds) - 1}" if self.rounds else "beginning anew"
        print(f"warning: {self.path}/rounds/{damage}; {stands}", file=sys.stderr)
        for folder in rounds.folders(self.path)[len(self.rounds) :]:
            _set_aside(folder, self.path / SET_ASIDE)

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            stands = f"its {len(self.rounds)} rounds stand" if self.rounds else "no round was committed yet"
            raise WriteError(
                f"{self.path}: {what} could not be written: {error.strerror}; {stands}. "
                "Mend that and give the same command again"
            ) from error

    def _replace(self, name: str, data: bytes) -> None:
        part = self.path / f".{name}.part"
        part.unlink(missing_ok=True)
        _write(part, data)
        part.replace(self.path / name)
        sync(self.path)


def lacking(path: Path, n_rounds: int) -> str:
    """What is missing of a run that has finished, or was not closed; nothing if all is there and as it was written.

    Args:
        path: the run folder.
        n_rounds: that it had.
    """
    if (path / HOLDER).exists():
        return "its last process was killed"
    rounds_, damage = committed(path)
    if damage:
        return f"rounds/{damage}"
    if len(rounds_) < n_rounds:
        return f"rounds/{len(rounds_):03d} is missing"
    return next((f"{name} is missing" for name in VIEWS if not (path / name).is_file()), "")


def is_open(path: Path) -> bool:
    """Whether a process has a run folder open, on whatever machine: the lock is free when it ends, however it ends.

    Raises:
        OSError: the lock cannot be asked.
    """
    try:
        lock = os.open(path / ".lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)  # at once: a run that goes on takes it
    return False


def is_whole(path: Path) -> bool:
    """Whether the last process closed the folder, and every round in it is what was written."""
    return not (path / HOLDER).exists() and not committed(path)[1]


def committed(path: Path) -> tuple[list[Round], str]:
    """Read the committed rounds of a run folder.

    Returns:
        The rounds in order, up to the first that is missing or damaged; and what is wrong with that one, empty where
        nothing is.
    """
    found: list[Round] = []
    for folder in rounds.folders(path):
        try:
            if folder.name != f"{len(found):03d}":
                raise DamagedError(f"round {len(found)} is missing before it")
            found.append(rounds.read(folder))
        except DamagedError as error:
            return found, f"{folder.name}: {error}"
    return found, ""


def _set_aside(folder: Path, place: Path) -> Path:
    """Move a folder into another, under a name that is free there; returns where it is now."""
    place.mkdir(exist_ok=True)
    number = 1
    while (target := place / f"{folder.name}.{number}").exists():
        number += 1
    return folder.rename(target)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
