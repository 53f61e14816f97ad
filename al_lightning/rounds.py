"""A committed round: what it holds, and how it lies on disk.

Plain CSV, JSON, NPZ and safetensors under checksums: nothing is pickled, and nothing is read that leads elsewhere.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

QUERY_COLUMNS = ("round", "rank", "index", "id", "score", "label", "predicted")
CHECKSUMS = "SHA256SUMS"
FILES = ("measures.json", "environment.json", "queries.csv", "confusion.csv", "masks.npz")
WEIGHTS = "model.safetensors"  # of the last round only


class DamagedError(Exception):
    """A round that cannot be trusted; says which file and why."""


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
        environment: what the bits of a result depend on besides the settings: threads, device, versions, images.
        weights: tensors of the model by name, or None where they are not kept.
    """

    row: dict[str, Any]
    queries: list[dict[str, Any]]
    confusion: np.ndarray
    labeled_since: np.ndarray
    val_mask: np.ndarray
    environment: dict[str, Any]
    weights: Mapping[str, Any] | None = None

    @property
    def number(self) -> int:
        """Position among the rounds, from 0."""
        return self.row["round"]


def to_files(done: Round) -> dict[str, bytes]:
    """The files of a round by name, their checksums last."""
    files = {
        "measures.json": json.dumps(done.row, indent=2).encode(),
        "environment.json": json.dumps(done.environment, indent=2).encode(),
        "queries.csv": to_csv(QUERY_COLUMNS, done.queries),
        "confusion.csv": to_csv(range(len(done.confusion)), [dict(enumerate(row)) for row in done.confusion.tolist()]),
        "masks.npz": _to_npz(done.labeled_since, done.val_mask),
    }
    if done.weights is not None:
        from safetensors.torch import save

        files[WEIGHTS] = save({name: tensor.contiguous() for name, tensor in done.weights.items()})
    sums = "".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return {**files, CHECKSUMS: sums.encode()}


def folders(run: Path) -> list[Path]:
    """The folders of the rounds of a run, by number."""
    return sorted((run / "rounds").glob("[0-9]*"), key=lambda folder: (len(folder.name), folder.name))


def read(folder: Path) -> Round:
    """Read a round, without its weights.

    Raises:
        DamagedError: a file is missing, or is not what was written.
    """
    verify(folder)
    name = ""
    try:
        row = json.loads((folder / (name := "measures.json")).read_text())
        environment = json.loads((folder / (name := "environment.json")).read_text())
        with (folder / (name := "queries.csv")).open(newline="") as file:
            queries = list(csv.DictReader(file))
        with (folder / (name := "confusion.csv")).open(newline="") as file:
            confusion = np.array(list(csv.reader(file))[1:], dtype=np.int64)
        with np.load(folder / (name := "masks.npz"), allow_pickle=False) as masks:
            labeled_since, val_mask = masks["labeled_since"].astype(np.int64), masks["val_mask"].astype(bool)
        if row["round"] != int(folder.name) or not isinstance(environment, dict):
            raise ValueError("of another round")
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:  # its checksum is right: not written by us
        raise DamagedError(f"{name} cannot be read: {error}") from error
    return Round(row, queries, confusion, labeled_since, val_mask, environment)


def verify(folder: Path) -> None:
    """Hold every file of a round against the checksum that was written with it.

    Raises:
        DamagedError: names the first that differs.
    """
    try:
        text = (folder / CHECKSUMS).read_text()
    except (OSError, ValueError) as error:
        raise DamagedError(f"{CHECKSUMS} cannot be read: {_reason(error)}") from error
    sums = [line.partition("  ")[::2] for line in text.splitlines()]
    if lacking := set(FILES) - {name for _, name in sums}:
        raise DamagedError(f"{CHECKSUMS} lacks {', '.join(sorted(lacking))}")
    for digest, name in sums:
        path = folder / name
        if Path(name).name != name or path.is_symlink():
            raise DamagedError(f"{name!r} leads out of the folder")
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            raise DamagedError(f"{name} cannot be read: {_reason(error)}") from error
        if sha256(data).hexdigest() != digest:
            raise DamagedError(f"{name} is not what was written: its checksum differs")


def to_csv(columns: Sequence[Any] | range, rows: Sequence[Mapping[Any, Any]]) -> bytes:
    """A table as CSV; empty where a row lacks a column."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is no readable one."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _to_npz(labeled_since: np.ndarray, val_mask: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, labeled_since=labeled_since, val_mask=val_mask)
    return buffer.getvalue()
