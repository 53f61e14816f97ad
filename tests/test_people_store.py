"""The store of what people said: what it took stays, whole, whatever becomes of who wrote it."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from al_lightning.data.cache_folder import File, hashed
from al_lightning.errors import DataError
from al_lightning.people import schema
from al_lightning.people.records import IMPORTED, LABEL, LONGEST, SKIP, Given
from al_lightning.people.store import STORE, Store, UnknownError

ITEMS, CLASSES, PEOPLE = range(1, 5), range(1, 4), range(1, 4)
FULL = r"is full|disk I/O"
QUERY = {"asker": "live", "round": None, "strategy": "margin", "seed": 0, "event": 0, "n_labeled": 0, "seconds": None}


def make(path: Path) -> Store:
    store = Store(path, create=True)
    store.add_files({f"{item}.jpg": File(1, 1, 1, 1, hashed(b"%d" % item)) for item in ITEMS})
    for number in CLASSES:
        store.add_class(f"class {number}")
    for number in PEOPLE:
        store.add_annotator(f"person {number}")
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with four images, three classes and three annotators."""
    with closing(make(tmp_path / STORE)) as made:
        yield made


def test_undo_leaves_what_a_file_brought(store: Store) -> None:
    store.answer(1, "page-1", [Given(1, LABEL, 1)], "page")
    store.answer(1, f"{IMPORTED}1", [Given(2, LABEL, 1)], "import")
    store.answer(1, f"{IMPORTED}2", [Given(3, LABEL, 1)], "review")
    assert [store.undo(1, f"undo-{number}") for number in range(2)] == ["page-1", None]
    assert store.undo(1, "undo-3", f"{IMPORTED}2") == f"{IMPORTED}2"


def test_all_or_nothing(store: Store) -> None:
    other, before = Store(store.path), store.events()
    bad = [Given(1, LABEL, 1), Given(2, LABEL, 1), Given(99, SKIP)]
    with pytest.raises(UnknownError):
        store.answer(1, "bad", bad, "page")
    with pytest.raises(UnknownError):
        store.add_query(QUERY, [1, 99])
    with pytest.raises(ZeroDivisionError), store.together():
        store.add_class("new")
        with store.together():
            store.answer(1, "lost", [Given(1, SKIP)], "page")
        assert store.events() != before
        raise ZeroDivisionError
    assert store.events() == other.events() == before and len(store.classes()) == len(CLASSES)
    assert store.queries() == []
    with store.together():
        store.answer(1, "first", [Given(1, SKIP)], "page")
        with pytest.raises(UnknownError), store.together():  # what fails within goes alone
            store.add_class("new")
            store.answer(1, "bad", bad, "page")
        store.answer(1, "last", [Given(2, SKIP)], "page")
        assert other.events() == before
    assert [each.action for each in other.events()] == ["first", "last"] and "new" not in other.classes().values()
    other.close()


def test_an_id_of_an_action_stands_for_what_it_said(store: Store) -> None:
    """Sent again it is acknowledged; another answer would be lost under it."""
    said = [Given(1, LABEL, 1), Given(2, SKIP)]
    assert store.answer(1, "action", said, "page") == store.answer(1, "action", said, "grid") == 2
    for other in ([Given(1, LABEL, 2), said[1]], said[:1], [*said, Given(3, SKIP)], said[::-1]):
        with pytest.raises(UnknownError, match="its id is that of another answer"):
            store.answer(1, "action", other, "page")
    with pytest.raises(UnknownError, match="another answer"):
        store.answer(2, "action", said, "page")
    assert len(store.events()) == 2


def test_events_are_only_added(store: Store) -> None:
    store.answer(1, "kept", [Given(1, LABEL, 1)], "page")
    with closing(sqlite3.connect(store.path)) as db:
        for statement in ("DELETE FROM event", "UPDATE event SET label = 2"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                db.execute(statement)


@pytest.mark.parametrize("table", ["class", "annotator"])
def test_names(table: str, store: Store) -> None:
    add, longest = getattr(store, f"add_{table}"), LONGEST[table]
    made = add("é" * longest)
    assert add("  " + "e\u0301" * longest + "\n") == made  # in NFC it is as long
    for bad in ("", " \n", "x" * (longest + 1), "a\nb", "a\0b", "\ud800"):
        with pytest.raises(UnknownError, match=f"1 to {longest} printable"):
            add(bad)


WRITER = """
import sys
from pathlib import Path
from al_lightning.people.records import Given
from al_lightning.people.store import Store
sys.path.append(sys.argv[1])
from test_people_store import make
store, name, n = make(Path(sys.argv[2])), sys.argv[3], int(sys.argv[4])
own, both = store.add_annotator(name), store.add_annotator("both")
for number in range(n):
    by, action = (both, f"both-{number}") if number % 5 == 0 else (own, f"{name}-{number}")
    last = store.answer(by, action, [Given(item, "label", 1 + number % 3) for item in (1, 2, 3)], "page")
    print(action, last, flush=True)
"""


def writer(path: Path, name: str, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(path), name, str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged(process: subprocess.Popen[str], kill_after: int = 0) -> dict[str, int]:
    """The last event of every action, as its writer was told until it ended, or was killed after so many."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(kill_after)]
    if kill_after:
        process.send_signal(signal.SIGKILL)
    lines += process.stdout
    return {action: int(last) for action, last in (line.split() for line in lines if line.endswith("\n"))}


@pytest.mark.parametrize("after", [1, 2, 7, 40])
def test_a_writer_that_is_killed_loses_no_answer(after: int, tmp_path: Path) -> None:
    with writer(tmp_path / STORE, "ann", 1_000_000) as process:
        told = acknowledged(process, after)
    with closing(Store(tmp_path / STORE)) as store:
        events = store.events()
        assert len(told) >= after and told.items() <= {each.action: each.id for each in events}.items()
        assert len(events) == 3 * len({each.action for each in events})  # whole actions
        assert len(events) <= 3 * (len(told) + 1)
        assert store.answer(1, "next", [Given(1, SKIP)], "page") == len(events) + 1


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Both make the store; an action of the same id is taken once."""
    with writer(tmp_path / STORE, "ann", 60) as one, writer(tmp_path / STORE, "bob", 60) as two:
        told = [acknowledged(each) for each in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0)
    with closing(Store(tmp_path / STORE)) as store:
        last = {each.action: each.id for each in store.events()}
        assert len(last) == 60 + 48 and len(store.events()) == 3 * len(last)
        assert all(each.items() <= last.items() and len(each) == 60 for each in told)
        assert len(store.classes()) == len(CLASSES) and len(store.items()) == len(ITEMS)


def test_another_makes_it_at_the_same_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, is_empty = iter([True]), schema._is_empty  # it was empty, and no longer is
    monkeypatch.setattr(schema, "_is_empty", lambda db: next(first, False) or is_empty(db))
    with closing(Store(store.path, create=True)) as other:
        assert other.classes() == store.classes()


def of_later_format(path: Path) -> None:
    make(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE item (id)")


@pytest.mark.parametrize(
    ("there", "create", "told"),
    [
        (of_later_format, True, "of a later version, with format 2: upgrade al_lightning"),
        (of_another_program, True, "is no store of labels"),
        (lambda path: path.write_bytes(b"names\n" * 1000), True, "file is not a database"),
        (lambda path: path.mkdir(), True, "unable to open database file"),
        (lambda path: path.touch(), False, "is no store of labels"),
        (lambda path: None, False, "there is no store of labels; python -m al_lightning.label makes one"),
    ],
)
def test_what_is_no_store_is_refused_and_stays(there: Any, create: bool, told: str, tmp_path: Path) -> None:
    path = tmp_path / STORE
    there(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DataError, match=f"^{path}: .*{told}"):
        Store(path, create=create)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [*tmp_path.iterdir()] in ([], [path])


@contextmanager
def not_root() -> Iterator[None]:
    """As a user whose rights count."""
    before = os.geteuid()
    os.seteuid(before or 65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_store_that_can_only_be_read() -> None:
    with TemporaryDirectory() as folder:
        make(path := Path(folder, STORE)).close()
        path.chmod(0o444)
        Path(folder).chmod(0o777)
        with not_root():
            with pytest.raises(DataError, match=f"^{path}: .* cannot be opened: .*readonly"):
                Store(path, create=True)
            with closing(Store(path)) as store:
                assert len(store.classes()) == len(CLASSES)
                with pytest.raises(sqlite3.Error, match="readonly"):
                    store.answer(1, "action", [Given(1, SKIP)], "page")


def test_a_disk_that_is_full(store: Store) -> None:
    """What was taken stays, what was not leaves nothing, and the same answer goes in when there is room."""
    made, before = 0, resource.getrlimit(resource.RLIMIT_FSIZE)
    room = store.path.with_name(f"{STORE}-wal").stat().st_size + 20_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(sqlite3.Error, match=FULL):
            for made in range(1000):
                store.answer(1, f"action-{made}", [Given(1, SKIP), Given(2, SKIP)], "page")
        with pytest.raises(sqlite3.Error, match=FULL), store.together():
            store.answer(1, "within", [Given(3, SKIP)], "page")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert made and len(store.events()) == 2 * made
    store.answer(1, f"action-{made}", [Given(1, SKIP), Given(2, SKIP)], "page")
    with closing(Store(store.path)) as other:
        assert len({each.action for each in other.events()}) == made + 1 and len(other.events()) == 2 * (made + 1)
