"""Training and test part of a folder by their names, and folders that are something else than classes."""

import re
from pathlib import Path
from typing import Any

import pytest
from image_folders import ids, load, tree

from al_lightning.data.parts import role
from al_lightning.errors import ConfigError, DataError

COUNTS = {"cat": 4, "dog": 3}


def parts(root: Path, *names: str) -> None:
    """Parts of two classes each."""
    tree(root, {f"{part}/{name}": count for part in names for name, count in COUNTS.items()})


def said(capsys: pytest.CaptureFixture[str], root: Path) -> list[str]:
    return [line.replace(str(root), "ROOT") for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("pool", "test", "others", "note"),
    [
        ("train", "test", [], ""),
        ("Train", "Test", [], ""),
        ("TRAIN", "test", [], ""),
        ("training", "testing", [], ""),
        ("training_set", "test_set", [], ""),
        ("TrainSet", "TestSet", [], ""),
        ("seg_train", "seg_test", ["seg_pred"], "only seg_train and seg_test are read, not seg_pred"),
        ("train", "val", [], "no test folder, so val is the test part"),
        ("train", "Valid", [], "no test folder, so Valid is the test part"),
        ("training", "validation", [], "no test folder, so validation is the test part"),
        ("train2017", "val2017", [], "no test folder, so val2017 is the test part"),
        ("train", "test", ["val"], "only train and test are read, not val"),
        ("train", "test", ["valid", "extra"], "only train and test are read, not extra, valid"),
        ("train", "test", ["seg_train", "seg_test"], "only train and test are read, not seg_test, seg_train"),
        ("train", "val", ["x"], "no test folder, so val is the test part; only train and val are read, not x"),
    ],
)
def test_the_parts_are_known_by_their_names(
    pool: str, test: str, others: list[str], note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts(tmp_path, pool, test, *others)
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    for part, images in ((pool, data.pool), (test, data.test)):
        assert list(images.ids) == sorted(
            f"{part}/{name}/{n}.png" for name, count in COUNTS.items() for n in range(count)
        )
    assert said(capsys, tmp_path) == ([f"note: ROOT: {note}"] if note else [])


@pytest.mark.parametrize(
    "name", ["trained", "contest", "strain", "testament", "attest", "value", "invalid", "devil", "cat"]
)
def test_a_word_within_a_word_is_none(name: str) -> None:
    assert role(name) is None


def test_a_part_that_was_unpacked_into_a_folder_of_its_name_is_found_inside(tmp_path: Path) -> None:
    parts(tmp_path, "seg_train/seg_train", "seg_test/seg_test")
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.test.ids[0] == "seg_test/seg_test/cat/0.png"


@pytest.mark.parametrize("name", ["train", "Training"])
def test_a_training_part_alone_holds_the_classes_and_a_test_part_is_split_off(name: str, tmp_path: Path) -> None:
    parts(tmp_path, name)
    (tmp_path / "README.md").touch()
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert len(data.test) == 2
    assert ids(data) == {f"{name}/{kind}/{n}.png" for kind, count in COUNTS.items() for n in range(count)}


def test_words_of_parts_among_other_classes_are_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree(tmp_path, {"train": 3, "train/steam": 3, "train/electric": 3, "bus": 4, "car": 4})
    assert load(tmp_path).classes == ("bus", "car", "train")
    assert said(capsys, tmp_path) == []
    (tmp_path / "train" / "0.png").unlink()
    (tmp_path / "train" / "1.png").unlink()
    (tmp_path / "train" / "2.png").unlink()
    assert load(tmp_path).classes == ("bus", "car", "train")
    (line,) = said(capsys, tmp_path)
    assert line == "note: ROOT: train is taken for a class; if it holds the classes: dataset.root=ROOT/train"


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "Train", "test"), r"more than one folder .*: Train, test, train; .*dataset\.parts=\[TRAIN,TEST\]"),
        (("train", "val", "valid"), r"more than one folder .*: train, val, valid"),
        (("a_train", "a_test", "b_train", "b_test"), r"more than one folder .*: a_test, a_train, b_test, b_train"),
        (("images", "masks"), r"named like kinds of files, not like classes: images, masks; .*dataset\.parts=null"),
        (
            ("fold1", "fold2", "fold3"),
            r"fold1, fold2, fold3 all hold the same folders \(cat, dog\).*parts=\[fold1,fold2\]",
        ),
        (("val", "test"), r"test, val all hold the same folders .*dataset\.root=ROOT/test\. .*dataset\.parts=null"),
        (("train/a", "train/b", "test/a"), r"a, b in train all hold the same .*ROOT/train/a\. .*parts=\[train,test\]"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_was_found(
    folders: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    parts(tmp_path, *folders)
    with pytest.raises(ConfigError, match=message.replace("ROOT", re.escape(str(tmp_path)))):
        load(tmp_path)


def test_pictures_and_their_masks_are_no_classes(tmp_path: Path) -> None:
    tree(tmp_path, {"Images": 5, "masks": 5})
    with pytest.raises(ConfigError, match="named like kinds of files, not like classes: Images, masks"):
        load(tmp_path)
    assert load(tmp_path, parts=None).classes == ("Images", "masks")


def test_folders_inside_classes_are_theirs_where_they_do_not_say_the_same(tmp_path: Path) -> None:
    """One for all, as Tiny ImageNet has it, or images beside them."""
    tree(tmp_path / "tiny", {"n01/images": 4, "n02/images": 4})
    assert load(tmp_path / "tiny").classes == ("n01", "n02")
    tree(tmp_path / "years", {"cat/2019": 4, "cat/2020": 4, "dog/2019": 4, "dog/2020": 4, "dog": 1})
    assert load(tmp_path / "years").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("given", "classes", "test"),
    [
        (None, ("fold1", "fold2"), 2),
        (["fold2", "fold1"], ("cat", "dog"), 7),
    ],
)
def test_what_is_asked_for_is_taken(given: Any, classes: tuple[str, ...], test: int, tmp_path: Path) -> None:
    parts(tmp_path, "fold1", "fold2")
    data = load(tmp_path, parts=given)
    assert data.classes == classes
    assert len(data.test) == test
    if given:
        assert all(path.startswith("fold1/") for path in data.test.ids)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none", r"dataset\.parts=none: must be auto, null or two folders"),
        (["train"], r"dataset\.parts=\['train'\]: must be auto, null or two folders"),
        (["train", "train"], "must be auto, null or two folders"),
        (["train", "tests"], r"there is no folder tests in .*; there are: test, train\."),
        (["train", ""], r"there is no folder  in "),
        (["train", "../other"], r"/\.\./other is a link that leads out"),
    ],
)
def test_parts_that_are_not_there_are_refused(given: Any, message: str, tmp_path: Path) -> None:
    parts(tmp_path / "root", "train", "test")
    parts(tmp_path, "other")
    with pytest.raises(ConfigError, match=message):
        load(tmp_path / "root", parts=given)


def test_images_in_no_class_folder_are_listed_and_named_where_nothing_else_is_left(tmp_path: Path) -> None:
    tree(tmp_path / "flat", {".": 3})
    with pytest.raises(
        ConfigError, match=r"found: none\. Files rejected: 3, the first of them 0\.png: in no class folder"
    ):
        load(tmp_path / "flat")
    tree(tmp_path / "unlabeled", {"train/cat": 3, "train/dog": 3, "test": 2})
    with pytest.raises(DataError, match=r"test part has no image: .*rejected: 2, .* test/0\.png: in no class folder"):
        load(tmp_path / "unlabeled")
    tree(tmp_path / "both", {".": 1, "cat": 3, "dog": 3})
    (tmp_path / "both" / "LICENSE").touch()
    assert load(tmp_path / "both").rejected == (("0.png", "in no class folder"),)


def test_a_single_folder_that_holds_the_classes_is_pointed_at(tmp_path: Path) -> None:
    tree(tmp_path, {"photos/cat": 3, "photos/dog": 3})
    with pytest.raises(ConfigError, match=rf"photos \(6 images\)\. .*\(cat, dog\): dataset\.root={tmp_path}/photos\."):
        load(tmp_path)
