"""A committed round: what it holds, and how it lies on disk.

Plain CSV, JSON, NPZ and safetensors under checksums: nothing is pickled, and nothing is read that leads elsewhere.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

COMMITTED_COLUMNS = ("round", "rank", "index", "id", "score", "predicted", "predicted_name", "use")  # before answers
QUERY_COLUMNS = ("round", "rank", "index", "id", "score", "label", "predicted", "label_name", "predicted_name", "use")
INITIAL = "initial"  # the folder of what is asked before round 0
CHECKSUMS = "SHA256SUMS"
FILES = ("measures.json", "environment.json", "queries.csv", "confusion.csv")
SCORES, STRIP = "scores.csv", "queries.png"  # of rounds with a query; scores.csv only where the strategy has scores
PROFILE = "profile.csv"  # where train.profile asks for it
MASKS = "masks.npz"  # of rounds of format 1
# Columns of `rounds.csv`; format 1 had no `n_skipped`.
FIRST = {"round": -1, "n_labeled": 0, "n_paid": 0, "n_skipped": 0}
WEIGHTS = "model.safetensors"  # of the last round only
CALIBRATION = "calibration.json"  # likewise, where there were labels for it


class DamagedError(Exception):
    """A round that cannot be trusted; says which file and why."""


@dataclass(frozen=True)
class Diagnostics:
    """What a report shows of a round; a run never reads it back.

    Attributes:
        reliability: `float64 [15, 3]`, see :func:`al_lightning.models.measures.measure`.
        scores: `float64 [40, 4]`, see :func:`al_lightning.runs.diagnostics.score_histogram`; None where there are none.
        strip: PNG of the first queried images; None in the last round.
    """

    reliability: np.ndarray
    scores: np.ndarray | None = None
    strip: bytes | None = None


@dataclass(frozen=True)
class Round:
    """One committed round.

    Attributes:
        row: of `rounds.csv`, by column.
        queries: of `queries.csv`, by column, with the answers that there are; empty in the last round.
        confusion: `int64 [K, K]`, rows are true classes.
        classes: K names.
        environment: what the bits of a result depend on besides the settings: threads, device, versions, images, and
            `ledger`, the position up to which the fit saw answers.
        diagnostics: until it is committed: after that it is on disk, and 150 rounds cost no memory.
        weights: tensors of the model by name, where they are to be kept; likewise.
        operations: what the round spent its time on, see :func:`al_lightning.profiling.profiled`; likewise.
        calibration: the `temperature` that the logits of the model are divided by, and the number `n` of labels that
            it comes from; likewise.
    """

    row: dict[str, Any]
    queries: list[dict[str, Any]]
    confusion: np.ndarray
    classes: Sequence[str]
    environment: dict[str, Any]
    diagnostics: Diagnostics | None = None
    weights: Mapping[str, Any] | None = None
    operations: Sequence[Mapping[str, Any]] = ()
    calibration: Mapping[str, Any] | None = None

    @property
    def number(self) -> int:
        """Position among the rounds, from 0."""
        return self.row["round"]


def to_files(done: Round) -> dict[str, bytes]:
    """The files of a round by name, their checksums last."""
    files = {} if done.diagnostics is None else _diagnostic_files(done.diagnostics)
    if done.operations:
        files[PROFILE] = to_csv(list(done.operations[0]), done.operations)
    if done.weights is not None:
        from safetensors.torch import save

        files[WEIGHTS] = save({name: tensor.contiguous() for name, tensor in done.weights.items()})
    if done.calibration is not None:
        files[CALIBRATION] = json.dumps(dict(done.calibration)).encode()
    # What every round has comes last, so that checksums that are cut short lack it.
    files |= {
        "measures.json": json.dumps(done.row, indent=2).encode(),
        "environment.json": json.dumps(done.environment, indent=2).encode(),
        "queries.csv": query_file(done.queries),
        "confusion.csv": _confusion_file(done),
    }
    return with_checksums(files)


def query_file(queries: Sequence[Mapping[str, Any]]) -> bytes:
    """What is committed of a query: all but the answers."""
    return to_csv(COMMITTED_COLUMNS, [{name: row.get(name, "") for name in COMMITTED_COLUMNS} for row in queries])


def with_checksums(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a commit with the sums that they are held against later, which come last."""
    sums = "".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return {**files, CHECKSUMS: sums.encode()}


def _confusion_file(done: Round) -> bytes:
    """A row a true class and a column a predicted one, both by name; names may be any, `true` too."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true", *done.classes])
    writer.writerows([name, *row] for name, row in zip(done.classes, done.confusion.tolist(), strict=True))
    return text.getvalue().encode()


def read_confusion(file: Iterable[str]) -> tuple[np.ndarray, list[str]]:
    """Read `confusion.csv`, also one of an earlier version, which had class indices as its header and no names.

    Returns:
        `int64 [K, K]`, rows are true classes, and the names.

    Raises:
        ValueError: it is not such a table.
    """
    header, *rows = csv.reader(file)
    named = len(header) == len(rows) + 1
    counts = [row[1:] if named else row for row in rows]
    names = header[1:] if named else header
    if {len(row) for row in counts} != {len(rows)} or len(names) != len(rows):
        raise ValueError(f"{len(rows)} rows under {len(header)} columns")
    return np.array(counts, dtype=np.int64), names


def _diagnostic_files(diagnostics: Diagnostics) -> dict[str, bytes]:
    bins = [
        {"bin": i, "n": int(n), "confidence": confidence / n if n else "", "accuracy": correct / n if n else ""}
        for i, (n, confidence, correct) in enumerate(diagnostics.reliability.tolist())
    ]
    files = {"reliability.csv": to_csv(("bin", "n", "confidence", "accuracy"), bins)}
    if diagnostics.scores is not None:
        names = ("low", "high", "pool", "queried")
        rows = [(low, high, int(pool), int(queried)) for low, high, pool, queried in diagnostics.scores.tolist()]
        files[SCORES] = to_csv(names, [dict(zip(names, row, strict=True)) for row in rows])
    if diagnostics.strip is not None:
        files[STRIP] = diagnostics.strip
    return files


def folders(run: Path) -> list[Path]:
    """The folders of the rounds of a run, by number; what else lies there is left alone."""
    own = (folder for folder in (run / "rounds").glob("[0-9]*") if folder.name.isdecimal() and folder.is_dir())
    return sorted(own, key=lambda folder: (len(folder.name), folder.name))


def read(folder: Path) -> Round:
    """Read a round, without its masks and weights.

    Raises:
        DamagedError: a file is missing, or is not what was written.
    """
    verify(folder)
    name = ""
    try:
        row = FIRST | json.loads((folder / (name := "measures.json")).read_text(encoding="utf-8"))
        environment = json.loads((folder / (name := "environment.json")).read_text(encoding="utf-8"))
        queries = read_query(folder / (name := "queries.csv"))
        with (folder / (name := "confusion.csv")).open(newline="", encoding="utf-8") as file:
            confusion, classes = read_confusion(file)
        if row["round"] != int(folder.name) or not isinstance(environment["threads"], int):
            raise ValueError("not of this round")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        # Its checksum is right: it was not written by us.
        raise DamagedError(f"{name} cannot be read: {error}") from error
    return Round(row, queries, confusion, classes, environment)


def columns(found: Sequence[Round]) -> list[str]:
    """Of the rows of rounds; those of an earlier version may have others than those after them."""
    return list(dict.fromkeys(name for each in reversed(found) for name in each.row))


def views(found: Sequence[Round], queries: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, bytes]:
    """The tables over all rounds by name, `rounds.csv` and `queries.csv`; without those that have no row.

    Args:
        found: the rounds.
        queries: those whose rows are shown.
    """
    rows = [row for query in queries for row in query]
    tables = {"rounds.csv": (columns(found), [each.row for each in found]), "queries.csv": (QUERY_COLUMNS, rows)}
    return {name: to_csv(head, table) for name, (head, table) in tables.items() if table}


def initial_files(query: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, bytes]:
    """The files of what is asked before round 0, by name, their checksums last."""
    return with_checksums({"queries.csv": query_file(query), "classes.json": json.dumps(list(classes)).encode()})


def read_initial(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Read what is asked before round 0: its rows, and the names of the classes.

    Raises:
        DamagedError: a file is missing, or is not what was written.
    """
    verify(folder, ("queries.csv", "classes.json"))
    try:
        return read_query(folder / "queries.csv"), list(json.loads((folder / "classes.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:  # its checksum is right: not written by us
        raise DamagedError(f"cannot be read: {error}") from error


def read_query(file: Path) -> list[dict[str, Any]]:
    """The rows of a query that has been verified."""
    whole = ("round", "rank", "index")
    with file.open(newline="", encoding="utf-8") as opened:
        return [{**row, **{name: int(row[name]) for name in whole}} for row in csv.DictReader(opened)]


def verify(folder: Path, needed: Sequence[str] = FILES) -> None:
    """Hold every file of a commit against the checksum that was written with it.

    Args:
        folder: of the commit.
        needed: files that it has to have.

    Raises:
        DamagedError: names the first that differs.
    """
    try:
        text = (folder / CHECKSUMS).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DamagedError(f"{CHECKSUMS} cannot be read: {_reason(error)}") from error
    sums = [line.partition("  ")[::2] for line in text.splitlines()]
    if lacking := set(needed) - {name for _, name in sums}:
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
    writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value  # true and false, as JSON has them


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is no readable one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
