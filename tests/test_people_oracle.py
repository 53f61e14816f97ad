"""People answer a run: by the store of a labeling project, and by a table that anybody fills in."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import Command
from image_folders import draw
from run_folders import only_run, table

from al_lightning.people.records import LIVE, Given
from al_lightning.people.scan import scan
from al_lightning.people.store import Store

N = 40
RUN = (
    *("dataset=folder", "dataset.root=photos", "dataset.image_size=4", "dataset.channels=1", "dataset.labels=none"),
    *(
        "dataset.test_fraction=0",
        "embedding=pixels",
        "model=linear",
        "strategy=margin",
        "al.query_size=3",
        "al.rounds=2",
    ),
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of one shade each: up to half of them are dark."""
    (tmp_path / "cwd").mkdir()
    draw(tmp_path / "cwd" / "photos", *(f"{number:02d}.png" for number in range(N)))
    return tmp_path / "cwd" / "photos"


def truth(name: str) -> str:
    return "dark" if int(name[:2]) < N // 2 else "light"


def project(photos: Path) -> Store:
    """A store of the images with two classes, and four labels of the dark and four of the light."""
    store = Store(photos.parent / "project" / "labels.sqlite", create=True)
    [*_] = scan(photos, store, [])
    for name in ("light", "dark"):  # in another order than by name
        store.add_class(name)
    answer(store, [f"{number:02d}.png" for number in (0, 1, 2, 3, 36, 37, 38, 39)])
    return store


def answer(store: Store, files: Iterable[str], kind: str = "label", by: str = "ann") -> None:
    item = {path: state.item for path, state in store.files().items()}
    names = {name: number for number, name in store.classes().items()}
    for file in files:
        label = names[truth(file)] if kind == "label" else None
        store.answer(store.add_annotator(by), f"{kind}-{by}-{file}", [Given(item[file], kind, label)], "page")


def asked(store: Store) -> list[list[str]]:
    """Files that runs have put to people, query by query."""
    path = {state.item: path for path, state in store.files().items()}
    return [[path[item] for item, _ in store.queried(each.id)] for each in store.queries() if each.asker != LIVE]


def test_a_run_takes_the_labels_of_a_store_and_asks_through_it(command: Command, photos: Path) -> None:
    store = project(photos)
    run = (*RUN, "dataset.ids=content", "oracle=people", "oracle.store=project", "al.initial_size=8")
    assert command(*run).code == 0
    folder = only_run(photos.parent)
    assert json.loads((folder / "summary.json").read_text())["classes"] == ["light", "dark"]
    assert json.loads((folder / "summary.json").read_text())["state"] == "waiting"
    (first,) = asked(store)
    assert len(first) == 3 and not {*first} & {f"{number:02d}.png" for number in (0, 1, 2, 3, 36, 37, 38, 39)}
    ended = command(*run)
    assert ended.code == 0 and asked(store) == [first]  # nobody has answered: it is not put to them twice
    assert f"8 of {N} images of the pool have a label" in ended.out + ended.err
    answer(store, first[:2])
    answer(store, first[2:], kind="unsure")
    assert command(*run).code == 0
    assert json.loads((folder / "summary.json").read_text())["n_paid"] == 11
    (_, second) = asked(store)
    assert len({*first, *second}) == 6
    answer(store, second)
    assert command(*run).code == 0
    rows = table(folder / "rounds.csv")
    assert [(int(row["n_labeled"]), int(row["n_skipped"])) for row in rows] == [(8, 0), (10, 1), (13, 1)]
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    path = {store.items()[state.item]: path for path, state in store.files().items()}
    assert {each["by"] for each in ledger} == {"given", "ann"} and sum(each["by"] == "given" for each in ledger) == 8
    assert all(each["answer"] == "unsure" or each["answer"] == (truth(path[each["id"]]) == "dark") for each in ledger)
    assert next(each["answer"] for each in ledger if path[each["id"]] == first[2]) == "unsure"


def test_an_answer_that_people_change_reaches_the_run(command: Command, photos: Path) -> None:
    store = project(photos)
    run = (*RUN, "dataset.ids=content", "oracle=people", "oracle.store=project", "al.initial_size=8")
    assert command(*run).code == 0
    (first,) = asked(store)
    answer(store, first, kind="skip")
    assert command(*run).code == 0
    (_, second) = asked(store)
    answer(store, first)  # she has looked again
    answer(store, second)
    assert command(*run).code == 0
    assert [int(row["n_labeled"]) for row in table(only_run(photos.parent) / "rounds.csv")] == [8, 8, 14]


def test_images_that_a_store_does_not_have_are_told(command: Command, photos: Path) -> None:
    project(photos)
    ended = command(*RUN, "oracle=people", "oracle.store=project", "al.initial_size=8")  # ids are paths
    assert ended.code == 1 and "dataset.ids=content" in ended.err
    assert command(*RUN, "oracle=people").code == 2
    ended = command(*RUN, "oracle=people", "oracle.store=elsewhere", "dataset.classes=[light,dark]")
    assert ended.code in (1, 2) and "al_lightning.label" in ended.err


def test_a_table_that_is_filled_in_answers_a_run(command: Command, photos: Path) -> None:
    run = (*RUN, "dataset.classes=[dark,light]", "oracle=people", "oracle.exchange=csv", "al.initial_size=6")
    for n_labeled in (6, 9, 12):
        ended = command(*run)
        assert ended.code == 0 and "to_label.csv" in ended.out
        file = only_run(photos.parent) / "to_label.csv"
        rows = table(file)
        assert [row["label"] for row in rows] == [""] * (6 if n_labeled == 6 else 3)
        fill(file, [(row["file_name"], truth(row["file_name"])) for row in rows[1:]])  # without the first
        assert command(*run).code == 0  # what she left out comes back, and nothing that she filled in is lost
        assert [row["label"] for row in table(file)] == ["", *(truth(row["file_name"]) for row in rows[1:])]
        fill(file, [(rows[0]["file_name"], truth(rows[0]["file_name"]))])
    assert command(*run).code == 0
    folder = only_run(photos.parent)
    assert [int(row["n_labeled"]) for row in table(folder / "rounds.csv")] == [6, 9, 12]
    for row in table(folder / "queries.csv"):
        assert row["label_name"] == truth(row["id"])


def test_a_table_with_another_label_is_told_with_its_row(command: Command, photos: Path) -> None:
    run = (*RUN, "dataset.classes=[dark,light]", "oracle=people", "oracle.exchange=csv", "al.initial_size=6")
    assert command(*run).code == 0
    file = only_run(photos.parent) / "to_label.csv"
    first = table(file)[0]["file_name"]
    fill(file, [(first, "drak")])
    ended = command(*run)
    assert ended.code == 1 and all(part in ended.err for part in ("to_label.csv", first, "drak", "dark, light"))


def fill(file: Path, rows: list[tuple[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8-sig") as opened:  # as a spreadsheet does
        csv.writer(opened, delimiter=";").writerows([("file_name", "label"), *rows])


def test_a_class_that_people_add_ends_no_run(command: Command, photos: Path) -> None:
    store = project(photos)
    run = (*RUN, "dataset.ids=content", "oracle=people", "oracle.store=project", "al.initial_size=8")
    assert command(*run).code == 0
    new = store.add_class("twilight")
    (first,) = asked(store)
    item = {path: state.item for path, state in store.files().items()}
    store.answer(store.add_annotator("ann"), "new-class", [Given(item[first[0]], "label", new)], "page")
    answer(store, first[1:])
    ended = command(*run)
    assert ended.code == 0 and "twilight" in ended.out
    assert [int(row["n_skipped"]) for row in table(only_run(photos.parent) / "rounds.csv")] == [0, 1]


def test_a_run_that_begins_anew_asks_anew(command: Command, photos: Path) -> None:
    store = project(photos)
    run = (*RUN, "dataset.ids=content", "oracle=people", "oracle.store=project", "al.initial_size=8")
    assert command(*run).code == 0
    (first,) = asked(store)
    answer(store, [f"{number:02d}.png" for number in (10, 11, 12, 13)])
    answer(store, first[:1])
    assert command(*run, "overwrite=true").code == 0  # with 13 labels, and another query
    second = asked(store)[-1]
    answer(store, {*first} - {*second})
    answer(store, second)
    assert command(*run).code == 0
    assert [int(row["n_labeled"]) for row in table(only_run(photos.parent) / "rounds.csv")] == [13, 16]


def test_a_table_of_sums_is_refused(command: Command, photos: Path) -> None:
    of_sums = ("dataset.ids=content", "oracle=people", "oracle.exchange=csv", "al.initial_size=0")
    ended = command(*RUN, "dataset.classes=[dark,light]", *of_sums)
    assert ended.code == 2 and "dataset.ids=path" in ended.err
