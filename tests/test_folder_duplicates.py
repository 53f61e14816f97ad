"""Images that look alike to the model: listed, and dropped when asked."""

import csv
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from hypothesis import given, settings
from hypothesis import strategies as st
from image_folders import draw, ids, load, tree
from PIL import Image

from al_lightning.data.images import ImageData
from al_lightning.errors import ConfigError, DataError

Drawn = list[tuple[str, str, int, bool]]  # part, class, shade, and whether it is stored in another way
IMAGES = st.lists(
    st.tuples(st.sampled_from(["train", "test"]), st.sampled_from("abc"), st.integers(0, 4), st.booleans()), max_size=14
)


def make(root: Path, images: Drawn) -> None:
    """Images besides one of its own shade in each class of each part."""
    draw(root, *(f"{part}/{name}/first.png" for part in ("train", "test") for name in "abc"))
    for number, (part, name, shade, is_large) in enumerate(images):
        picture = Image.new("L", (8, 8) if is_large else (4, 4), 100 + shade)
        picture.save(root / part / name / f"{number}.{'bmp' if is_large else 'png'}")


def equal_pairs(data: ImageData) -> set[frozenset[str]]:
    """By comparing all images."""
    images = [
        (path, image.numpy())
        for part in (data.pool, data.test)
        for path, image in zip(part.ids, part.images, strict=True)
    ]
    return {
        frozenset((path, twin)) for (path, one), (twin, other) in combinations(images, 2) if np.array_equal(one, other)
    }


def listed_pairs(data: ImageData) -> set[frozenset[str]]:
    groups = {number: [row[3] for row in data.duplicates if row[0] == number] for number, *_ in data.duplicates}
    assert list(groups) == list(range(1, len(groups) + 1))
    return {frozenset(pair) for group in groups.values() for pair in combinations(group, 2)}


@settings(max_examples=40, deadline=None)
@given(IMAGES)
def test_equal_images_are_listed_wherever_they_are(tmp_path_factory: pytest.TempPathFactory, images: Drawn) -> None:
    root = tmp_path_factory.mktemp("root")
    make(root, images)
    data = load(root)
    assert listed_pairs(data) == equal_pairs(data)
    for _, part, name, path in data.duplicates:
        assert path.startswith(f"{part}/{name}/")


@settings(max_examples=40, deadline=None)
@given(IMAGES)
def test_dropped_are_all_but_the_first_of_a_class_and_all_that_are_tested_or_in_two_classes(
    tmp_path_factory: pytest.TempPathFactory, images: Drawn
) -> None:
    root = tmp_path_factory.mktemp("root")
    make(root, images)
    kept, data = load(root), load(root, duplicates="drop")
    assert data.test.ids == kept.test.ids
    assert listed_pairs(data) == listed_pairs(kept)
    shade_of = {
        f"{part}/{name}/{number}.{'bmp' if large else 'png'}": shade
        for number, (part, name, shade, large) in enumerate(images)
    }
    tested = {shade for part, _, shade, _ in images if part == "test"}
    classes = {shade: {name for _, name, other, _ in images if other == shade} for shade in range(5)}
    seen, expected = set(), []
    for path in kept.pool.ids:
        shade = shade_of.get(path)
        if shade is None or (shade not in tested | seen and len(classes[shade]) == 1):
            expected.append(path)
        seen.add(shade)
    assert list(data.pool.ids) == expected
    assert {path for _, part, _, path in data.duplicates if part == "dropped"} == {*kept.pool.ids} - {*expected}


def test_a_test_part_that_is_split_off_holds_none_of_the_dropped_either(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 10, "b": 10})
    for number in range(31):
        draw(tmp_path, f"a/copy{number:02}.png")  # all black, as a/0.png is
    (tmp_path / "b" / "black.png").write_bytes((tmp_path / "a" / "0.png").read_bytes())
    (tmp_path / "b" / "nine.png").write_bytes((tmp_path / "b" / "9.png").read_bytes())
    data = load(tmp_path, duplicates="drop")
    assert Counter(part for _, part, *_ in data.duplicates)["dropped"] == 1 + 31 + 1 + 1
    assert ids(data) == {f"{name}/{number}.png" for name in "ab" for number in range(10)} - {"a/0.png"}
    assert equal_pairs(data) == set()
    assert len(data.test) == 4


def test_copies_of_one_image_are_a_class_of_their_own_until_they_are_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, {"b": 10, "c": 10})
    for number in range(10):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.new("L", (4, 4), 200).save(tmp_path / "a" / f"{number}.png")
    assert load(tmp_path).test.labels.bincount().tolist() == [2, 2, 2]
    assert capsys.readouterr().err == ""
    assert load(tmp_path, duplicates="drop").pool.labels.bincount().tolist() == [1, 8, 8]
    assert "class a has no test image" in capsys.readouterr().err


def test_what_is_dropped_is_part_of_the_reason_that_nothing_is_left(tmp_path: Path) -> None:
    draw(tmp_path, "a/0.png", "a/1.png", "a/2.png")
    (tmp_path / "b").mkdir()
    for number in range(3):
        (tmp_path / "b" / f"{number}.png").write_bytes((tmp_path / "a" / f"{number}.png").read_bytes())
    with pytest.raises(DataError, match=r"in class a, b\. 6 images are dropped as duplicates\."):
        load(tmp_path, duplicates="drop")


def test_what_else_is_asked_for_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 3, "b": 3})
    with pytest.raises(ConfigError, match=r"dataset\.duplicates=remove: must be keep or drop"):
        load(tmp_path, duplicates="remove")


def test_a_run_counts_them_and_lists_them(command: Command, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    draw(root, *(f"{part}/{name}/{number}.png" for part in ("train", "test") for name in "ab" for number in range(9)))
    for copy, original in {
        "train/a/same.png": "test/a/1.png",
        "train/b/same.png": "train/a/2.png",
        "train/b/again.png": "train/b/0.png",
    }.items():
        (root / copy).write_bytes((root / original).read_bytes())
    arguments = (
        "dataset=folder",
        f"dataset.root={root}",
        "dataset.image_size=8",
        "al.initial_size=4",
        "al.query_size=4",
    )
    shown = {
        "keep": "images in train and in test: 1, in more than one class: 1, more than once in a class: 1",
        "drop": "images dropped: 4",
    }
    for choice, text in shown.items():
        ended = command(*arguments, f"dataset.duplicates={choice}", f"study={choice}")
        assert ended.code == 0
        assert f"\n  duplicates  {text}; see duplicates.csv in the folder\n" in ended.out
    parts = {
        choice: [
            row[1]
            for row in csv.reader(next(Path("multirun_outputs", choice).glob("*/duplicates.csv")).open(newline=""))
        ]
        for choice in shown
    }
    assert parts == {
        "keep": ["part", "train", "train", "train", "test", "train", "train"],
        "drop": ["part", "dropped", "dropped", "dropped", "test", "train", "dropped"],
    }
