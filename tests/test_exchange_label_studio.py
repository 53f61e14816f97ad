"""Labels to Label Studio and back: what is said of every image comes again, whatever names there are."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_lightning.data.cache_folder import File, hashed
from al_lightning.exchange import label_studio, read_label_studio
from al_lightning.exchange.__main__ import main as take
from al_lightning.exchange.labels import SETTINGS, STORE, Image, of_project
from al_lightning.exchange.said import Problem
from al_lightning.exchange.take_in import take_in
from al_lightning.export.__main__ import main as export
from al_lightning.people.records import FLAG, LABEL, SKIP, UNFLAG, UNSURE, Given
from al_lightning.people.store import Store, UnknownError

HOSTILE = ["../x", "<script>", "CON", 'a,"b"', "x" * 60, "é", ".hidden", "cat & dog's", "None"]
PEOPLE = ["ann", "bob; <b>", "eve@example.org"]


class Done(NamedTuple):
    """Who did what: a kind or `undo`, to which image, of which class, where."""

    by: int
    kind: str
    item: int
    label: int
    source: str


def make(folder: Path, files: dict[str, bytes], classes: Sequence[str] = (), write: bool = False) -> Store:
    """A project with images of some contents, which need not be on the disk."""
    root = folder / "photos"
    (project := folder / "project").mkdir(parents=True)
    (project / SETTINGS).write_text(json.dumps({"root": str(root)}))
    for path, content in files.items() if write else ():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    store = Store(project / STORE, create=True)
    store.add_files({path: File(len(data), 1, 1, 1, hashed(data)) for path, data in files.items()})
    for name in classes:
        store.add_class(name)
    return store


def do(store: Store, done: Sequence[Done]) -> None:
    people = [store.add_annotator(name) for name in PEOPLE]
    for number, each in enumerate(done):
        if each.kind == "undo":
            store.undo(people[each.by], f"action-{number}")
            continue
        said = Given(each.item, each.kind, each.label if each.kind == LABEL else None)
        store.answer(people[each.by], f"action-{number}", [said], each.source, number / 4)


def known(project: Path) -> list[Any]:
    """All that Label Studio can carry of a project: not when something was said, and of a flag only whose it is."""

    def of(image: Image) -> Any:
        said = [(each.by, each.kind, each.label, each.seconds, each.decides) for each in image.answers]
        return (
            image.digest,
            image.path,
            image.state,
            image.label,
            image.flag and image.flag.by,
            [each for each in said if each[1] != FLAG],
        )

    return [of(image) for image in of_project(project).images]


file_names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
done = st.builds(
    Done,
    st.integers(0, 2),
    st.sampled_from([LABEL, LABEL, LABEL, SKIP, UNSURE, FLAG, UNFLAG, "undo"]),
    st.integers(1, 4),
    st.integers(1, len(HOSTILE)),
    st.sampled_from(["page", "page", "grid", "review", "import"]),
)


@settings(max_examples=40)
@given(st.lists(file_names, min_size=4, max_size=4, unique=True), st.lists(done, min_size=1, max_size=14))
def test_what_comes_back_from_label_studio_is_what_went_there(names: list[str], done: list[Done]) -> None:
    files = {f"some/{name}": name.encode() for name in names}
    with TemporaryDirectory() as folder:
        here, there = Path(folder, "here"), Path(folder, "there")
        do(make(here, files, HOSTILE), done)
        out = Path(folder, "out")
        assert export([str(here / "project"), "--format", "label-studio", "--out", str(out)]) == 0
        store = make(there, dict(reversed(files.items())))
        arguments = [str(there / "project"), str(out / label_studio.TASKS), "--add-classes"]
        assert take(arguments) == 0
        assert known(there / "project") == known(here / "project")
        report = (there / "project" / "import-report.csv").read_text()
        assert report == '"row","id","what","why"\n'
        before = store.events(), store.classes(), store.annotators()
        assert take(arguments) == 0
        assert (store.events(), store.classes(), store.annotators()) == before


def test_the_sdk_of_label_studio_takes_it(tmp_path: Path) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="label-studio-sdk is not installed")
    store = make(tmp_path, {f"{each}.jpg": each.encode() for each in "abcd"}, HOSTILE)
    kinds = [(LABEL, label) for label in range(1, 1 + len(HOSTILE))] + [(SKIP, 1), (UNSURE, 1), (FLAG, 1)]
    do(store, [Done(n % 3, kind, 1 + n % 4, label, "page") for n, (kind, label) in enumerate(kinds)])
    assert export([str(tmp_path / "project"), "--format", "label-studio", "--out", str(tmp_path / "out")]) == 0
    interface = sdk.LabelInterface((tmp_path / "out" / label_studio.CONFIG).read_text("utf-8"))
    interface.validate()
    assert interface.get_control(label_studio.CLASS).labels == HOSTILE
    tasks = json.loads((tmp_path / "out" / label_studio.TASKS).read_text("utf-8"))
    annotations = [each for task in tasks for each in task["annotations"]]
    # Given annotations, `validate_task` calls itself wrongly; they are validated one by one.
    assert all(interface.validate_task({"data": task["data"]}) for task in tasks)
    assert len(annotations) >= 10 and all(interface.validate_annotation(each) for each in annotations)
    labeled = next(each for each in annotations if each["result"] and each["result"][0]["from_name"] == "class")
    labeled["result"][0]["value"]["choices"] = ["no such class"]
    assert not interface.validate_annotation(labeled)  # it does look


def chosen(*names: str, **more: Any) -> dict[str, Any]:
    """An annotation as Label Studio exports it."""
    value = {"choices": [*names]}
    result = [{"id": "x", "from_name": "animal", "to_name": "img", "type": "choices", "value": value}]
    return {"id": 7, "import_id": None, "was_cancelled": False, "ground_truth": True, "result": result, **more}


def test_an_export_of_label_studio_itself(tmp_path: Path) -> None:
    names = ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/3 a.jpg", "dog/4.jpg", "dog/5.jpg"]
    store = make(tmp_path, {name: name.encode() for name in names}, ["cat", "dog"])
    email = {"id": 4, "email": "eve@example.org", "first_name": "Eve"}
    tasks = [
        {"id": 90, "data": {"img": "/data/local-files/?d=photos/dog/1.jpg"}, "annotations": [chosen("cat")]},
        {
            "data": {"img": "/data/upload/3/8a1b2c3d-2.jpg"},
            "annotations": [chosen("cat", completed_by=1, lead_time=2.5), chosen("dog", completed_by=email)],
        },
        {"data": {"img": "s3://bucket/photos/dog/3%20a.jpg"}, "annotations": [chosen("cat", was_cancelled=True)]},
        {"data": {"img": "https://example.org/4.jpg?width=3"}, "annotations": [], "predictions": [{"result": 1}]},
        {"data": {"img": f"{tmp_path}/photos/dog/5.jpg"}, "completions": [chosen("dog")]},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(tasks), encoding="utf-8-sig")
    assert take([str(tmp_path / "project"), str(tmp_path / "labels.json"), "--annotator", "they"]) == 0
    found = {
        each.path: [(a.by, a.kind, a.label) for a in each.answers] for each in of_project(tmp_path / "project").images
    }
    assert found == {
        "dog/1.jpg": [("they", LABEL, "cat")],
        "cat/1.jpg": [],
        "cat/2.jpg": [("Label Studio user 1", LABEL, "cat"), ("eve@example.org", LABEL, "dog")],
        "dog/3 a.jpg": [("they", SKIP, None)],
        "dog/4.jpg": [],
        "dog/5.jpg": [("they", LABEL, "dog")],
    }
    assert {each.source for each in store.events()} == {"import"}
    assert [each.seconds for each in store.events()] == [None, 2.5, None, None, None]


KEYS = "data annotations result value choices type from_name digest meta annotators id import_id completed_by email"
keys = st.sampled_from([*KEYS.split(), "was_cancelled", "ground_truth", "lead_time", "file", "image"])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["choices", "cat", "class"]),
)


def mangled(draw: Callable[..., Any], value: Any) -> Any:
    """JSON with some of its values being others, anywhere in it."""
    if draw(st.integers(0, 9)) == 0:
        return draw(
            st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3))
        )
    if isinstance(value, dict):
        return {key: mangled(draw, each) for key, each in value.items()}
    return [mangled(draw, each) for each in value] if isinstance(value, list) else value


@st.composite
def files_of_tasks(draw: Callable[..., Any]) -> list[Any]:
    whole = {
        "data": {"image": "a.jpg", "digest": hashed(b"a")},
        "meta": {"annotators": {"1": "ann", "2": "bob"}},
        "annotations": [
            chosen("cat", id=1),
            chosen("dog", completed_by={"email": "eve@example.org"}, lead_time=1.0, import_id=2),
        ],
    }
    return [mangled(draw, whole) for _ in range(draw(st.integers(1, 3)))]


def test_no_file_of_tasks_breaks_it_and_nothing_goes_in_silently(tmp_path: Path) -> None:
    store, file = make(tmp_path, {"a.jpg": b"a"}, ["cat", "dog"]), tmp_path / "labels.json"

    @settings(max_examples=100)
    @given(files_of_tasks())
    def holds(tasks: list[Any]) -> None:
        file.write_text(json.dumps(tasks))
        before = len(store.events())
        said = [*read_label_studio.read(file, "they")]
        done = take_in(store, tmp_path / "photos", said, add_classes=False)
        assert done.added + done.known + len(done.problems) == len(said)
        assert len(store.events()) == before + done.added
        assert {each for each in said if isinstance(each, Problem)} <= {*done.problems}

    holds()
    assert len(store.events()) >= 3


def test_a_name_that_the_store_refuses_is_reported(tmp_path: Path) -> None:
    store = make(tmp_path, {"a.jpg": b"a"})
    tasks = [{"data": {"image": "a.jpg"}, "annotations": [chosen("x" * 61), chosen("cat", completed_by="a\nb")]}]
    (tmp_path / "labels.json").write_text(json.dumps(tasks))
    done = take_in(store, tmp_path, read_label_studio.read(tmp_path / "labels.json", "they"), add_classes=True)
    assert [each.what for each in done.problems] == ["impossible name"] * 2
    assert not store.events() and not store.annotators() and not store.classes()
    with pytest.raises(UnknownError):
        store.add_class("x" * 61)
