"""The test part that is split off a folder: it follows from what the readable files hold, class by class."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from bad_images import pixels_of
from hypothesis import given
from hypothesis import strategies as st
from image_folders import load
from PIL import Image

from al_lightning.data.folder import folder
from al_lightning.data.split import split_off

CONTENTS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), unique=True, max_size=40)
FRACTION = st.floats(0.01, 0.99)
SEED = st.integers(0, 3)


def noise(root: Path, counts: dict[str, int]) -> None:
    """Folders of so many images of random pixels."""
    rng = np.random.default_rng(sum(map(ord, "".join(counts))))
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(root / name / f"{number:03}.png")


def chosen(contents: list[str], fraction: float, seed: int) -> set[str]:
    return {contents[row] for row in split_off(contents, fraction, seed)}


@given(CONTENTS, FRACTION, SEED)
def test_a_part_of_every_class_is_tested_and_never_all_of_it(contents: list[str], fraction: float, seed: int) -> None:
    n, n_test = len(contents), len(split_off(contents, fraction, seed))
    if n < 2:
        assert n_test == 0
    else:
        assert 1 <= n_test <= n - 1
        assert abs(n_test - fraction * n) <= 0.5 or n_test in (1, n - 1)


@given(CONTENTS, FRACTION, SEED, st.randoms(use_true_random=False), st.data())
def test_order_names_and_copies_move_nothing_and_another_file_moves_one_at_most(
    contents: list[str], fraction: float, seed: int, rng, data: st.DataObject
) -> None:
    before = chosen(contents, fraction, seed)
    assert chosen(rng.sample(contents, len(contents)), fraction, seed) == before
    if len(contents) > 1:
        copies = [*contents, *data.draw(st.lists(st.sampled_from(contents), max_size=5))]
        rows = split_off(copies, fraction, seed)
        assert {copies[row] for row in rows} == before
        assert {copies[row] for row in {*range(len(copies))} - rows} == {*contents} - before
    new = "new"
    after = chosen([*contents, new], fraction, seed)
    assert len((before ^ after) - {new}) <= 1


@pytest.mark.parametrize("n", [2, 5, 31])
def test_copies_of_a_single_image_are_parted_so_that_both_parts_have_some(n: int) -> None:
    rows = split_off(["same"] * n, 0.2, 0)
    assert rows == set(range(max(1, round(n * 0.2))))


def test_the_seed_draws_another_part_and_each_image_is_as_likely() -> None:
    contents = [f"{number:x}" for number in range(50)]
    counts = np.zeros(50)
    for seed in range(400):
        counts[list(split_off(contents, 0.2, seed))] += 1
    assert counts.sum() == 400 * 10
    # 400 draws with 0.2: mean 80, standard deviation 8.
    assert 80 - 4 * 8 < counts.min() < counts.max() < 80 + 4 * 8


def test_images_go_to_their_part_with_their_pixels_and_labels(tmp_path: Path) -> None:
    noise(tmp_path, {"a": 20, "b": 10, "c": 2, "d": 1})
    data = folder(str(tmp_path), 4, 1, 0.3, 0)
    files = {path.relative_to(tmp_path).as_posix(): np.asarray(Image.open(path)) for path in tmp_path.rglob("*.png")}
    found = pixels_of(data)
    assert found.keys() == files.keys()
    for path, pixels in files.items():
        np.testing.assert_array_equal(found[path][..., 0], pixels)
    for part in (data.pool, data.test):
        assert list(part.ids) == sorted(part.ids)
        assert [path[0] for path in part.ids] == [data.classes[label] for label in part.labels]
    assert data.test.labels.bincount(minlength=4).tolist() == [6, 3, 1, 0]

    assert folder(str(tmp_path), 4, 1, 0.3, 0).test.ids == data.test.ids
    assert folder(str(tmp_path), 4, 1, 0.3, 1).test.ids != data.test.ids
    noise(tmp_path, {"B": 4})
    assert {*folder(str(tmp_path), 4, 1, 0.3, 0).test.ids} > {*data.test.ids}


def test_what_was_tested_before_an_image_came_or_went_is_tested_after_it(tmp_path: Path) -> None:
    noise(tmp_path, {"cat": 200, "dog": 40})
    before = {*load(tmp_path).test.ids}
    changes = {
        "cat/!new.png": lambda file: shutil.copy(tmp_path / "dog" / "000.png", file),
        "cat/zzz.png": lambda file: shutil.copy(tmp_path / "dog" / "001.png", file),
        "cat/100.png": lambda file: file.unlink(),
        "dog/007.png": lambda file: file.rename(file.with_name("~.png")),
    }
    for path, change in changes.items():
        shutil.copytree(tmp_path, tmp_path.with_name("changed"))
        change(tmp_path.with_name("changed") / path)
        after = {*load(tmp_path.with_name("changed")).test.ids}
        shutil.rmtree(tmp_path.with_name("changed"))
        assert len((before ^ after) - {path, "dog/~.png"}) <= 1
        assert {each for each in before if each.startswith("cat") != path.startswith("cat")} <= after


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("cache", [True, False])
def test_neither_size_nor_cache_nor_format_of_the_pixels_matters(size: int, cache: bool, tmp_path: Path) -> None:
    noise(tmp_path / "root", {"a": 30, "b": 30})
    expected = load(tmp_path / "root").test.ids
    kept = str(tmp_path / "cache") if cache else None
    for _ in range(2):
        assert folder(str(tmp_path / "root"), size, 3, 0.2, 0, kept).test.ids == expected


def test_only_images_that_can_be_read_are_shared_out(tmp_path: Path) -> None:
    """A class of one good file and bad ones keeps it in the pool, whatever their hashes are."""
    noise(tmp_path, {"a": 10, "b": 1})
    for number in range(9):
        (tmp_path / "b" / f"bad{number}.png").write_text(str(number))
    for seed in range(20):
        data = folder(str(tmp_path), 4, 1, 0.5, seed)
        assert "b/000.png" in data.pool.ids
        assert len(data.test) == 5
    noise(tmp_path, {"b/more": 1})
    assert len(load(tmp_path).test) == 3
