"""The tables of a store, and how one is opened."""

import sqlite3
from contextlib import ExitStack
from pathlib import Path

from al_lightning.errors import DataError

FORMAT = 1  # to be raised when a table changes

TABLES = """
CREATE TABLE item (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE);
CREATE TABLE path (
    path TEXT PRIMARY KEY, item INTEGER NOT NULL REFERENCES item, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, is_there INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX path_of_item ON path (item);
CREATE TABLE class (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE annotator (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, annotator INTEGER NOT NULL REFERENCES annotator, kind TEXT NOT NULL
        CHECK (kind IN ('label', 'skip', 'unsure', 'flag', 'unflag', 'undo')),
    item INTEGER REFERENCES item, label INTEGER REFERENCES class, seconds REAL, action TEXT NOT NULL,
    source TEXT NOT NULL, target TEXT,
    CHECK ((kind = 'undo') = (item IS NULL) AND (kind = 'undo') = (target IS NOT NULL)),
    CHECK ((kind = 'label') = (label IS NOT NULL))
);
CREATE INDEX event_of_action ON event (action);
CREATE TRIGGER no_event_changes BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
CREATE TRIGGER no_event_goes BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
CREATE TABLE query (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, asker TEXT NOT NULL, round INTEGER, strategy TEXT NOT NULL,
    seed INTEGER NOT NULL, event INTEGER NOT NULL, n_labeled INTEGER NOT NULL, seconds REAL
);
CREATE TABLE queried (
    query INTEGER NOT NULL REFERENCES query, rank INTEGER NOT NULL, item INTEGER NOT NULL REFERENCES item, score REAL,
    PRIMARY KEY (query, rank)
) WITHOUT ROWID;
CREATE TABLE draw (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, item INTEGER NOT NULL REFERENCES item, query INTEGER REFERENCES query,
    n_labeled INTEGER, predicted INTEGER REFERENCES class, probability REAL
);
"""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open a store; of several processes and threads one writes at a time, and what is committed survives a crash.

    Args:
        path: of the database.
        create: whether to make one where there is none; else one that can only be read is opened, too.

    Raises:
        DataError: it is not there, no store, of a later version, or cannot be opened.
    """
    if not create and not path.is_file():
        raise DataError(f"{path}: there is no store of labels; python -m al_lightning.label makes one")
    try:
        with ExitStack() as stack:
            path.parent.mkdir(parents=True, exist_ok=True)
            found = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            stack.callback(found.close)
            # In this order: another process may be making it. What is none of ours is not written to.
            is_new = create and _is_empty(found)
            version = found.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                raise DataError(f"{path}: is of a later version, with format {version}: upgrade al_lightning")
            if version < FORMAT and not is_new:
                raise DataError(f"{path}: is no store of labels")
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = FULL")  # an answer that was acknowledged is on the disk
            found.execute("PRAGMA foreign_keys = ON")
            found.execute("BEGIN IMMEDIATE")
            for statement in _statements(TABLES) if _is_empty(found) else ():
                found.execute(statement)
            if create:  # also where it is there: one that can only be read is to fail now
                found.execute(f"PRAGMA user_version = {FORMAT}")
            found.execute("COMMIT")
            stack.pop_all()
            return found
    except (sqlite3.Error, OSError) as error:
        raise DataError(f"{path}: the store of labels cannot be opened: {error}") from error


def _is_empty(db: sqlite3.Connection) -> bool:
    return not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def _statements(script: str) -> list[str]:
    """The statements of a script: those of a trigger end within it, too."""
    statements, text = [], ""
    for piece in script.split(";"):
        text += f"{piece};"
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements
