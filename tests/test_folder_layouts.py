"""Images in any layout: a file names the classes, or nobody does; some images have no label."""

import csv
import io
import json
import shutil
import unicodedata
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_folders import draw, load

from al_lightning.data.images import ImageData
from al_lightning.errors import ConfigError, DataError

Rows = list[tuple[str, str | None]]


def table(delimiter: str, columns: tuple[str, str], begin: str = "") -> Callable[[Rows], str]:
    def text(rows: Rows) -> str:
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([(*columns, "note"), *((path, label or "", "x") for path, label in rows)])
        return begin + file.getvalue()

    return text


def lines(file: str, label: str) -> Callable[[Rows], str]:
    return lambda rows: "".join(json.dumps({file: path, label: name, "note": [1]}) + "\n" for path, name in rows)


FORMS = {  # file -> what writes it
    "metadata.csv": table(",", ("file_name", "label")),
    "labels.csv": table(";", ("File", "Class"), begin="\ufeff"),
    "labels.tsv": table("\t", ("path", "category")),
    "metadata.jsonl": lines("file_name", "label"),
    "labels.ndjson": lines("image", "class_name"),
}


def labels(data: ImageData) -> dict[str, str]:
    """The class of every image by its id, `test ` before that of one in the test part."""
    return {
        id_: prefix + ("-" if label < 0 else data.classes[label])
        for prefix, part in (("", data.pool), ("test ", data.test))
        for id_, label in zip(part.ids, part.labels.tolist(), strict=True)
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_file_names_the_classes_of_images_in_any_layout(form: str, tmp_path: Path) -> None:
    rows: Rows = [(f"deep/er/{name}{i}.png", name) for name in ("dog", "cat") for i in range(5)]
    rows += [("flat.png", None), ("émoi, 2.png", "cat")]
    draw(tmp_path, *(path for path, _ in rows), "deep/nobody.png", ".hidden.png")
    (tmp_path / form).write_text(FORMS[form](rows), "utf-8")
    data = load(tmp_path, labels=form)
    assert data.classes == ("cat", "dog")
    found = labels(data)
    assert {path: each.removeprefix("test ") for path, each in found.items()} == {
        **{path: name or "-" for path, name in rows},
        "deep/nobody.png": "-",
    }
    assert sorted(each for each in found.values() if "test" in each) == ["test cat", "test dog"]
    assert list(data.pool.ids) == sorted(data.pool.ids)
    # Each image is still that of its path.
    shade = {path: value for value, path in enumerate([*(path for path, _ in rows), "deep/nobody.png"])}
    for part in (data.pool, data.test):
        assert [int(image.max()) for image in part.images] == [shade[id_] for id_ in part.ids]


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.sampled_from(["ant", "bee", "cow"]), min_size=12, max_size=24), seed=st.integers(0, 99))
def test_it_is_the_data_set_that_folders_would_make(
    names: list[str], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if min(names.count(each) for each in ("ant", "bee", "cow")) < 2:
        return
    flat, tree = tmp_path_factory.mktemp("flat"), tmp_path_factory.mktemp("tree")
    draw(flat, *(f"{i:02}.png" for i in range(len(names))))
    (flat / "labels.csv").write_text(FORMS["metadata.csv"]([(f"{i:02}.png", name) for i, name in enumerate(names)]))
    for i, name in enumerate(names):
        (tree / name).mkdir(exist_ok=True)
        shutil.copy(flat / f"{i:02}.png", tree / name)
    one, other = load(flat, labels="labels.csv"), load(tree)
    assert one.classes == other.classes
    assert labels(one) == {Path(path).name: each for path, each in labels(other).items()}


def test_parts_have_a_file_each_as_in_hugging_face_s_imagefolder(tmp_path: Path) -> None:
    for part, names in {"train": "aabb-", "test": "ab-"}.items():
        rows: Rows = [(f"{part}{i}.png", None if name == "-" else name) for i, name in enumerate(names)]
        draw(tmp_path / part, *(path for path, _ in rows))
        (tmp_path / part / "metadata.csv").write_text(FORMS["metadata.csv"](rows))
    data = load(tmp_path, labels="metadata.csv")
    assert labels(data) == {
        **{f"train/train{i}.png": name for i, name in enumerate("aabb-")},
        **{f"test/test{i}.png": f"test {name}" for i, name in enumerate("ab")},
    }
    assert ("test/test2.png", "in the test part, and nobody has labeled it") in data.rejected


def test_classes_may_be_named_before_an_image_has_them(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i}.png" for i in range(6)))
    (tmp_path / "l.csv").write_text("file,label\n0.png,dog\n1.png,dog\n")
    data = load(tmp_path, labels="l.csv", classes=["dog", "cat", 3])
    assert data.classes == ("dog", "cat", "3") and sorted(labels(data).values()) == ["-"] * 4 + ["dog", "test dog"]
    nobody = load(tmp_path, labels="none", classes=["dog", "cat"])
    assert set(labels(nobody).values()) == {"-"} and len(nobody.pool) == 6 and not len(nobody.test)


def test_odd_tables_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blank and empty lines, both ends of lines, absolute paths by a link, names in NFD, odd characters in a text."""
    decomposed = unicodedata.normalize("NFD", "émoi")
    draw(tmp_path / "real" / decomposed, "0.png", "1.png", "2.png", "3.png")
    (tmp_path / "link").symlink_to("real")
    absolute = tmp_path / "link" / "émoi" / "3.png"
    text = f"\r\n\r\nfile,label\r\n0.png,a\r\n\r\n1.png,\r\n,\r\n1.png,a\r\n2.png,b\r\n{absolute},b\r\n"
    (tmp_path / "real" / decomposed / "l.csv").write_text(text, "utf-8")
    rows = labels(load(tmp_path / "link", labels=f"{decomposed}/l.csv"))
    assert sorted(each.removeprefix("test ") for each in rows.values()) == ["a", "a", "b", "b"]
    lines = [{"file": f"{i}.png", "label": "ab"[i % 2], "note": "one\u2028two\x85three"} for i in range(4)]
    (tmp_path / "real" / decomposed / "l.jsonl").write_text(
        "\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8"
    )
    assert len(labels(load(tmp_path / "real" / decomposed, labels="l.jsonl"))) == 4
    excel = 'sep=;\nfile; label\n0.png; "a"\n1.png; a\n2.png; b\n3.png; b\n   \n'
    (tmp_path / "real" / decomposed / "l.csv").write_text(excel, "utf-8")
    assert load(tmp_path / "real" / decomposed, labels="l.csv").classes == ("a", "b")
    some = [{"file": "0.png", "label": "a"}, {"file": "1.png"}, {"file": "2.png", "label": "b"}]
    (tmp_path / "real" / decomposed / "l.jsonl").write_text("\n".join(map(json.dumps, some)), "utf-8")
    assert list(labels(load(tmp_path / "real" / decomposed, labels="l.jsonl")).values()) == ["a", "-", "b", "-"]
    draw(tmp_path / "parts", "train/0.png", "test/1.png", "own/2.png")
    found = load(tmp_path / "parts", labels="none", classes=["a", "b"], own_folders=[str(tmp_path / "parts" / "own")])
    assert len(found.pool) == 2
    draw(tmp_path / "pairs", *(f"{part}_{name}/{name}{part}.png" for part in "ab" for name in ("train", "test")))
    assert len(load(tmp_path / "pairs", labels="none", classes=["a", "b"]).pool) == 4
    said = capsys.readouterr().err
    assert "train and test are one pool" in said and "own is skipped: this program keeps its own files there" in said


REFUSED = [  # (files, options, what is said)
    ({}, {"labels": "l.csv"}, "dataset.labels=l.csv: there is no file "),
    ({}, {"labels": "none"}, "dataset.labels=none: nothing names the classes; say them: dataset.classes=[cat,dog]"),
    ({}, {"labels": "none", "classes": ["cat"]}, "dataset.classes=['cat']: must be at least 2 names, each once"),
    ({}, {"labels": "none", "classes": ["a", "a"]}, "must be at least 2 names, each once"),
    ({"l.csv": "0.png,cat"}, {}, "l.csv: names no image; of a table the first line names the columns"),
    (
        {"l.csv": "file,labl\n0.png,cat"},
        {},
        "has none of the columns label, class, class_name, category; it has: file, la",
    ),
    (
        {"l.csv": "file,label\n0.png,cat,dog"},
        {},
        "l.csv: cannot be read: line 2 has 3 fields, and the first line 2: 0.png,cat,dog",
    ),
    ({"l.csv": "file,label\n0.png,cat\n0.png,dog"}, {}, "line 3: 0.png has the label 'dog', and 'cat' in a line above"),
    ({"l.csv": "file,label\n../0.png,cat"}, {}, "l.csv: line 2: ../0.png is no file in"),
    ({"l.csv": "file,label\n,cat"}, {}, "l.csv: line 2: nothing is no file in"),
    ({"l.csv": "file,label\nx.png,cat\ny.png,dog"}, {}, "of the 2 images that it names none is in"),
    ({"l.csv": "file,label\n0.png,cat"}, {}, "has the class cat only for the images in"),
    ({"l.csv": "file,label\n0.png,\n"}, {}, "has no class for the images in"),
    (
        {"l.csv": "file,label\n0.png,cat\n1.png,cow"},
        {"classes": ["cat", "dog"]},
        "have others, too: cow; add them",
    ),
    ({"l.csv": b"file,label\n0.png,\xff"}, {}, "l.csv: is not in UTF-8; save it so: 'utf-8' codec"),
    ({"l.csv": ""}, {}, "l.csv: names no image"),
    ({"l.csv": "file,label,label\n0.png,cat,dog"}, {}, "l.csv: cannot be read: a column comes twice: file,label,label"),
    ({"l.csv": "file,label\nx\\0.png,cat"}, {}, "the first of them x\\0.png; folders are separated by /"),
    ({"l.jsonl": "[" * 200_000}, {"labels": "l.jsonl"}, "l.jsonl: cannot be read: "),
    ({"l.jsonl": "{]"}, {"labels": "l.jsonl"}, "l.jsonl: cannot be read: "),
    ({"l.jsonl": "[1]"}, {"labels": "l.jsonl"}, "l.jsonl: line 1: is no object of file and label"),
    (
        {"l.jsonl": '{"file": "0.png", "label": ["a"]}'},
        {"labels": "l.jsonl"},
        "line 1: label is ['a']; it has to be one",
    ),
    (
        {"l.csv": "file,label\n0.png,cat"},
        {"labels": "folders"},
        "dataset.labels=l.csv; if nobody has labeled any: data",
    ),
    ({}, {"labels": "none", "classes": ["a", "b"], "parts": ["x", "y"]}, "without labels there is no test part; leave"),
    ({}, {"ids": "name"}, "dataset.ids=name: must be path or content"),
]


@pytest.mark.parametrize(("files", "options", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_used_is_refused(
    files: Mapping[str, str | bytes], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    draw(tmp_path, "0.png", "1.png", "2.png")
    for name, text in files.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((ConfigError, DataError)) as refused:
        load(tmp_path, **{"labels": "l.csv", **options})
    assert said in str(refused.value)


def test_images_that_a_file_names_and_that_are_not_there_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path, "0.png", "1.png", "2.png", "3.png")
    rows: Rows = [("0.png", "a"), ("1.png", "a"), ("2.png", "b"), ("3.png", "b"), ("gone.png", "a")]
    (tmp_path / "l.csv").write_text(FORMS["metadata.csv"](rows))
    assert ("gone.png", "named in l.csv, and not among the images that are read") in load(
        tmp_path, labels="l.csv"
    ).rejected
    assert "1 images that l.csv names are not among those that are read, the first" in capsys.readouterr().err


def test_ids_by_content_outlive_new_names_and_leave_out_copies(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i}.png" for i in range(8)))
    for copy, of in {"copy of 0": 0, "copy of 5": 5, "copy of 7": 7}.items():
        shutil.copy(tmp_path / f"{of}.png", tmp_path / f"{copy}.png")
    # A labeled copy counts for one without a label; nobody knows which of two labels is right.
    rows: Rows = [*((f"{i}.png", "ab"[i % 2]) for i in range(6)), ("copy of 5.png", "a"), ("copy of 7.png", "b")]
    (tmp_path / "l.csv").write_text(FORMS["metadata.csv"](rows))
    before = load(tmp_path, labels="l.csv", ids="content")
    sums = {blake2b((tmp_path / f"{i}.png").read_bytes(), digest_size=16).hexdigest(): i for i in range(8)}
    assert {sums[each]: name.removeprefix("test ") for each, name in labels(before).items()} == {
        **{i: "ab"[i % 2] for i in range(5)},
        6: "-",
        7: "b",
    }
    assert all(int(image.max()) == sums[id_] for image, id_ in zip(before.pool.images, before.pool.ids, strict=True))
    new = tmp_path.parent / "new"
    for number, (path, name) in enumerate([*rows, ("6.png", None), ("7.png", None)]):
        (new / str(number)).mkdir(parents=True)
        shutil.copy(tmp_path / path, new / str(number) / f"{9 - number}.png")
        with (new / "l.csv").open("a") as file:
            file.write(("file,label\n" if number == 0 else "") + f"{number}/{9 - number}.png,{name or ''}\n")
    assert load(new, labels="l.csv", ids="content").fingerprint() == before.fingerprint()
