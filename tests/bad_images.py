"""Files as they are found in the wild, odd and bad, and what has to become of each.

`outcome` says what does; the tests hold it against `expected`, and a script may print a table of it.
"""

import ctypes
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from al_lightning.data.folder import folder
from al_lightning.data.images import ImageData

HEIGHT, WIDTH = 8, 6

# What the good ones look like, before the way they are stored: an upper half to tell up from down.
COLOR = np.zeros((HEIGHT, WIDTH, 3), np.uint8) + np.array([200, 100, 0], np.uint8)
COLOR[:4] = 20
IMAGE = Image.fromarray(COLOR)
GRAY = np.array(IMAGE.convert("L"))
IN_GRAY = np.repeat(GRAY[..., None], 3, axis=2)
DEEP = GRAY.astype(np.uint16) * 257 - 100  # 16 bits whose two bytes differ
FADED = (COLOR * 0.2 + 255 * 0.8).round().astype(np.uint8)  # at an opacity of 51 / 255 on white
FADED_IN_GRAY = (IN_GRAY * 0.2 + 255 * 0.8).round().astype(np.uint8)
OPACITY = np.full((HEIGHT, WIDTH), 51, np.uint8)
FINE = {"quality": 95, "subsampling": 0}
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: in words.
        write: puts it into a class folder.
        expected: `uint8 [H, W, 3]` to be decoded within `tolerance`, or a piece of the reason why it is left out.
        tolerance: levels out of 255.
    """

    name: str
    write: Callable[[Path], None]
    expected: np.ndarray | str
    tolerance: int = 1


def outcome(kind: Kind, tmp_path: Path) -> str:
    """What becomes of a kind among good images.

    Returns:
        "decoded", "decoded, but off by N levels", "left out: <reason>" or "not seen".
    """
    root = tmp_path / "data"
    for number, name in enumerate(("train/a", "train/odd", "test/a", "test/odd")):
        (root / name).mkdir(parents=True)
        NOISE.crop((number, 0, number + WIDTH, HEIGHT)).save(root / name / "good.png")
    kind.write(root / "train" / "odd")
    with unprivileged():
        data = folder(str(root), [HEIGHT, WIDTH], 3, 0.2, 0, str(tmp_path / "cache"))
    if data.rejected:
        ((_, reason),) = data.rejected
        return f"left out: {reason}"
    odd = [pixels for path, pixels in pixels_of(data).items() if Path(path).name != "good.png"]
    if not odd:
        return "not seen"
    assert isinstance(kind.expected, np.ndarray)
    off = max(int(np.abs(pixels.astype(int) - kind.expected).max()) for pixels in odd)
    return "decoded" if off <= kind.tolerance else f"decoded, but off by {off} levels"


def pixels_of(data: ImageData) -> dict[str, np.ndarray]:
    """Every image, `uint8 [H, W, C]`, by its id."""
    return {
        path: image.permute(1, 2, 0).numpy()
        for part in (data.pool, data.test)
        for path, image in zip(part.ids, part.images, strict=True)
    }


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read and write everything: take that from this thread, and from those that it starts, for a while."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, held)
    reduced = (ctypes.c_uint32 * 6)(*held)
    reduced[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; still permitted, so they can be had back
    libc.capset(header, reduced)
    try:
        yield
    finally:
        libc.capset(header, held)


def saved(image: Image.Image | np.ndarray, suffix: str, **options: Any) -> bytes:
    """An image file's content."""
    buffer = BytesIO()
    Image.init()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()


def _png(depth: int, color_type: int, levels: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A PNG of a kind that Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _file(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def _cut(name: str, share: float = 0.7, **options: Any) -> Callable[[Path], None]:
    whole = saved(NOISE, Path(name).suffix.lower(), **options)
    return _file(name, whole[: int(len(whole) * share)])


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _damaged_exif() -> bytes:
    """Turned, and with a maker's name that says it is a floating-point number."""
    exif = _exif(6)
    exif[0x010F], exif[0x0132] = "maker", "2026:01:01 00:00:00"
    whole = saved(IMAGE.transpose(Image.Transpose.ROTATE_90), ".jpg", **FINE, exif=exif)
    as_text, as_float = (struct.pack(">HH", 0x010F, kind) for kind in (2, 11))
    assert whole.count(as_text) == 1
    return whole.replace(as_text, as_float)


def _link(name: str, target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(target)


def _link_out(folder: Path) -> None:
    outside = folder.parents[2] / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(saved(IMAGE, ".png"))
    (folder / "out.png").symlink_to(outside / "a.png")


def _link_out_folder(folder: Path) -> None:
    _link_out(folder)
    (folder / "out.png").unlink()
    (folder / "more").symlink_to("../../../outside")


def _link_inside(folder: Path) -> None:
    (folder.parent / "a" / "deep").mkdir()
    (folder.parent / "a" / "deep" / "b.png").write_bytes(saved(IMAGE, ".png"))
    (folder / "in").symlink_to("../a/deep")


def _socket(folder: Path) -> None:
    # The path of a socket may have 107 bytes only.
    with chdir(folder), socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")


def _film(suffix: str, **options: Any) -> bytes:
    return saved(IMAGE, suffix, save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))], **options)


_PALETTE = IMAGE.convert("P", palette=Image.Palette.ADAPTIVE)
_CLEAR = COLOR.copy()
_CLEAR[:4] = 255  # what is left on white when the upper half is transparent


KINDS = [
    # stored in an unusual way
    Kind("plain PNG", _file("a.png", saved(IMAGE, ".png")), COLOR, 0),
    Kind("upper-case suffix", _file("A.PNG", saved(IMAGE, ".png")), COLOR, 0),
    Kind("JPEG named .png", _file("a.png", saved(IMAGE, ".jpg", **FINE)), COLOR, 4),
    *(
        Kind(
            f"JPEG turned by EXIF {orientation}",
            _file("a.jpg", saved(IMAGE.transpose(turned), ".jpg", **FINE, exif=_exif(orientation))),
            COLOR,
            4,
        )
        for orientation, turned in (
            (3, Image.Transpose.ROTATE_180),
            (6, Image.Transpose.ROTATE_90),
            (8, Image.Transpose.ROTATE_270),
        )
    ),
    Kind("JPEG with damaged EXIF", _file("a.jpg", _damaged_exif()), COLOR, 4),
    Kind("CMYK JPEG", _file("a.jpg", saved(IMAGE.convert("CMYK"), ".jpg", **FINE)), COLOR, 4),
    Kind("CMYK TIFF", _file("a.tif", saved(IMAGE.convert("CMYK"), ".tif")), COLOR),
    Kind(
        "gray with transparency",
        _file("a.png", saved(np.dstack([GRAY, OPACITY]), ".png")),
        FADED_IN_GRAY,
    ),
    Kind("color with transparency", _file("a.png", saved(np.dstack([COLOR, OPACITY]), ".png")), FADED),
    Kind("palette", _file("a.png", saved(_PALETTE, ".png")), COLOR),
    Kind(
        "palette with transparency",
        _file("a.png", saved(_PALETTE, ".png", transparency=_PALETTE.getpixel((0, 0)))),
        _CLEAR,
    ),
    Kind("1 bit", _file("a.png", saved(Image.fromarray(GRAY > 50), ".png")), np.where(IN_GRAY > 50, 255, 0), 0),
    Kind("16-bit gray PNG", _file("a.png", saved(DEEP, ".png")), IN_GRAY),
    Kind("16-bit gray TIFF", _file("a.tif", saved(DEEP, ".tif")), IN_GRAY),
    Kind("16-bit gray TIFF, big endian", _file("a.tif", saved(DEEP.astype(">u2"), ".tif")), IN_GRAY),
    Kind("16 bits of gray in 32-bit TIFF", _file("a.tif", saved(DEEP.astype(np.int32), ".tif")), IN_GRAY),
    Kind("16-bit color PNG", _file("a.png", _png(16, 2, (COLOR.astype(np.uint16) * 257).astype(">u2"))), COLOR),
    Kind("animated GIF", _file("a.gif", _film(".gif")), COLOR),
    Kind("animated WebP", _file("a.webp", _film(".webp", lossless=True)), COLOR),
    Kind("animated PNG", _file("a.png", _film(".png")), COLOR),
    Kind("name in NFC", _file("\u00e9.png", saved(IMAGE, ".png")), COLOR),
    Kind("name in NFD", _file("e\u0301.png", saved(IMAGE, ".png")), COLOR),
    Kind("name with a line break", _file("a\nb [bold].png", saved(IMAGE, ".png")), COLOR),
    Kind("link to a folder inside", _link_inside, COLOR),
    # damaged
    *(
        Kind(f"truncated {suffix}", _cut(f"a.{suffix}"), "truncated")
        for suffix in ("jpg", "png", "gif", "bmp", "tif", "ppm")
    ),
    Kind("JPEG without its last bytes", _cut("a.jpg", 0.999), "truncated"),
    Kind("truncated WebP", _cut("a.webp"), "cannot be decoded"),
    Kind("zero bytes", _file("a.jpg", b""), "0 bytes"),
    Kind("text named .jpg", _file("a.jpg", b"<html>404 Not Found</html>"), "not an image"),
    Kind("EPS named .png", _file("a.png", saved(IMAGE, ".eps")), "EPS: not a kind of image"),
    Kind("garbage after a PNG signature", _file("a.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "not an image"),
    Kind(
        "wrong check sum in a PNG",
        _file("a.png", saved(NOISE, ".png")[:-20] + bytes(8) + saved(NOISE, ".png")[-12:]),
        "cannot be decoded",
    ),
    Kind("decompression bomb", _file("a.png", _png(8, 0, np.zeros((1, 1), np.uint8), 60_000, 60_000)), "exceeds limit"),
    Kind(
        "half a decompression bomb",
        _file("a.png", _png(8, 0, np.zeros((1, 1), np.uint8), 20_000, 15_000)),
        "exceeds limit",
    ),
    Kind("floating-point TIFF", _file("a.tif", saved(GRAY.astype(np.float32), ".tif")), "floating-point"),
    Kind("32-bit gray TIFF", _file("a.tif", saved(DEEP.astype(np.int32) * 1000, ".tif")), "more than 16 bits"),
    # not for us
    Kind("pipe", lambda folder: os.mkfifo(folder / "pipe.jpg"), "not a regular file"),
    Kind("socket", _socket, "not a regular file"),
    Kind("name that is not UTF-8", _file(os.fsdecode(b"caf\xe9.png"), saved(IMAGE, ".png")), "not UTF-8"),
    Kind("folder that is not UTF-8", lambda folder: (folder / os.fsdecode(b"\xff")).mkdir(), "not UTF-8"),
    Kind("link out of the folder", _link_out, "leads out"),
    Kind("link to a folder outside", _link_out_folder, "leads out"),
    Kind("broken link", _link("a.png", "nowhere"), "cannot be followed: No such file"),
    Kind("link to itself", _link("a.png", "a.png"), "cannot be followed: Too many"),
    Kind("link in a circle", _link("around", "../odd"), "a folder that it is in"),
]
