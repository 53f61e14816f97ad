"""What a run leaves on disk. Nothing else writes there, and this only while it holds the lock.

A round is committed by one rename of `rounds/.007` to `rounds/007`, and so is the query before the first one, as
`rounds/initial`. Answers are appended to `ledger.jsonl`. `rounds.csv` and `queries.csv` are views over both, which grow
by what is new, and are written anew whenever the folder is opened.
"""

import io
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from al_lightning.disk import place, replace_file, sync
from al_lightning.errors import ConfigError, UserError
from al_lightning.oracle import ledger
from al_lightning.oracle.ledger import Event, Queried
from al_lightning.runs import rounds
from al_lightning.runs.folder_state import LISTING, SET_ASIDE
from al_lightning.runs.ledger_file import FILE
from al_lightning.runs.lock import HOLDER, take
from al_lightning.runs.mend import mend, set_aside
from al_lightning.runs.rounds import INITIAL, Round, to_csv


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
        initial: the rows of the query before round 0; None before it is committed.
        rounds: the committed rounds, in order, without their weights; their queries have the answers that there are.
        queried: all images that were queried, by position in the data set.
        answered: those of them that have an answer.
        ledger: the answers, to look at.

    Raises:
        LockedError: another process has it open.
        ConfigError: the folder cannot be made.
        WriteError: it cannot be written to.
        UserError: it holds links, which could lead out of it.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path, self.overwrite = path, overwrite
        self.initial: list[dict[str, Any]] | None = None
        self.rounds: list[Round] = []
        self.queried: dict[int, Queried] = {}
        self.answered: set[int] = set()

    def __enter__(self) -> "RunFolder":
        try:
            is_new = not self.path.exists()
            self._file = take(self.path)
            if self.overwrite and is_new:
                print(f"overwrite=true: {self.path} is new, there was nothing to move")
            elif self.overwrite:
                with self._file:
                    old = set_aside(self.path, self.path.parent / SET_ASIDE)
                print(f"{self.path}: what was there is now {old}")
                self._file = take(self.path)
        except OSError as error:
            raise ConfigError(f"paths.output_root: cannot write to {self.path}: {error.strerror}") from error
        try:
            self._refuse_links()
            with self._writing("its state"):
                (self.path / "rounds").mkdir(exist_ok=True)
                holder = {"pid": os.getpid(), "host": socket.gethostname()}
                replace_file(self.path, HOLDER, json.dumps(holder).encode())
                found = mend(self.path)
                self.initial, self.rounds, self.ledger = found.initial, found.rounds, found.ledger
                self.answered = {event.index for event in found.ledger.events}
                for query in self._queries:
                    self.queried |= ledger.queried(query)
                self.write_views()  # the last process may have died between a commit and its views
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            with suppress(OSError, WriteError):
                if not self._is_complete(self._queries[-1]):
                    self.write_views(whole=True)
                (self.path / HOLDER).unlink(missing_ok=True)
        finally:  # a signal may come here too, and this process may live on
            self._file.close()

    def write_config(self, text: str) -> None:
        """Write `config.yaml`."""
        with self._writing("config.yaml"):
            replace_file(self.path, "config.yaml", text.encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`."""
        with self._writing("summary.json"):
            replace_file(self.path, "summary.json", (json.dumps(summary, indent=2) + "\n").encode())

    def write_images(self, listing: bytes, pool: Mapping[str, np.ndarray]) -> None:
        """Write what says which images there are, also where the pool has grown.

        Args:
            listing: `images.csv.gz`, see :mod:`al_lightning.data.listing`. It comes last: with it an index is taken.
            pool: `pool.npz`, what a report shows of them, see :func:`al_lightning.runs.diagnostics.pool_map`.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **pool)
        for name, data in {"pool.npz": buffer.getvalue(), LISTING: listing}.items():
            with self._writing(name):
                replace_file(self.path, name, data)

    def write_rejected(self, rejected: Sequence[tuple[str, str]]) -> None:
        """Write `rejected.csv`: files of the data set that were left out, and why; no file where there are none."""
        self._write_table("rejected.csv", ("path", "reason"), rejected)

    def write_duplicates(self, duplicates: Sequence[tuple[int, str, str, str]]) -> None:
        """Write `duplicates.csv`: the groups of images that look alike to the model; no file where there are none."""
        self._write_table("duplicates.csv", ("group", "part", "class", "path"), duplicates)

    @property
    def _queries(self) -> list[list[dict[str, Any]]]:
        return [self.initial or [], *(done.queries for done in self.rounds)]

    def _is_complete(self, query: Sequence[Mapping[str, Any]]) -> bool:
        return all(row["index"] in self.answered for row in query)

    def commit_initial(self, query: list[dict[str, Any]], classes: Sequence[str]) -> None:
        """Commit what is asked before round 0, as :meth:`commit` does.

        Args:
            query: rows of `queries.csv`, without answers.
            classes: names.

        Raises:
            WriteError: it could not be written.
        """
        with self._writing("the initial query"):
            place(self.path / "rounds" / INITIAL, rounds.initial_files(query, classes))
        self.initial = query
        self.queried |= ledger.queried(query)
        if known := self.events_of(query):  # what was there before is lost, but for its answers
            self._fill(query, known, classes)

    def append(self, events: Sequence[Event], classes: Sequence[str]) -> None:
        """Append answers to the ledger, and to the view of the queries that they complete.

        Raises:
            WriteError: they could not be written.
        """
        with self._writing(FILE):
            self.ledger.append(events)
            sync(self.path)
        self.answered |= {event.index for event in events}
        rest = {event.index: event for event in events}
        for query in reversed(self._queries):  # the events are of the last one, mostly
            new = [rest.pop(row["index"]) for row in query if row["index"] in rest]
            if not new:
                break
            self._fill(query, new, classes)

    def events_of(self, query: Sequence[Mapping[str, Any]]) -> list[Event]:
        """The answers that there are to a query."""
        known = {row["index"] for row in query} & self.answered
        return [event for event in self.ledger.events if event.index in known] if known else []

    def _fill(self, query: list[dict[str, Any]], new: Sequence[Event], classes: Sequence[str]) -> None:
        """Put answers into the rows of a query, and these into the view where it is complete now."""
        last = {event.index: event for event in new}
        rows = [row for row in query if row["index"] in last]
        for row, answered in zip(rows, ledger.with_answers(rows, last, classes), strict=True):
            row.update(answered)
        if query is not self._queries[-1]:
            self.write_views()  # a correction
        elif self._is_complete(query):
            self._grow("queries.csv", rounds.QUERY_COLUMNS, query)

    def commit(self, done: Round) -> None:
        """Commit a round: after this call it survives a crash, before it nothing of it is seen.

        Raises:
            WriteError: it could not be written; the rounds before it stand.
        """
        before = self.rounds[-1:] if done.number == len(self.rounds) else []  # a last round is run again to go on
        with self._writing(f"round {done.number}"):
            place(self.path / "rounds" / f"{done.number:03d}", rounds.to_files(done))
        self.rounds[done.number :] = [replace(done, diagnostics=None, weights=None)]
        self.queried |= ledger.queried(done.queries)
        if known := self.events_of(done.queries):  # likewise of a round that is run again
            self._fill(done.queries, known, done.classes)
        if before and [*before[0].row] == [*done.row]:
            self._grow("rounds.csv", rounds.columns(self.rounds), [done.row])
        else:
            self.write_views()

    def write_views(self, whole: bool = False) -> None:
        """Write `rounds.csv` and `queries.csv` from the commits and the ledger.

        Args:
            whole: with the rows of a query that waits for answers, which are appended once it has them.
        """
        queries = [query for query in self._queries if whole or self._is_complete(query)]
        tables = rounds.views(self.rounds, queries)
        with self._writing("rounds.csv"):
            for name in ("rounds.csv", "queries.csv"):
                if name in tables:
                    replace_file(self.path, name, tables[name])
                else:
                    (self.path / name).unlink(missing_ok=True)

    def _grow(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows to a view, which there may not be yet."""
        head, *lines = to_csv(columns, rows).splitlines(keepends=True)
        with self._writing(name), (self.path / name).open("ab") as file:
            file.write(b"".join(lines if file.tell() else [head, *lines]))

    def _write_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with self._writing(name):
            if rows:
                replace_file(self.path, name, to_csv(columns, [dict(zip(columns, row, strict=True)) for row in rows]))
            else:
                (self.path / name).unlink(missing_ok=True)

    def _refuse_links(self) -> None:
        for parent, folders, files in os.walk(self.path):
            for name in (*folders, *files):
                if (Path(parent) / name).is_symlink():
                    raise UserError(f"{Path(parent) / name}: a link, which a run folder must not hold; remove it")

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
