"""Tables and tasks into a project: what goes in, and why the rest does not."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_exchange_label_studio import Done, chosen, do, known, make

from al_lightning.data.cache_folder import hashed
from al_lightning.exchange.__main__ import main as take
from al_lightning.exchange.find import Finder
from al_lightning.exchange.labels import of_project
from al_lightning.exchange.said import AMBIGUOUS, CONFLICT, UNKNOWN_IMAGE, Said
from al_lightning.exchange.take_in import take_in
from al_lightning.export.__main__ import main as export
from al_lightning.people.records import LABEL, SKIP, Given
from al_lightning.people.store import STORE, Store

FILES = {path: path.encode() for path in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/3.jpg")}


def problems(report: Path) -> list[tuple[str, ...]]:
    with report.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def labels(project: Path) -> dict[str, str | None]:
    return {each.path: each.label for each in of_project(project).images}


def test_every_row_goes_in_or_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path, FILES, ["cat", "dog"])
    ann = store.add_annotator("ann")
    store.answer(ann, "before", [Given(item, LABEL, 1) for item in (1, 2)], "page")
    named = {name: item for item, name in store.items().items()}
    assert named[hashed(b"cat/1.jpg")] == 1
    table = [
        ("image", "digest", "class", "annotator", "state"),
        ("cat/1.jpg", "", "cat", "ann", ""),  # 2: there already
        ("cat/2.jpg", "", "dog", "ann", ""),  # 3: another answer of hers
        ("2.jpg", "", "dog", "bob", ""),  # 4: another class than the image has
        ("1.jpg", "", "dog", "bob", ""),  # 5: two images
        ("dog/9.jpg", "", "dog", "", ""),  # 6: no image
        ("dog/1.jpg", "0" * 32, "dog", "", ""),  # 7: another image at this path
        ("3.jpg", "", "bird", "", ""),  # 8: no class
        ("elsewhere", hashed(b"dog/3.jpg"), "dog", "'; DROP TABLE event", ""),  # 9: goes in
        ("3.jpg", "", "dog", "bob", ""),  # 10: goes in
        ("3.jpg", "", "cat", "bob", ""),  # 11: two classes by one annotator
        ("dog/1.jpg", "", "", "", ""),  # 12: nobody has labeled it
        ("dog/1.jpg", "", "", "bob", SKIP),  # 13: goes in
        ("dog/1.jpg", "", "", "", "disputed"),  # 14
        ("", "", "cat", "", ""),  # 15
    ]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)
        file.write("one,too,many,fields,in,this\r\n")  # 16
    arguments = [str(tmp_path / "project"), str(tmp_path / "labels.csv")]
    assert take(arguments) == 0
    found = problems(tmp_path / "project" / "import-report.csv")
    assert [(row, what) for row, _, what, _ in found] == [
        ("line 3", "conflict"),
        ("line 4", "conflict"),
        ("line 5", "ambiguous name"),
        ("line 6", "unknown image"),
        ("line 7", "unknown image"),
        ("line 8", "unknown class"),
        ("line 11", "conflict"),
        ("line 14", "disputed"),
        ("line 15", "unknown image"),
        ("line 16", "malformed"),
    ]
    assert found[1][1:] == ("2.jpg", "conflict", "bob says 'dog' here; in the project it is 'cat'")
    assert "3 answers taken in, 1 there already, 10 left out (ambiguous name 1, conflict 3, " in capsys.readouterr().out
    assert labels(tmp_path / "project") == {
        "cat/1.jpg": "cat",
        "cat/2.jpg": "cat",
        "dog/1.jpg": None,
        "dog/3.jpg": "dog",
    }
    bob = store.add_annotator("bob")
    assert store.undo(bob, "no-more") is None  # by a key of the page, which shows what bob did there
    assert store.undo(bob, "no-more", store.events()[-1].action)  # and it stays undone
    before = store.events()
    assert take(arguments) == 0 and store.events() == before
    assert "0 answers taken in, 4 there already" in capsys.readouterr().out


def test_a_class_in_other_case_is_no_further_class(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["cat"]).close()
    (tmp_path / "labels.csv").write_text("file,class\ncat/1.jpg,Cat\ndog/3.jpg,dog\ndog/1.jpg,DOG\n")
    assert take([str(tmp_path / "project"), str(tmp_path / "labels.csv"), "--add-classes"]) == 0
    assert [(row, what, why) for row, _, what, why in problems(tmp_path / "project" / "import-report.csv")] == [
        ("line 2", "unknown class", "the project has no class 'Cat'; it has 'cat': write it so"),
        ("line 4", "unknown class", "the project has no class 'DOG'; it has 'dog': write it so"),
    ]
    assert labels(tmp_path / "project")["dog/3.jpg"] == "dog"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("1.jpg", "2019/1.jpg"),
        ("./1.jpg", "2019/1.jpg"),
        ("/elsewhere/2019/1.jpg", "2019/1.jpg"),
        ("https://example.org/all/2019/1.jpg?size=3", "2019/1.jpg"),
        ("/data/upload/3/8a1b2c3d-1.jpg", "2019/1.jpg"),
        ("8a1b2c3d-1.jpg", "2019/1.jpg"),
        ("a/2.jpg", "all/a/2.jpg"),
        ("photos/3.jpg", "3.jpg"),
        ("photos/b/4.jpg", "b/4.jpg"),
        ("b/4.jpg", "b/4.jpg"),
        ("4.jpg", AMBIGUOUS),
        ("/elsewhere/4.jpg", UNKNOWN_IMAGE),
        ("2020/1.jpg", UNKNOWN_IMAGE),
        ("2020/8a1b2c3d-1.jpg", UNKNOWN_IMAGE),
        ("https://example.org/2020/1.jpg", UNKNOWN_IMAGE),
        ("019/1.jpg", UNKNOWN_IMAGE),
    ],
)
def test_the_same_file_name_in_another_folder_is_another_image(name: str, meant: str, tmp_path: Path) -> None:
    paths = ["2019/1.jpg", "all/a/2.jpg", "3.jpg", "b/4.jpg", "c/4.jpg"]
    finder = Finder(make(tmp_path, {path: path.encode() for path in paths}), tmp_path / "photos")
    found = finder.find(Said("line 2", "", (name,), "ann", SKIP))
    assert (paths[found - 1] if isinstance(found, int) else found.what) == meant


def test_an_answer_that_comes_in_meanwhile_stays(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["cat", "dog"]).close()
    path = tmp_path / "project" / STORE
    page = Store(path)

    class Slow(Store):
        @contextmanager
        def together(self) -> Iterator[None]:
            if not page.events():
                page.answer(page.add_annotator("ann"), "page", [Given(1, LABEL, 1)], "page")
            with super().together():
                yield

    said = Said("line 2", "", ("cat/1.jpg",), "bob", LABEL, "dog")
    done = take_in(Slow(path), tmp_path / "photos", [said], add_classes=False)
    assert [each.what for each in done.problems] == [CONFLICT] and len(page.events()) == 1


def test_a_store_that_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, FILES, ["cat", "dog"]).close()
    (tmp_path / "labels.csv").write_text("file,class\n3.jpg,cat\n")
    with (tmp_path / "project" / STORE).open("r+b") as file:
        rest = file.seek(0, 2) - file.seek(4096)  # after the page that says which tables there are
        file.write(b"\xff" * rest)
    project = str(tmp_path / "project")
    assert take([project, str(tmp_path / "labels.csv")]) == 1
    assert export([project, "--format", "csv", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [each.startswith(f"error: {project}/{STORE}: ") and "malformed" in each for each in said] == [True, True]


def test_an_import_that_was_cut_short_ends_as_a_whole_one(tmp_path: Path) -> None:
    """Annotators who disagree in the file do so in the project, also where one of them was in already."""
    tasks = [
        {"data": {"image": "3.jpg"}, "annotations": [chosen(name, completed_by=by) for by, name in enumerate("ab")]}
    ]
    (tmp_path / "whole.json").write_text(json.dumps(tasks))
    tasks[0]["annotations"].pop()
    (tmp_path / "half.json").write_text(json.dumps(tasks))
    for place, files in {"whole": ["whole"], "resumed": ["half", "whole", "half"]}.items():
        make(tmp_path / place, FILES).close()
        for name in files:
            assert take([str(tmp_path / place / "project"), str(tmp_path / f"{name}.json"), "--add-classes"]) == 0
    assert known(tmp_path / "whole" / "project") == known(tmp_path / "resumed" / "project")
    assert [each.state for each in of_project(tmp_path / "whole" / "project").images].count("disputed") == 1


def test_a_table_that_we_wrote_comes_back(tmp_path: Path) -> None:
    """But for disputed images, which are reported: a row has one class."""
    odd = {'a,"b"\n.jpg': b"1", " é;\r.png": b"2", "-.jpg": b"3", "x.jpg": b"4"}
    kinds = [
        (0, LABEL, 1, 1),
        (1, LABEL, 1, 1),
        (0, SKIP, 2, 1),
        (1, "unsure", 2, 1),
        (2, LABEL, 3, 2),
        (2, "flag", 3, 1),
    ]
    do(
        make(tmp_path / "a", odd, ["../x", "b"]),
        [Done(by, kind, item, label, "page") for by, kind, item, label in kinds],
    )
    assert export([str(tmp_path / "a" / "project"), "--format", "csv", "--out", str(tmp_path / "out")]) == 0
    make(tmp_path / "b", odd).close()
    arguments = [str(tmp_path / "b" / "project"), str(tmp_path / "out" / "labels.csv"), "--add-classes"]
    assert take([*arguments, "--report", str(tmp_path / "report.csv")]) == 0
    assert problems(tmp_path / "report.csv") == []
    pairs = [of_project(tmp_path / each / "project").images for each in "ab"]
    for before, after in zip(*pairs, strict=True):
        assert (after.path, after.state, after.label) == (before.path, before.state, before.label)
        assert after.annotators == before.annotators and bool(after.flag) == bool(before.flag)


def test_lines_of_json(tmp_path: Path) -> None:
    store = make(tmp_path, FILES, ["0"])
    lines = ['{"file_name": "cat/1.jpg", "label": 0}', "[" * 9_000, "{", "3", '{"file_name": ["a"], "label": "0"}', ""]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    assert take([str(tmp_path / "project"), str(tmp_path / "metadata.jsonl")]) == 0
    assert [each[::2] for each in problems(tmp_path / "project" / "import-report.csv")] == [
        (f"line {line}", "malformed") for line in (2, 3, 4, 5)
    ]
    assert [each.label for each in store.events()] == [1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.json", None, "nowhere.json: cannot be read: No such file"),
        ("labels.json", b"[{", "labels.json: cannot be read: "),
        ("labels.csv", b"\xff\xfe", "labels.csv: is not in UTF-8"),
        ("labels.csv", b"", "labels.csv: is empty; its first line has to be such as file_name,label"),
        ("labels.tsv", b"\xef\xbb\xbf\n \n", "labels.tsv: is empty"),
        ("labels.json", b"", 'labels.json: is empty; its first line has to be such as {"file_name": '),
        ("labels.csv", b"3.jpg,cat\n1.jpg,dog\n", "such as file_name,label: one of file_name, file,"),
        ("labels.csv", b"file,size\n3.jpg,9\n", "it is: file,size"),
        ("labels.csv", b"file,class,class\n", "it is: file,class,class"),
        ("labels.csv", b"sep=;\n", "it is: not there"),
        ("labels.csv", b'"file,class\n', "its first line cannot be read: unexpected end of data"),
    ],
)
def test_a_file_that_cannot_be_read(
    name: str, content: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, FILES).close()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert take([str(tmp_path / "project"), str(tmp_path / name)]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("name", "content"), [("labels.csv", "file,class\n"), ("tasks.json", "[]")])
def test_a_file_without_answers(name: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, FILES).close()
    (tmp_path / name).write_text(content)
    assert take([str(tmp_path / "project"), str(tmp_path / name)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / name}: has no answers in it\n"


def test_a_report_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path, FILES, ["cat"])
    (tmp_path / "labels.csv").write_text("file,class\n3.jpg,cat\n")
    (report := tmp_path / "report.csv").write_text("mine")
    arguments = [str(tmp_path / "project"), str(tmp_path / "labels.csv"), "--report", str(report)]
    assert take(arguments) == 2 and report.read_text() == "mine" and not store.events()
    assert "--overwrite" in capsys.readouterr().err
    assert take([*arguments, "--overwrite"]) == 0 and problems(report) == [] and len(store.events()) == 1
    assert take([str(tmp_path), str(tmp_path / "labels.csv")]) == 1
    assert "there is no store of labels" in capsys.readouterr().err
