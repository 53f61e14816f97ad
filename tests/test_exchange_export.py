"""Labels as tables, folders and archives for other programs."""

import csv
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from conftest import Command
from hypothesis import given, settings
from hypothesis import strategies as st
from image_folders import draw
from run_folders import only_run, table
from test_exchange_label_studio import HOSTILE, PEOPLE, Done, do, make

from al_lightning.data.cache_folder import hashed
from al_lightning.data.layout import find_images
from al_lightning.data.names import alike
from al_lightning.data.search import Looking
from al_lightning.exchange.__main__ import main as take
from al_lightning.exchange.names import free, safe
from al_lightning.export.__main__ import main as export
from al_lightning.people.records import LABEL, SKIP

FILES = {
    "a/1.jpg": b"one",
    "b/1.JPG": b"two",
    'b/é, "q".png': b"three",
    "new\nline.jpg": b"four",
    "skipped.jpg": b"five",
    "plain": b"six",
}
SAID = [Done(0, LABEL, n, label, "page") for n, label in enumerate((1, 1, 2, 3, 5, 6), 1)] + [
    Done(1, SKIP, 5, 1, "review")
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with six images, of which five have a label."""
    do(make(tmp_path, FILES, HOSTILE, write=True), SAID)
    return tmp_path / "project"


def out(project: Path, form: str, *more: str, name: str = "out") -> Path:
    assert export([str(project), "--format", form, "--out", str(project.parent / name), *more]) == 0
    return project.parent / name


def labels(project: Path) -> dict[bytes, str]:
    """Class by content."""
    with (out(project, "csv", name="truth") / "labels.csv").open(encoding="utf-8", newline="") as file:
        return {FILES[row["file"]]: row["class"] for row in csv.DictReader(file) if row["class"]}


def test_a_table(project: Path) -> None:
    with (out(project, "csv") / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert {*rows} == {*FILES}
    assert all(row["digest"] == hashed(FILES[path]) for path, row in rows.items())
    assert {path: row["class"] for path, row in rows.items()} == {
        path: HOSTILE[said.label - 1] if path != "skipped.jpg" else "" for path, said in zip(FILES, SAID, strict=False)
    }
    assert rows["skipped.jpg"]["state"] == SKIP and rows["skipped.jpg"]["annotators"] == f'"{PEOPLE[1]}"'
    assert rows["a/1.jpg"]["annotators"] == "ann" and rows["a/1.jpg"]["at"].endswith("+00:00")


@pytest.mark.parametrize("link", [False, True])
def test_folders(link: bool, project: Path) -> None:
    folder = out(project, "folder", *(["--link"] if link else []))
    classes, truth = json.loads((folder / "classes.json").read_text("utf-8")), labels(project)
    assert [*classes.values()] == HOSTILE and {*classes} == {each.name for each in folder.iterdir() if each.is_dir()}
    files = [file for file in folder.rglob("*") if file.is_file() and file.parent != folder]
    assert {file.read_bytes(): classes[file.parent.name] for file in files} == truth
    assert {file.name for file in files} == {"1.jpg", "1_2.JPG", 'é, "q".png', "new\nline.jpg", "plain"}
    assert {file.stat().st_nlink for file in files} == {2 if link else 1}
    found = find_images(Looking(str(folder), parts=None))
    assert {classes[name]: len(paths) for name, paths in found.pool.items() if paths} == Counter(truth.values())


def test_hugging_face(project: Path) -> None:
    folder = out(project, "huggingface")
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {(folder / row["file_name"]).read_bytes(): row["label"] for row in rows} == labels(project)
    assert len([*(folder / "images").iterdir()]) == len(rows) == 5


def test_shards(project: Path, tmp_path: Path) -> None:
    folder = out(project, "webdataset")
    classes = json.loads((folder / "classes.json").read_text("utf-8"))
    samples: dict[str, dict[str, bytes]] = {}
    with tarfile.open(folder / "shard-000000.tar") as shard:
        for member in shard:
            key, _, suffix = member.name.partition(".")
            content = shard.extractfile(member)
            assert member.mtime == 0 and content is not None
            samples.setdefault(key, {})[suffix] = content.read()
    assert len(samples) == 5 and [*samples] == sorted(samples)
    found = {}
    for key, sample in samples.items():
        about, name = json.loads(sample.pop("json")), classes[int(sample.pop("cls"))]
        ((suffix, data),) = sample.items()
        assert hashed(data) == key and about["class"] == name and about["annotators"] == ["ann"]
        assert suffix == (Path(about["file"]).suffix[1:].lower() or "image")
        found[data] = name
    assert found == labels(project)
    # The same labels in another project, whose images came in another order.
    other = make(tmp_path / "other", dict(reversed(FILES.items())), HOSTILE, write=True)
    do(other, [Done(each.by, each.kind, 7 - each.item, *each[3:]) for each in SAID])
    again = out(tmp_path / "other" / "project", "webdataset")
    assert (again / "shard-000000.tar").read_bytes() == (folder / "shard-000000.tar").read_bytes()


def test_files_that_are_gone_or_others_are_left_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root := project.parent / "photos").joinpath("a/1.jpg").write_bytes(b"another")
    (root / "plain").unlink()
    for form in ("folder", "huggingface", "webdataset"):
        out(project, form, name=form)
        said = capsys.readouterr()
        assert "'a/1.jpg': left out: no file has its content now" in said.err
        assert "'plain': left out: No such file" in said.err and "3 images in" in said.out


def test_what_is_there_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(project), "--format", "csv", "--out"]
    mine = project.parent / "mine"
    mine.mkdir()
    (mine / "file").touch()
    for folder, more, said in (
        (mine, [], "is there already"),
        (mine, ["--overwrite"], "replaces earlier exports only"),
        (project.parent / "photos" / "new", [], "whose images it would be taken for"),
        (mine / "file" / "new", [], "cannot be written: Not a directory"),
    ):
        assert export([*arguments, str(folder), *more]) in (1, 2)
        assert said in capsys.readouterr().err
    assert [*mine.iterdir()] == [mine / "file"]
    first = out(project, "folder")
    assert export([str(mine), "--format", "csv", "--out", str(first), "--overwrite"]) == 1
    assert "is no project" in capsys.readouterr().err and (first / "classes.json").is_file()
    second = out(project, "csv", "--overwrite")
    assert second == first and {each.name for each in second.iterdir()} == {"labels.csv", "export.json"}
    assert not [each for each in project.parent.iterdir() if each.name.startswith(".")]


@pytest.mark.parametrize("ids", ["path", "content"])
def test_a_run_of_files(ids: str, command: Command, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw(photos, *(f"{name}/{n}.png" for name in ("a", "b") for n in range(10)))
    of_files = ("dataset=folder", f"dataset.root={photos}", "dataset.image_size=8", f"dataset.ids={ids}")
    assert command(*of_files, "al.initial_size=4", "al.query_size=2", "al.rounds=1").code == 0
    run = str(only_run(tmp_path / "cwd"))
    for form in ("folder", "label-studio"):
        assert export([run, "--format", form, "--out", str(tmp_path / form)]) == 0
    files = [*tmp_path.glob("folder/*/*.png")]
    assert len(files) == 6
    assert all((photos / file.parent.name / file.name).read_bytes() == file.read_bytes() for file in files)
    project = make(
        tmp_path / "new", {f"{file.parent.name}/{file.name}": file.read_bytes() for file in photos.rglob("*.png")}
    )
    tasks = str(tmp_path / "label-studio" / "tasks.json")
    assert take([str(tmp_path / "new" / "project"), tasks, "--add-classes"]) == 0
    assert len(project.events()) == 6


def test_a_run_of_no_files(command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("al.rounds=0").code == 0
    run = only_run(tmp_path / "cwd")
    assert export([str(run), "--format", "webdataset", "--out", str(tmp_path / "no")]) == 2
    assert "only csv is possible" in capfd.readouterr().err and not (tmp_path / "no").exists()
    assert export([str(run), "--format", "csv", "--out", str(run / "no")]) == 2
    assert export([str(run), "--format", "csv", "--out", str(tmp_path / "yes")]) == 0
    with (tmp_path / "yes" / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    labeled = int(table(run / "rounds.csv")[-1]["n_labeled"])
    assert sum(row["state"] == "labeled" and row["annotators"] != "" for row in rows) == labeled < len(rows)


def test_the_commands_need_no_pytorch(tmp_path: Path) -> None:
    """In processes of their own, on images that are looked at as the page does."""
    draw(tmp_path / "photos", "cat/1.png", "cat/2.png", "dog/1.png")
    script = """
import json, sys
from pathlib import Path
from al_lightning.exchange.__main__ import main as take
from al_lightning.export.__main__ import main as export
from al_lightning.people.scan import scan
from al_lightning.people.store import Store
project = Path("project")
store = Store(project / "labels.sqlite", create=True)
[*scan(Path("photos"), store, [])]
(project / "settings.json").write_text(json.dumps({"root": str(Path("photos").resolve())}))
Path("labels.csv").write_text("file_name,label\\ncat/1.png,cat\\n2.png,cat\\ndog/1.png,dog\\n")
assert take(["project", "labels.csv", "--add-classes"]) == 0
for form in ("csv", "label-studio", "folder", "huggingface", "webdataset"):
    assert export(["project", "--format", form, "--out", form]) == 0
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 answers taken in, 0 there already, 0 left out" in done.stdout
    assert sorted(each.name for each in (tmp_path / "folder").rglob("*.png")) == ["1.png", "1.png", "2.png"]


class_names = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=100)


@settings(max_examples=200)
@given(st.lists(st.one_of(class_names, st.sampled_from([*HOSTILE, "con.txt", "...", "Thumbs.db", "COM1", "É" * 100]))))
def test_names_of_folders(names: list[str]) -> None:
    taken: dict[str, int] = {}
    folders = [free(safe(name), taken) for name in names]
    assert len({alike(each) for each in folders}) == len(names)
    for folder in folders:
        assert 0 < len(os.fsencode(folder)) <= 255 and "/" not in folder and "\\" not in folder
        assert not folder.startswith(".") and folder == folder.rstrip(". ")
        assert folder.split(".")[0].casefold() not in ("con", "nul", "com1")
