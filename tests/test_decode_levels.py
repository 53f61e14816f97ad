"""Values of more than 8 bits: one scale for a data set, that its own pool decides, with and without a cache."""

from pathlib import Path

import numpy as np
import pytest
from bad_images import saved
from image_cache import watch_decoding

from al_lightning.data.folder import folder
from al_lightning.data.images import ImageData
from al_lightning.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
TWELVE = RNG.integers(0, 4096, (12, 8, 6)).astype(np.uint16)
TWELVE[:, 0, 0] = 4095


def make(root: Path, images: np.ndarray, suffix: str = ".png") -> Path:
    """Two classes in train and test; the last four images are the test part."""
    for number, pixels in enumerate(images):
        part = "test" if number >= len(images) - 4 else "train"
        file = root / part / "ab"[number % 2] / f"{number:02}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(saved(pixels, suffix))
    return root


def load(root: Path, levels: str | int = "auto", cache: Path | None = None, channels: int = 1) -> ImageData:
    return folder(str(root), [8, 6], channels, 0.2, 0, str(cache) if cache else None, levels=levels)


def pixels(data: ImageData) -> dict[str, np.ndarray]:
    parts = (data.pool, data.test)
    return {
        Path(path).name: image[0].numpy() for part in parts for path, image in zip(part.ids, part.images, strict=True)
    }


def assert_scaled(data: ImageData, images: np.ndarray, low: int, high: int) -> None:
    assert data.levels == (low, high)
    shown = pixels(data)
    for number, values in enumerate(images):
        expected = ((values.astype(float) - low) / (high - low) * 255).clip(0, 255)
        name = next(name for name in shown if name.startswith(f"{number:02}."))
        assert np.abs(shown[name] - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("highest", "bits"), [(200, 8), (255, 8), (256, 10), (1000, 10), (4095, 12), (4096, 14), (30_000, 16), (65535, 16)]
)
def test_auto_takes_the_bits_that_the_pool_uses(highest: int, bits: int, suffix: str, tmp_path: Path) -> None:
    images = (TWELVE.astype(int) * highest // 4095).astype(np.uint16)
    data = load(make(tmp_path, images, suffix))
    assert_scaled(data, images, 0, 2**bits - 1)
    assert data.notes == (f"16-bit values 0 to {2**bits - 1} become 0 to 255 (dataset.levels=auto)",)


def test_twelve_bits_keep_their_levels(tmp_path: Path) -> None:
    assert len(load(make(tmp_path, TWELVE)).pool.images.unique()) > 150
    assert len(load(tmp_path, levels=16).pool.images.unique()) == 17


@pytest.mark.parametrize("bits", [8, 12, 13, 16])
def test_bits_can_be_given(bits: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_scaled(load(make(tmp_path, TWELVE), levels=bits), TWELVE, 0, 2**bits - 1)
    warned = (
        "12 16-bit images have values above 255 (dataset.levels=8), which are white like it" in capsys.readouterr().err
    )
    assert warned is (bits == 8)


def test_percentile_reaches_from_dark_to_bright_and_takes_negative_values(tmp_path: Path) -> None:
    images = np.repeat(np.arange(-1000, -1000 + 48 * 50, 50, dtype=np.int32).reshape(1, 8, 6), 12, axis=0)
    data = load(make(tmp_path, images, ".tif"), levels="percentile")
    assert_scaled(data, images, -1000, -1000 + 47 * 50)
    with pytest.raises(DataError, match=r"int16 with values down to -1000: dataset\.levels=percentile can scale"):
        load(tmp_path)


def test_one_odd_image_of_many_does_not_set_the_percentiles(tmp_path: Path) -> None:
    images = np.concatenate([TWELVE[:1].repeat(300, axis=0), TWELVE[:4]])
    images[7] = 60_000
    data = load(make(tmp_path, images), levels="percentile")
    assert data.levels is not None
    assert data.levels[1] <= 4095


@pytest.mark.parametrize("cached", [False, True])
def test_the_test_part_has_no_say(cached: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = TWELVE.copy()
    images[-1, 0, 0] = 60_000
    data = load(make(tmp_path / "data", images), cache=tmp_path / "cache" if cached else None)
    assert_scaled(data, images, 0, 4095)
    assert "1 16-bit images have values above 4095" in capsys.readouterr().err


def test_images_of_8_bits_stay_as_they_are_beside_them(tmp_path: Path) -> None:
    make(tmp_path, TWELVE)
    plain = (TWELVE[0] % 256).astype(np.uint8)
    (tmp_path / "train/a/plain.png").write_bytes(saved(plain, ".png"))
    data = load(tmp_path)
    np.testing.assert_array_equal(pixels(data)["plain.png"], plain)
    for path in tmp_path.glob("*/*/??.png"):
        path.unlink()
    for number, name in enumerate(("train/b/x.png", "test/a/x.png", "test/b/x.png")):
        (tmp_path / name).write_bytes(saved(plain + np.uint8(number), ".png"))
    assert load(tmp_path).levels is None
    assert load(tmp_path).notes == ()


def test_another_scale_reaches_what_was_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A brighter file comes, goes, and every time all images are what a load without a cache makes of them."""
    root, cache = make(tmp_path / "data", TWELVE), tmp_path / "cache"
    decoded = watch_decoding(monkeypatch)
    load(root, cache=cache)
    assert len(decoded) == 24  # once for their reach, once with the scale
    bright = root / "train/a/bright.png"
    for highest in (60_000, 0):
        bright.write_bytes(saved(np.full((8, 6), highest, np.uint16), ".png")) if highest else bright.unlink()
        for expected_decodings in (True, False):
            decoded.clear()
            data, anew = load(root, cache=cache), load(root)
            assert bool(len(decoded) > 2 * (12 + bool(highest))) is expected_decodings
            assert data.levels == anew.levels == (0, 65535 if highest else 4095)
            assert data.fingerprint() == anew.fingerprint()


def test_few_levels_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = (800 + TWELVE % 40).astype(np.uint16)
    load(make(tmp_path, narrow))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {tmp_path}: 16-bit images have values from 80")
    assert "of 256 levels with dataset.levels=auto (0 to 1023): dataset.levels=percentile spreads them" in warning
    assert len(load(tmp_path, levels="percentile").pool.images.unique()) == 40
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("levels", ["Auto", 7, 17, "12", True])
def test_other_words_are_refused(levels: str | int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"dataset\.levels={levels}: must be auto, percentile, or .* 8 to 16"):
        load(make(tmp_path, TWELVE), levels=levels)


def test_color_of_16_bits_is_scaled_likewise(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    color = RNG.integers(0, 4096, (8, 8, 6, 3)).astype(np.uint16)
    make(tmp_path, TWELVE)
    kinds = {"plain": {}, "packed": {"compression": "zlib"}, "motorola": {"byteorder": ">"}}
    for name, options in kinds.items():
        tifffile.imwrite(tmp_path / f"train/a/{name}.tif", color[0], photometric="rgb", **options)
    planes = np.ascontiguousarray(color[0].transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "train/a/planes.tif", planes, photometric="rgb", planarconfig="separate")
    shown = {
        Path(path).stem: image
        for data in [load(tmp_path, channels=3)]
        for path, image in zip(data.pool.ids, data.pool.images, strict=True)
    }
    for name in (*kinds, "planes"):
        assert np.abs(shown[name].permute(1, 2, 0).numpy() - color[0] / 4095 * 255).max() <= 0.5 + 1e-6
