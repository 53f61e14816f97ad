"""One image file to pixels, or why not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO
from warnings import catch_warnings, simplefilter

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import __version__ as pillow_version

# Pictures only: Pillow also opens documents and films, some of them (EPS) by starting another program.
Image.init()
FORMATS = [
    kind for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM") if kind in Image.OPEN
]
SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)

VERSION = 1  # to be raised when `decode` comes to other pixels or reasons


def decoder() -> str:
    """Everything besides a file's content that its pixels depend on: pixels of another decoder are not used."""
    return f"{VERSION} Pillow {pillow_version} {' '.join(FORMATS)} {Image.MAX_IMAGE_PIXELS}"


@contextmanager
def decoding() -> Iterator[None]:
    """To be held around all threads that decode: the filters of warnings are the whole process's."""
    with catch_warnings():
        simplefilter("ignore")
        simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(file: BinaryIO, size: tuple[int, int], channels: int) -> np.ndarray:
    """Decode an image to its last pixel, as it looks: upright, alpha on white, the first frame of an animation.

    Args:
        file: what to read, at its beginning.
        size: height and width in pixels that the image is resized to.
        channels: 1 (gray) or 3 (RGB).

    Returns:
        `uint8 [channels, height, width]`; 16 bits of gray are scaled to 8.

    Raises:
        Exception: of nearly any type, as Pillow's readers do with broken files; `reason` puts it into words.
    """
    if not os.fstat(file.fileno()).st_size:
        raise ValueError("the file has 0 bytes")
    height, width = size
    with Image.open(file, formats=FORMATS) as image:
        # A large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the size wanted: several times faster.
        image.draft(None, (2 * max(size), 2 * max(size)))
        image.load()
        # It turns first, and then writes the EXIF data anew: damage there is none to the pixels.
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
        converted = _convert(image, "L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    return np.asarray(converted).reshape(height, width, channels).transpose(2, 0, 1)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits of gray, which Pillow's own conversion would clip at 255.
        levels = np.asarray(image.convert("I"))
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("more than 16 bits a pixel: save it with 8 or 16")
        image = Image.fromarray((levels / 257).round().astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels: save it with 8 or 16 bits a pixel")
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert(mode)


def reason(error: Exception) -> str:
    """Why a file was left out, on one line and without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"{message.partition(',')[0]}: make it smaller"
    plain = isinstance(error, ValueError) or "truncated" in message
    return message if plain else f"cannot be decoded: {message}"


def is_passing(error: Exception) -> bool:
    """Whether the machine is at fault (no permission, no memory) and not the file's content."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
