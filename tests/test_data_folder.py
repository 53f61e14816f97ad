"""The user's own images: layouts, split, links, odd and bad files, classes without images, refusals."""

import os
from pathlib import Path

import numpy as np
import pytest
from bad_images import KINDS, Kind, outcome, pixels_of
from omegaconf import OmegaConf
from PIL import Image

from al_lightning.data.folder import folder
from al_lightning.errors import ConfigError, DataError


def _draw_images(root: Path, counts: dict[str, int], size: tuple[int, int] = (8, 6)) -> dict[str, np.ndarray]:
    """PNG files of random pixels: path relative to root -> uint8 [H, W, 3]."""
    rng = np.random.default_rng(1)
    drawn = {}
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            drawn[f"{name}/{number:02}.png"] = pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"{name}/{number:02}.png")
    return drawn


def test_folder_with_train_and_test_keeps_pixels_order_and_parts(tmp_path: Path) -> None:
    counts = {"train/dog/deep/er": 2, "train/dog": 2, "train/cat": 3, "test/dog": 1, "test/cat": 2}
    drawn = _draw_images(tmp_path, counts)
    for ignored in (
        ".hidden/a.png",
        "train/.git/a.png",
        "train/cat/.a.png",
        "train/cat/.thumbs/a.png",
        "test/cat/a.txt",
    ):
        (tmp_path / ignored).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ignored).write_text("not to be looked at")

    data = folder(str(tmp_path), OmegaConf.create([8, 6]), 3, 0.2, 0)

    assert data.classes == ("cat", "dog")
    assert data.rejected == ()
    assert [*data.pool.ids, *data.test.ids] == sorted(drawn, key=lambda path: (path.startswith("test"), path))
    for part in (data.pool, data.test):
        for image, label, path in zip(part.images, part.labels, part.ids, strict=True):
            np.testing.assert_array_equal(image.permute(1, 2, 0), drawn[path])
            assert data.classes[int(label)] in path
    assert folder(str(tmp_path), [8, 6], 3, 0.2, 5).fingerprint() == data.fingerprint()


def test_broken_files_are_left_out_with_a_reason_and_the_good_ones_are_used(tmp_path: Path) -> None:
    drawn = _draw_images(tmp_path, {"a": 3, "b": 2})
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        tmp_path / "a/whole.jpg"
    )
    whole = (tmp_path / "a/whole.jpg").read_bytes()
    (tmp_path / "a/cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "a/cut.png").write_bytes((tmp_path / "a/00.png").read_bytes()[:100])
    (tmp_path / "a/empty.png").touch()
    (tmp_path / "b/text.PNG").write_text("hello")
    (tmp_path / "b/link.png").symlink_to("nowhere")
    # More pixels than the limit (Pillow warns), and more than twice as many (Pillow raises).
    Image.new("RGB", (80, 80)).save(tmp_path / "a/large.png")
    Image.new("RGB", (200, 200)).save(tmp_path / "a/bomb.png")

    data = folder(str(tmp_path), [8, 6], 3, 0.5, 0, max_pixels=5000)

    assert {*data.pool.ids, *data.test.ids} == {*drawn, "a/whole.jpg"}
    reasons = dict(data.rejected)
    assert list(reasons) == sorted(reasons)
    for path, words in {
        "a/cut.jpg": "truncated",
        "a/cut.png": "truncated",
        "a/empty.png": "0 bytes",
        "a/large.png": "exceeds limit",
        "a/bomb.png": "exceeds limit",
        "b/text.PNG": "not an image",
        "b/link.png": "cannot be followed",
    }.items():
        assert words in reasons.pop(path)
    assert not reasons
    for part in (data.pool, data.test):
        for image, path in zip(part.images, part.ids, strict=True):
            if path in drawn:
                np.testing.assert_array_equal(image.permute(1, 2, 0), drawn[path])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_odd_file_is_decoded_as_it_looks_or_left_out_with_the_reason(kind: Kind, tmp_path: Path) -> None:
    found = outcome(kind, tmp_path)
    if isinstance(kind.expected, str):
        assert found.startswith("left out: ")
        assert kind.expected in found
    else:
        assert found == "decoded"


def test_color_in_gray_is_as_pillow_weighs_it(tmp_path: Path) -> None:
    drawn = _draw_images(tmp_path, {"a": 2, "b": 2})
    data = folder(str(tmp_path), [8, 6], 1, 0.5, 0)
    assert data.channels == 1
    for path, pixels in pixels_of(data).items():
        np.testing.assert_array_equal(pixels[..., 0], Image.fromarray(drawn[path]).convert("L"))


def test_a_large_image_shrinks_to_its_local_means(tmp_path: Path) -> None:
    """Antialiased: each pixel stands for the area it replaces, whatever the stripes in it, in a PNG and a JPEG."""
    stripes = np.zeros((512, 512), np.uint8)
    stripes[:, ::2] = 200
    for name, suffix in {"a": "png", "b": "jpg"}.items():
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.fromarray(stripes).save(tmp_path / name / f"{number}.{suffix}", quality=95)
    data = folder(str(tmp_path), 16, 1, 0.5, 0)
    assert (data.pool.images.int() - 100).abs().max() <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": "nowhere"}, r"dataset\.root=nowhere: must be a folder"),
        ({"image_size": 0}, r"dataset\.image_size=0: .*from 1"),
        ({"image_size": [8, 8, 3]}, r"dataset\.image_size=\[8, 8, 3\]"),
        ({"image_size": "64"}, r"dataset\.image_size=64"),
        ({"image_size": True}, r"dataset\.image_size=True"),
        ({"image_size": 10**7}, r"dataset\.image_size=.*GiB"),
        ({"channels": 4}, r"dataset\.channels=4: must be 1 .* or 3"),
        ({"test_fraction": 1.0}, r"dataset\.test_fraction=1\.0: .*from 0"),
        ({"test_fraction": -0.1}, r"dataset\.test_fraction=-0\.1"),
    ],
)
def test_arguments_out_of_range_are_named(change: dict, message: str, tmp_path: Path) -> None:
    _draw_images(tmp_path, {"a": 20, "b": 20})
    arguments = {"root": str(tmp_path), "image_size": 8, "channels": 3, "test_fraction": 0.2, "seed": 0, **change}
    with pytest.raises(ConfigError, match=message):
        folder(**arguments)


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ({}, ConfigError, r"dataset\.root=.*<root>/train/<class>/.*found: none"),
        ({"a": 3}, ConfigError, r"at least 2 classes.*a \(3 images\)"),
        ({"a": 3, "b": 0}, ConfigError, r"at least 2 classes.*a \(3 images\), b \(0 images\)"),
        ({"train/a": 1, "train/b": 1, "test/a": 1, "test/x": 1}, ConfigError, "class x is in test, but not in train"),
        ({"train/a": 1, "train/b": 1, "test/a": 0}, DataError, "test part has no image"),
        ({"a": 1, "b": 1}, DataError, "test part has no image"),
    ],
)
def test_layouts_that_cannot_work_are_explained(counts: dict, error: type, message: str, tmp_path: Path) -> None:
    _draw_images(tmp_path, counts)
    with pytest.raises(error, match=message):
        folder(str(tmp_path), 8, 3, 0.2, 0)


def test_images_that_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _draw_images(tmp_path, {"a": 5, "b": 5})  # 10 images of 3 x 8 x 8 bytes
    memory = {"SC_PHYS_PAGES": 1919, "SC_PAGE_SIZE": 1}
    monkeypatch.setattr(os, "sysconf", memory.__getitem__)
    with pytest.raises(
        ConfigError, match=r"dataset\.image_size=\[8, 8\]: 10 images of this size need .* make them smaller"
    ):
        folder(str(tmp_path), 8, 3, 0.2, 0)
    memory["SC_PHYS_PAGES"] = 1920
    assert len(folder(str(tmp_path), 8, 3, 0.2, 0).pool) == 8


# --- classes --------------------------------------------------------------------------------------------------------


def _spoil(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("hello")


def test_a_class_without_an_image_to_learn_from_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a to f: b has bad images only, c an empty folder, d no test folder, e bad test images, f is empty in test."""
    good = {"train/a": 2, "train/d": 1, "train/e": 1, "test/a": 1, "test/b": 2, "test/c": 1}
    drawn = _draw_images(tmp_path, {**good, "train/c": 0, "test/f": 0})
    _spoil(tmp_path, "train/b/0.png", "test/b/bad.png", "test/e/0.png")
    data = folder(str(tmp_path), [8, 6], 3, 0.2, 0)
    assert data.classes == ("a", "d", "e")
    assert [data.classes[label] for label in data.pool.labels] == ["a", "a", "d", "e"]
    assert dict(data.rejected) == {
        "test/b/00.png": "its class b has no image to learn from",
        "test/b/01.png": "its class b has no image to learn from",
        "test/b/bad.png": "not an image that can be read",
        "test/c/00.png": "its class c has no image to learn from",
        "test/e/0.png": "not an image that can be read",
        "train/b/0.png": "not an image that can be read",
    }
    for path, pixels in pixels_of(data).items():
        np.testing.assert_array_equal(pixels, drawn[path])
    assert capsys.readouterr().err == (
        f"warning: {tmp_path}: class b, c has no image to learn from: it is left out\n"
        f"warning: {tmp_path}: class d, e has no test image: the test measures are without it\n"
    )


def test_one_image_a_class_is_enough_with_a_test_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _draw_images(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1})
    assert len(folder(str(tmp_path), 8, 3, 0.2, 0).pool) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("counts", "bad", "message"),
    [
        ({}, ["a/0.png", "b/0.png"], r"at least 2 classes.* class a, b\..*rejected: 2,.* a/0\.png: not an image"),
        ({"b": 3}, ["a/0.png"], r"at least 2 classes.* class a\..*rejected: 1,.* a/0\.png: not an image"),
        ({"train/b": 3, "test/a": 2, "test/b": 1}, ["train/a/x.png"], r"class a\..*first of them train/a/x\.png: not"),
        (
            {"train/a": 1, "train/b": 1},
            ["train/b/x.png", "test/a/0.png"],
            r"test part has no image: add .*rejected: 1, .*test/a/0\.png: not an image",
        ),
    ],
)
def test_too_few_readable_images_are_a_data_error_that_quotes_the_first(
    counts: dict, bad: list[str], message: str, tmp_path: Path
) -> None:
    _draw_images(tmp_path, counts)
    _spoil(tmp_path, *bad)
    with pytest.raises(DataError, match=message):
        folder(str(tmp_path), 8, 3, 0.2, 0)
