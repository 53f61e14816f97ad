"""What a run leaves on disk. This module alone writes there, and only while it holds the lock.

A round is committed by one rename of `rounds/.007` to `rounds/007`. `rounds.csv` and `queries.csv` are views over the
committed rounds, written anew after each. Plain CSV, JSON, NPZ and safetensors: nothing is pickled.
"""

import csv
import fcntl
import io
import json
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from al_lightning.errors import ConfigError, UserError

QUERY_COLUMNS = ("round", "rank", "index", "id", "score", "label", "predicted")
CHECKSUMS = "SHA256SUMS"


class LockedError(UserError):
    """Another process holds the run folder."""


@dataclass(frozen=True)
class Round:
    """One committed round.

    Attributes:
        row: of `rounds.csv`, by column.
        queries: of `queries.csv`, by column; empty in the last round.
        confusion: `int64 [K, K]`, rows are true classes.
        labeled_since: `int64 [N]`, the first round that trains on an image, -1 for unlabeled ones; the answers to
            this round's query are in it.
        val_mask: `bool [N]`.
        weights: tensors of the model by name, or None where they are not kept.
    """

    row: dict[str, Any]
    queries: list[dict[str, Any]]
    confusion: np.ndarray
    labeled_since: np.ndarray
    val_mask: np.ndarray
    weights: Mapping[str, Any] | None = None

    @property
    def number(self) -> int:
        """Position among the rounds, from 0."""
        return self.row["round"]


class RunFolder:
    """A run folder, locked while it is open: `with RunFolder(path) as folder: ...`.

    Attributes:
        path: the folder.
        rounds: the committed rounds, in order, without their weights.

    Raises:
        LockedError: another process has it open.
        ConfigError: the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "RunFolder":
        try:
            (self.path / "rounds").mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("a+b")
        except OSError as error:
            raise ConfigError(f"paths.output_root: cannot write to {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            holder = read_json(self.path / ".holder")
            who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
            raise LockedError(f"{self.path}: {who} is at this run; wait for it to end, or stop it") from None
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        self._replace(".holder", json.dumps(holder).encode())
        for left_over in (self.path / "rounds").glob(".*"):
            shutil.rmtree(left_over)
        self.rounds = committed(self.path)
        self.write_views()  # the last process may have died between a commit and its views
        return self

    def __exit__(self, *exception: object) -> None:
        (self.path / ".holder").unlink(missing_ok=True)
        self._lock.close()

    def write_config(self, text: str) -> None:
        """Write `config.yaml`."""
        self._replace("config.yaml", text.encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`."""
        self._replace("summary.json", (json.dumps(summary, indent=2) + "\n").encode())

    def write_rejected(self, rejected: Sequence[tuple[str, str]]) -> None:
        """Write `rejected.csv`: files of the data set that were left out, and why."""
        if rejected:
            rows = [{"path": path, "reason": reason} for path, reason in rejected]
            self._replace("rejected.csv", _to_csv(("path", "reason"), rows))

    def write_duplicates(self, duplicates: Sequence[tuple[int, str, str, str]]) -> None:
        """Write `duplicates.csv`: equal images that are in train and in test, or in more than one class."""
        if duplicates:
            columns = ("group", "part", "class", "path")
            rows = [dict(zip(columns, row, strict=True)) for row in duplicates]
            self._replace("duplicates.csv", _to_csv(columns, rows))

    def commit(self, done: Round) -> None:
        """Commit a round: after this call it survives a crash, before it nothing of it is seen."""
        del self.rounds[done.number :]  # a last round, run again to go on
        target = self.path / "rounds" / f"{done.number:03d}"
        part = target.with_name(f".{target.name}")
        part.mkdir()
        contents = {
            "measures.json": json.dumps(done.row, indent=2).encode(),
            "queries.csv": _to_csv(QUERY_COLUMNS, done.queries),
            "confusion.csv": _to_csv(
                range(len(done.confusion)), [dict(enumerate(row)) for row in done.confusion.tolist()]
            ),
            "masks.npz": _to_npz(labeled_since=done.labeled_since, val_mask=done.val_mask),
        }
        if done.weights is not None:
            from safetensors.torch import save

            contents["model.safetensors"] = save({name: tensor.contiguous() for name, tensor in done.weights.items()})
        sums = "".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in contents.items())
        for name, data in {**contents, CHECKSUMS: sums.encode()}.items():
            _write(part / name, data)
        _sync(part)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
        _sync(target.parent)
        self.rounds.append(replace(done, weights=None))
        self.write_views()

    def write_views(self) -> None:
        """Write `rounds.csv` and `queries.csv` from the committed rounds."""
        rows = [round_.row for round_ in self.rounds]
        if not rows:
            for name in ("rounds.csv", "queries.csv"):
                (self.path / name).unlink(missing_ok=True)
            return
        self._replace("rounds.csv", _to_csv(list(rows[0]), rows))
        self._replace(
            "queries.csv", _to_csv(QUERY_COLUMNS, [query for round_ in self.rounds for query in round_.queries])
        )

    def _replace(self, name: str, data: bytes) -> None:
        part = self.path / f".{name}.part"
        _write(part, data)
        part.replace(self.path / name)
        _sync(self.path)


def committed(path: Path) -> list[Round]:
    """Read the committed rounds of a run folder, in order, up to the first that is missing or damaged."""
    rounds = []
    while (folder := path / "rounds" / f"{len(rounds):03d}").is_dir() and is_intact(folder):
        with np.load(folder / "masks.npz", allow_pickle=False) as masks:
            labeled_since, val_mask = masks["labeled_since"], masks["val_mask"]
        with (folder / "confusion.csv").open(newline="") as file:
            confusion = np.array(list(csv.reader(file))[1:], dtype=np.int64)
        with (folder / "queries.csv").open(newline="") as file:
            queries = list(csv.DictReader(file))
        row = json.loads((folder / "measures.json").read_text())
        rounds.append(Round(row, queries, confusion, labeled_since, val_mask))
    return rounds


def is_intact(folder: Path) -> bool:
    """Whether every file of a committed round has the checksum that was written with it."""
    try:
        sums = [line.split("  ", 1) for line in (folder / CHECKSUMS).read_text().splitlines()]
        return bool(sums) and all(sha256((folder / name).read_bytes()).hexdigest() == digest for digest, name in sums)
    except (OSError, ValueError):
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is no readable one."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _to_csv(columns: Sequence[Any] | range, rows: Sequence[Mapping[Any, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _to_npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
