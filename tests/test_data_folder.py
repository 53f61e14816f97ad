"""The user's own images: layouts, split, ways to store a pixel, broken files and refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
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


def test_folder_without_parts_splits_each_class_by_its_own_draw(tmp_path: Path) -> None:
    drawn = _draw_images(tmp_path, {"a": 20, "b": 10, "c": 2, "d": 1})
    data = folder(str(tmp_path), 8, 3, 0.3, 0)
    assert data.image_size == (8, 8)
    assert sorted([*data.pool.ids, *data.test.ids]) == sorted(drawn)
    assert list(data.pool.ids) == sorted(data.pool.ids)
    assert data.test.labels.bincount(minlength=4).tolist() == [6, 3, 1, 0]

    assert folder(str(tmp_path), 8, 3, 0.3, 0).test.ids == data.test.ids
    assert folder(str(tmp_path), 8, 3, 0.3, 1).test.ids != data.test.ids
    _draw_images(tmp_path, {"B": 4})
    assert set(folder(str(tmp_path), 8, 3, 0.3, 0).test.ids) > set(data.test.ids)


def test_broken_files_are_left_out_with_a_reason_and_the_good_ones_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    Image.new("RGB", (80, 80)).save(tmp_path / "a/large.png")
    Image.new("RGB", (200, 200)).save(tmp_path / "a/bomb.png")

    data = folder(str(tmp_path), [8, 6], 3, 0.5, 0)

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
        "b/link.png": "No such file",
    }.items():
        assert words in reasons.pop(path)
    assert not reasons
    for part in (data.pool, data.test):
        for image, path in zip(part.images, part.ids, strict=True):
            if path in drawn:
                np.testing.assert_array_equal(image.permute(1, 2, 0), drawn[path])


def test_every_way_to_store_a_pixel_comes_out_as_it_looks(tmp_path: Path) -> None:
    color = np.zeros((8, 6, 3), np.uint8) + np.array([200, 100, 0], np.uint8)
    color[:4] = 20  # an upper half to tell up from down
    image = Image.fromarray(color)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # to be turned clockwise to be seen upright
    gray = np.array(image.convert("L"))
    (tmp_path / "a").mkdir()
    _draw_images(tmp_path, {"b": 2})
    image.save(tmp_path / "a/rgb.png")
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a/palette.gif")
    image.convert("CMYK").save(tmp_path / "a/cmyk.tif")
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a/exif.png", exif=rotated)
    image.save(tmp_path / "a/film.webp", save_all=True, append_images=[Image.new("RGB", (6, 8))], lossless=True)
    clear = Image.fromarray(np.dstack([color, np.full((8, 6), 51, np.uint8)]))
    clear.save(tmp_path / "a/alpha.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "a/gray16.png")
    Image.fromarray(gray.astype(np.float32)).save(tmp_path / "a/float.tif")

    data = folder(str(tmp_path), [8, 6], 3, 0.01, 0)
    found = dict(zip([*data.pool.ids, *data.test.ids], [*data.pool.images, *data.test.images], strict=True))
    looks = {
        "a/alpha.png": color * 0.2 + 255 * 0.8,
        "a/gray16.png": np.repeat(gray[..., None], 3, axis=2),
        **{f"a/{name}": color for name in ("rgb.png", "palette.gif", "cmyk.tif", "exif.png", "film.webp")},
    }
    assert {path for path in found if path.startswith("a/")} == looks.keys()
    for path, expected in looks.items():
        np.testing.assert_allclose(found[path].permute(1, 2, 0), expected, atol=1, err_msg=path)
    assert data.rejected == (("a/float.tif", "floating-point pixels: save it with 8 or 16 bits a pixel"),)

    in_gray = folder(str(tmp_path), [8, 6], 1, 0.01, 0)
    assert in_gray.channels == 1
    row = [*in_gray.pool.ids, *in_gray.test.ids].index("a/rgb.png")
    np.testing.assert_array_equal(torch.cat([in_gray.pool.images, in_gray.test.images])[row, 0], gray)


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
        ({"test_fraction": 1.0}, r"dataset\.test_fraction=1\.0: .*between 0 and 1"),
        ({"test_fraction": 0}, r"dataset\.test_fraction=0"),
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
        ({"a": 3, "b": 3, "c": 0}, ConfigError, "no images in class c"),
        ({"train/a": 1, "train/b": 1, "test/a": 1, "test/x": 1}, ConfigError, "class x is in test, but not in train"),
        ({"train/a": 1, "train/b": 1, "test/a": 0}, DataError, "test part has no image"),
        ({"a": 1, "b": 1}, DataError, "test part has no image"),
    ],
)
def test_layouts_that_cannot_work_are_explained(counts: dict, error: type, message: str, tmp_path: Path) -> None:
    _draw_images(tmp_path, counts)
    with pytest.raises(error, match=message):
        folder(str(tmp_path), 8, 3, 0.2, 0)


def test_unreadable_images_are_a_data_error_that_quotes_the_first(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_text("hello")
    with pytest.raises(DataError, match=r"not one image can be read.*rejected: 2,.*a/0\.png: not an image"):
        folder(str(tmp_path), 8, 3, 0.2, 0)
    _draw_images(tmp_path, {"a": 3})
    with pytest.raises(DataError, match=r"no image to learn from can be read in class b.*b/0\.png"):
        folder(str(tmp_path), 8, 3, 0.2, 0)
