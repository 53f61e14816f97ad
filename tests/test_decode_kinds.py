"""Kinds of files that Pillow reads wrongly, refuses for a wrong reason, or needs help with."""

import builtins
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from bad_images import COLOR, FINE, GRAY, HEIGHT, IMAGE, IN_GRAY, NOISE, WIDTH, saved
from PIL import Image, PngImagePlugin, features

from al_lightning.data import decode as module
from al_lightning.data.decode import CLEAR, FRAMES, SUFFIXES, UPPER_BITS, Decoded, How, decode, reason
from al_lightning.data.levels import FULL
from al_lightning.data.quiet import decoding
from al_lightning.data.tiff import PAGES

tifffile = pytest.importorskip("tifffile")

HOW = How((3, HEIGHT, WIDTH))
DEEP, DEEP_COLOR = (levels.astype(np.uint16) * 257 for levels in (GRAY, COLOR))


def read(data: bytes, how: How = HOW) -> Decoded:
    with decoding(how.max_pixels):
        return decode(data, how, FULL)


def shown(data: bytes, how: How = HOW) -> np.ndarray:
    pixels = read(data, how).pixels
    assert pixels is not None
    return pixels.transpose(1, 2, 0)


def refused(data: bytes, how: How = HOW) -> str:
    with pytest.raises(Exception) as caught:
        read(data, how)
    assert isinstance(caught.value, Exception)
    return reason(caught.value)


def assert_shows(data: bytes, expected: np.ndarray, off: int = 1) -> None:
    assert np.abs(shown(data).astype(int) - expected).max() <= off


def as_tiff(*pages: tuple[np.ndarray, dict[str, Any]]) -> bytes:
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for pixels, options in pages:
            file.write(pixels, **options)
    return buffer.getvalue()


# --- TIFF -----------------------------------------------------------------------------------------------------------

RGB, FROM_BLACK, FROM_WHITE = ({"photometric": name} for name in ("rgb", "minisblack", "miniswhite"))
PLANES = {**RGB, "planarconfig": "separate"}
PACKED = {"compression": "zlib"}
PREVIEW = {"subfiletype": 1}
SMALL = np.ascontiguousarray(255 - COLOR[::2, ::2])


@pytest.mark.parametrize("options", [{}, PACKED, {"byteorder": ">"}], ids=str)
@pytest.mark.parametrize(
    ("pixels", "photometric", "expected"),
    [
        (65535 - DEEP, FROM_WHITE, IN_GRAY),
        (255 - GRAY, FROM_WHITE, IN_GRAY),
        (DEEP, FROM_BLACK, IN_GRAY),
        (DEEP_COLOR, RGB, COLOR),
        (np.ascontiguousarray(DEEP_COLOR.transpose(2, 0, 1)), PLANES, COLOR),
        (np.ascontiguousarray(COLOR.transpose(2, 0, 1)), PLANES, COLOR),
        (np.dstack([DEEP, np.full_like(DEEP, 65535)]), {**FROM_BLACK, "extrasamples": ["unassalpha"]}, IN_GRAY),
        (np.dstack([DEEP_COLOR, np.full_like(DEEP, 65535)]), {**RGB, "extrasamples": ["unassalpha"]}, COLOR),
    ],
    ids=["white", "white8", "black", "color", "planes", "planes8", "gray-alpha", "color-alpha"],
)
def test_a_tiff_is_decoded_as_it_looks(
    pixels: np.ndarray, photometric: dict, expected: np.ndarray, options: dict
) -> None:
    buffer = BytesIO()
    tifffile.imwrite(buffer, pixels, **photometric, **options)
    assert_shows(buffer.getvalue(), expected)


@pytest.mark.parametrize(
    ("pages", "noted"),
    [
        ([(SMALL, {**RGB, **PREVIEW}), (COLOR, RGB)], False),
        ([(SMALL, RGB), (COLOR, RGB)], True),  # a preview that does not say so
        ([(COLOR, RGB), (255 - COLOR, RGB)], True),
        ([(COLOR, RGB), (SMALL, {**RGB, **PREVIEW})], False),
        ([(COLOR, RGB)], False),
    ],
)
def test_the_page_that_is_the_picture_is_taken(pages: list, noted: bool) -> None:
    assert_shows(as_tiff(*pages), COLOR)
    assert (PAGES in read(as_tiff(*pages)).notes) is noted


def test_planes_of_16_bits_on_a_later_page() -> None:
    planes = np.ascontiguousarray(DEEP_COLOR.transpose(2, 0, 1))
    assert_shows(as_tiff((SMALL, {**RGB, **PREVIEW}), (planes, PLANES)), COLOR)


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([(GRAY.view(np.int8), FROM_BLACK)], "int8"),
        ([((DEEP.astype(int) - 9000).astype(np.int16), FROM_BLACK)], "int16 with values down to -"),
        ([(GRAY.astype(np.float16), FROM_BLACK)], "floating-point"),
        ([(GRAY.astype(np.float64), FROM_BLACK)], "floating-point"),
        ([(np.dstack([GRAY] * 5), {**FROM_BLACK, "planarconfig": "contig"})], "must be gray or RGB"),
        ([(SMALL, {**RGB, **PREVIEW, "subifds": 1}), (COLOR, RGB)], "a raw photo"),
        ([(COLOR, {**RGB, "extratags": [(50706, "B", 4, (1, 4, 0, 0), True)]})], "a raw photo (DNG)"),
    ],
)
def test_a_tiff_that_is_no_picture_is_refused_with_the_reason(pages: list, words: str) -> None:
    assert words in refused(as_tiff(*pages))


# --- PNG ------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes, damage: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ damage)


def with_chunk(extra: bytes, image: Image.Image = IMAGE) -> bytes:
    data = saved(image, ".png")
    return data[:33] + extra + data[33:]


LONG = b"key\0\0" + zlib.compress(bytes(5 * PngImagePlugin.MAX_TEXT_CHUNK))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", LONG),
        chunk(b"iCCP", LONG),
        chunk(b"iTXt", b"key\0\1\0\0\0" + LONG[5:]),
        chunk(b"tEXt", b"key\0value", damage=1),
        chunk(b"tIME", bytes(7), damage=1),
        chunk(b"eXIf", b"MM\0*", damage=1),
    ],
    ids=["text", "profile", "international", "sum of a text", "sum of a time", "sum of EXIF"],
)
def test_what_nobody_sees_of_a_png_does_no_harm(extra: bytes) -> None:
    assert "cannot" in _pillow(with_chunk(extra))
    assert_shows(with_chunk(extra), COLOR, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(IMAGE.transpose(Image.Transpose.ROTATE_90), ".png", exif=exif)
    assert_shows(turned[:33] + extra + turned[33:], COLOR, 0)


def _pillow(data: bytes) -> str:
    """What Pillow by itself says."""
    try:
        Image.open(BytesIO(data)).load()
    except Exception as error:
        return f"cannot: {error}"
    return "can"


def test_color_of_16_bits_with_alpha() -> None:
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 6, 0, 0, 0)
    rows = np.dstack([DEEP_COLOR, np.full_like(DEEP, 13107)]).astype(">u2")  # an opacity of 1 / 5
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert_shows(data, (COLOR * 0.2 + 255 * 0.8).round())


# --- alpha, animations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [np.dstack([COLOR, 0 * GRAY]), np.dstack([GRAY, 0 * GRAY])], ids=["color", "gray"])
def test_what_is_transparent_everywhere_is_taken_as_opaque(pixels: np.ndarray) -> None:
    data = saved(pixels, ".png")
    assert_shows(data, COLOR if pixels.shape[-1] == 4 else IN_GRAY, 0)
    assert read(data).notes == (CLEAR,)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_is_noted(suffix: str) -> None:
    film = saved(IMAGE, suffix, save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))])
    assert read(film).notes == (FRAMES,)
    assert read(saved(IMAGE, suffix)).notes == ()


def test_what_is_lost_of_16_bits_is_noted() -> None:
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 4, 0, 0, 0)
    rows = np.dstack([DEEP, np.full_like(DEEP, 65535)]).astype(">u2")
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert_shows(data, IN_GRAY)
    assert read(data).notes == (UPPER_BITS,)


# --- formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".tga", ".pcx", ".ico", ".dds", ".sgi", ".qoi", ".dib", ".jp2", ".mpo", ".heic"])
def test_what_pillow_can_decode_is_decoded(suffix: str) -> None:
    if suffix == ".heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    assert suffix in SUFFIXES
    options = {".mpo": {**FINE, "save_all": True, "append_images": [IMAGE]}, ".heic": {"quality": -1}}
    large = IMAGE.resize((16 * WIDTH, 16 * HEIGHT), Image.Resampling.NEAREST)
    lossy = 4 if suffix in options else 0
    small = shown(saved(large, suffix, **options.get(suffix, {})), How((3, 16 * HEIGHT, 16 * WIDTH))).astype(int)
    assert np.abs(small[4::16, 4::16] - COLOR).max() <= lossy


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_decoded() -> None:
    assert ".avif" in SUFFIXES
    assert_shows(saved(IMAGE, ".avif", quality=100, subsampling="4:4:4"), COLOR, 4)


def test_without_its_library_heic_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    _hide(monkeypatch, "pillow_heif")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)
    assert refused(heic) == "HEIC: needs a library that is not installed: pip install 'al-lightning[images]'"


def test_without_its_library_a_misread_tiff_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = as_tiff((np.ascontiguousarray(DEEP_COLOR.transpose(2, 0, 1)), PLANES))
    _hide(monkeypatch, "tifffile")
    assert refused(data) == "a TIFF of a kind that needs a library: pip install 'al-lightning[images]'"
    assert_shows(saved(DEEP, ".tif"), IN_GRAY)


def _hide(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    load = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name == library:
            raise ImportError(name)
        return load(name, *others)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a" + bytes(100), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "JPEG XL"),
        (bytes(128) + b"DICM" + bytes(100), "DICOM"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypcrx " + bytes(100), "raw photo"),
    ],
)
def test_a_foreign_kind_is_called_by_its_name(data: bytes, name: str) -> None:
    assert name in refused(data)
    assert "save it as PNG" in refused(data)


# --- size -----------------------------------------------------------------------------------------------------------


def test_a_photo_of_108_megapixels_is_decoded_and_the_limit_is_a_setting() -> None:
    data = saved(Image.new("L", (12_000, 9_000), 77), ".jpg")
    assert abs(int(shown(data)[0, 0, 0]) - 77) <= 1
    assert refused(data, How(HOW.shape, max_pixels=107_999_999)) == (
        "Image size (108000000 pixels) exceeds limit of 107999999 pixels: make it smaller or raise dataset.max_pixels"
    )
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS < 108_000_000  # set back


def test_the_limit_holds_beside_another_that_is_higher() -> None:
    data = saved(NOISE, ".png")
    with decoding(10**6):
        assert "exceeds limit of 4095 pixels" in refused(data, How(HOW.shape, max_pixels=4095))
        shown(data, How(HOW.shape, max_pixels=4096))


def test_the_version_is_part_of_what_pixels_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {module.decoder(how) for how in (HOW, How(HOW.shape, 12), How(HOW.shape, max_pixels=1))}
    assert len(before) == 3
    monkeypatch.setattr(module, "VERSION", 0)
    assert module.decoder(HOW) not in before
