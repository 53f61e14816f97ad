"""The store: images by their content, and what people said of them, as events that are only ever added."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

from al_lightning.data.cache_folder import File
from al_lightning.errors import UserError
from al_lightning.people.records import IMPORTED, LONGEST, UNDO, Draw, Event, FileState, Given, Query, tidy, twin
from al_lightning.people.schema import connect

STORE = "labels.sqlite"  # in the folder of a project

# How what is written as one begins, is kept, and is taken back.
WHOLE = "BEGIN IMMEDIATE", "COMMIT", ["ROLLBACK"]
PART = "SAVEPOINT part", "RELEASE part", ["ROLLBACK TO part", "RELEASE part"]


class UnknownError(UserError):
    """An image, a class, an annotator or a query that the store does not have."""


class ClashError(UserError):
    """A class that differs from one that is there in upper and lower case only: mostly a slip, and never taken back."""


class Store:
    """A store of labels, which several processes and threads may have open.

    Where the disk fails, a method raises `sqlite3.Error` and has written nothing; the next one may succeed.

    Args:
        path: of the database.
        create: whether to make it where it is not there.

    Raises:
        DataError: see :func:`al_lightning.people.schema.connect`.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._connection, self._lock = connect(path, create=create), RLock()

    def close(self) -> None:
        """Release the database."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what is to be written as one, also within another: all of it is on the disk afterwards, or nothing."""
        with self._writing():
            yield

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, or a part of the one that is open: all of it or nothing, too."""
        with self._lock:
            db = self._connection
            begin, keep, drop = PART if db.in_transaction else WHOLE
            db.execute(begin)
            try:
                yield db
                db.execute(keep)
            except BaseException:
                if db.in_transaction:  # where the disk is full, SQLite has taken back all of it itself
                    for statement in drop:
                        db.execute(statement)
                raise

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _ids(self, table: str) -> dict[int, str]:
        column = {"item": "digest", "class": "name", "annotator": "name"}[table]
        return dict(self._rows(f"SELECT id, {column} FROM {table} ORDER BY id"))

    # Images

    def items(self) -> dict[int, str]:
        """Digest of every image that was ever seen: BLAKE2b of the file, 128 bits, in hex; by id, ascending."""
        return self._ids("item")

    def files(self) -> dict[str, FileState]:
        """The files that were ever seen, by path relative to the root."""
        sql = (
            "SELECT path, item, size, mtime_ns, ctime_ns, inode, digest, is_there "
            "FROM path JOIN item ON item.id = item ORDER BY path"
        )
        return {path: FileState(item, File(*file), bool(there)) for path, item, *file, there in self._rows(sql)}

    def add_files(self, found: Mapping[str, File]) -> None:
        """Add files by path relative to the root, or what has become of them."""
        sql = (
            "INSERT OR REPLACE INTO path (path, item, size, mtime_ns, ctime_ns, inode, is_there) "
            "SELECT ?, id, ?, ?, ?, ?, 1 FROM item WHERE digest = ?"
        )
        with self._writing() as db:
            for path, file in found.items():
                db.execute("INSERT INTO item (digest) VALUES (?) ON CONFLICT DO NOTHING", (file.content,))
                db.execute(sql, (path, *file))

    def set_gone(self, paths: Iterable[str]) -> None:
        """Files that are no longer there; their answers stay."""
        with self._writing() as db:
            db.executemany("UPDATE path SET is_there = 0 WHERE path = ?", [(path,) for path in paths])

    # Classes and annotators

    def classes(self) -> dict[int, str]:
        """Names of the classes by id, in the order in which they were added."""
        return self._ids("class")

    def annotators(self) -> dict[int, str]:
        """Names of who has answered, by id."""
        return self._ids("annotator")

    def add_class(self, name: str) -> int:
        """The id of a class, which is added where it is not there; names are compared in NFC, without spaces around.

        Raises:
            ClashError: there is one that differs in upper and lower case only.
            UnknownError: it is no name.
        """
        with self.together():
            if other := twin(name, self.classes().values()):
                raise ClashError(
                    f"class {tidy(name)!r}: there is {other!r}, which differs in upper and lower case only; "
                    "take that, or another name"
                )
            return self._named("class", name)

    def add_annotator(self, name: str) -> int:
        """The id of an annotator, likewise."""
        return self._named("annotator", name)

    def _named(self, table: str, name: str) -> int:
        name, longest = tidy(name), LONGEST[table]
        if not name or len(name) > longest or not name.isprintable():
            raise UnknownError(f"{table} {name[:longest]!r}: a name has 1 to {longest} printable characters")
        with self._writing() as db:
            db.execute(f"INSERT INTO {table} (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            return db.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()[0]

    # Answers

    def answer(
        self, annotator: int, action: str, given: Sequence[Given], source: str, seconds: float | None = None
    ) -> int:
        """Add what one key press says, all of it or nothing; when it returns, it is on the disk.

        Args:
            annotator: who.
            action: an id that is the sender's own: an action that is there already changes nothing.
            given: at least one.
            source: see :class:`Event`.
            seconds: see :class:`Event`.

        Returns:
            The id of the last event of the action.

        Raises:
            UnknownError: of an image, a class or an annotator; or the action is there and says something else.
        """
        rows = [(annotator, each.kind, each.item, each.label, seconds, action, source, None) for each in given]
        last = self._add_events(action, lambda db: rows)
        kept = self._rows("SELECT annotator, kind, item, label FROM event WHERE action = ? ORDER BY id", (action,))
        if kept != [row[:4] for row in rows]:
            raise UnknownError(f"answer {action!r}: its id is that of another answer; send it under a new one")
        return last

    def undo(self, annotator: int, action: str, target: str | None = None) -> str | None:
        """Undo an action of an annotator, and say which it was.

        Args:
            annotator: whose.
            action: an id, as of :meth:`answer`.
            target: the action; None: the latest that is not undone, of those that no file brought.

        Returns:
            The action that was undone; None where there is none left.

        Raises:
            UnknownError: there is no such action of the annotator.
        """
        undone = "SELECT target FROM event WHERE kind = 'undo'"
        own = f"SELECT action FROM event WHERE annotator = ? AND kind != 'undo' AND action NOT IN ({undone})"

        def rows(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
            if target is None:
                here = f"{own} AND action NOT GLOB ? ORDER BY id DESC LIMIT 1"
                found = db.execute(here, (annotator, f"{IMPORTED}*")).fetchone()
                return [(annotator, UNDO, None, None, None, action, "page", found[0])] if found else []
            if not db.execute(f"{own} AND action = ?", (annotator, target)).fetchone():
                raise UnknownError(f"action {target!r}: there is none of this annotator that is not undone")
            return [(annotator, UNDO, None, None, None, action, "page", target)]

        self._add_events(action, rows)
        found = self._rows("SELECT target FROM event WHERE action = ? AND kind = 'undo'", (action,))
        return found[0][0] if found else None

    def _add_events(self, action: str, rows: Callable[[sqlite3.Connection], Sequence[tuple[Any, ...]]]) -> int:
        sql = (
            "INSERT INTO event (at, annotator, kind, item, label, seconds, action, source, target) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        try:
            with self._writing() as db:
                there = db.execute("SELECT max(id) FROM event WHERE action = ?", (action,)).fetchone()[0]
                if there is None:
                    at = now()
                    db.executemany(sql, [(at, *row) for row in rows(db)])
                return db.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0] if there is None else there
        except sqlite3.IntegrityError as error:
            raise UnknownError(
                f"answer {action!r}: names an image, a class or an annotator that is not there"
            ) from error

    def events(self, after: int = 0) -> list[Event]:
        """The events after one, in their order."""
        return [Event(*row) for row in self._rows("SELECT * FROM event WHERE id > ? ORDER BY id", (after,))]

    # Queries

    def add_query(self, query: Mapping[str, Any], items: Sequence[int], scores: Sequence[float] | None = None) -> int:
        """Add a query, and return its id.

        Args:
            query: what :class:`Query` has besides `id` and `at`.
            items: the images, the most wanted first.
            scores: of the strategy; None where it has none.

        Raises:
            UnknownError: of an image.
        """
        columns = ", ".join(query)
        marks = ", ".join("?" * len(query))
        try:
            with self._writing() as db:
                made = db.execute(f"INSERT INTO query (at, {columns}) VALUES (?, {marks})", (now(), *query.values()))
                rows = zip(items, scores if scores is not None else [None] * len(items), strict=True)
                db.executemany(
                    "INSERT INTO queried VALUES (?, ?, ?, ?)",
                    [(made.lastrowid, rank, item, score) for rank, (item, score) in enumerate(rows)],
                )
                return made.lastrowid or 0
        except sqlite3.IntegrityError as error:
            raise UnknownError("a query names an image that is not in the store") from error

    def queries(self, after: int = 0) -> list[Query]:
        """The queries after one, in their order."""
        return [Query(*row) for row in self._rows("SELECT * FROM query WHERE id > ? ORDER BY id", (after,))]

    def queried(self, query: int) -> list[tuple[int, float | None]]:
        """Images and scores of a query, by rank."""
        return self._rows("SELECT item, score FROM queried WHERE query = ? ORDER BY rank", (query,))

    # Random draws

    def add_draws(self, draws: Sequence[tuple[int, int | None, int | None, int | None, float | None]]) -> None:
        """Add draws, before anybody sees the images.

        Args:
            draws: what :class:`Draw` has besides `id` and `at`, in its order.
        """
        with self._writing() as db:
            at = now()
            db.executemany(
                "INSERT INTO draw (at, item, query, n_labeled, predicted, probability) VALUES (?, ?, ?, ?, ?, ?)",
                [(at, *each) for each in draws],
            )

    def draws(self, after: int = 0) -> list[Draw]:
        """The draws after one, in their order."""
        return [Draw(*row) for row in self._rows("SELECT * FROM draw WHERE id > ? ORDER BY id", (after,))]


def now() -> str:
    """The time in ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
