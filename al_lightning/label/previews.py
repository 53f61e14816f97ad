"""Images as a browser can show them: upright, on white, with 8 bits a color, and no larger than needed."""

from collections import OrderedDict
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from PIL import Image, TiffImagePlugin

from al_lightning.data import formats, levels, png, tiff
from al_lightning.data.decode import MAX_PIXELS, How, decode, reason
from al_lightning.data.look import open_at
from al_lightning.data.quiet import decoding

MOST_KEPT = 128 << 20  # bytes of encoded previews
SMALL = 256  # pixels: an image with no longer side is not compressed
QUALITY = 88  # of JPEG
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # of EXIF


class Preview(NamedTuple):
    """An encoded image, and of which kind."""

    data: bytes
    media_type: str


class UnreadableError(Exception):
    """Why an image cannot be shown, in a line."""


class Previews:
    """Previews, of which those that were used last are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], Preview] = OrderedDict()
        self._size, self._lock = 0, Lock()

    def get(self, root: Path, paths: list[str], digest: str, side: int) -> Preview:
        """The preview of an image.

        Args:
            root: of the images.
            paths: where the image was seen, relative to the root.
            digest: of its file.
            side: pixels of the longest side, at most.

        Raises:
            UnreadableError: it is no longer there, or cannot be decoded.
        """
        key = digest, side
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _preview(_read(root, paths, digest), side)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size += len(made.data)
            while self._size > MOST_KEPT:
                self._size -= len(self._kept.popitem(last=False)[1].data)
        return made


def _read(root: Path, paths: list[str], digest: str) -> bytes:
    """The content of the first file that is still what it was: a label is of what was seen, and not of a path."""
    why = "the file is gone"
    for path in paths:
        try:
            with open_at(root / path) as file:
                data = file.read()
        except OSError as error:
            why = f"{path}: {reason(error)}; if it has another name now, start the command again"
            continue
        if blake2b(data, digest_size=16).hexdigest() == digest:
            return data
        why = f"{path}: the file has changed since the folder was looked at: start the command again"
    raise UnreadableError(why)


def _preview(data: bytes, side: int) -> Preview:
    try:
        with decoding(MAX_PIXELS):
            width, height = _upright_size(data)
            scale = min(1, side / max(width, height))
            how = How((3, max(1, round(height * scale)), max(1, round(width * scale))), "percentile")
            done = decode(data, how, None)
            if done.pixels is None and done.span:  # of more than 8 bits: from its own darkest to its brightest
                done = decode(data, how, levels.scale("percentile", [done.span]))
    except Exception as error:  # of nearly any type, as Pillow's readers do with broken files
        raise UnreadableError(reason(error)) from error
    assert done.pixels is not None
    image, file = Image.fromarray(done.pixels.transpose(1, 2, 0)), BytesIO()
    if max(width, height) <= SMALL:
        image.save(file, "PNG", compress_level=1)
        return Preview(file.getvalue(), "image/png")
    image.save(file, "JPEG", quality=QUALITY)
    return Preview(file.getvalue(), "image/jpeg")


def _upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of an image as it looks, from its header.

    Raises:
        Exception: as `al_lightning.data.decode.decode`.
    """
    try:
        return _header(data)
    except Exception:
        if tiff.is_tiff(data):
            return _turned(tiff.by_tifffile(data, 0)[0])
        if (plain := png.plain(data)) is None:
            raise
        return _header(plain)


def _header(data: bytes) -> tuple[int, int]:
    with formats.opened(data) as image:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tiff.turn_to_picture(image)
        return _turned(image)


def _turned(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION) in ON_ITS_SIDE else (width, height)
