"""One image file to pixels, or why not: for data sets and for `al_lightning.load(run).transform` alike."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from al_lightning.data import formats, levels, png, tiff
from al_lightning.data.formats import SUFFIXES as SUFFIXES
from al_lightning.data.levels import Levels, Scale, Span

VERSION = 2  # to be raised when `decode` comes to other pixels, reasons or notes

CLEAR = "is transparent everywhere: its colors are taken as they are"
FRAMES = "is an animation of which the first frame is used"
UPPER_BITS = "has 16 bits a color, of which the upper 8 are used whatever dataset.levels says"
_FILMS = ("GIF", "PNG", "WEBP", "AVIF")

# How Pillow calls values of 16 bits, and the other end first; N is this machine's own order.
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}.items()
}

MAX_PIXELS = 250_000_000  # photos of 200 megapixels have 204 million
LARGE = 50_000_000  # pixels: such images are decoded one at a time, for the sake of memory
_large = Lock()


@dataclass(frozen=True)
class How:
    """What the pixels of an image depend on besides its file and the data set's scale.

    Attributes:
        shape: channels (1: gray, 3: RGB), height and width.
        levels: `auto`, `percentile` or a number of bits: how values of more than 8 bits become 8.
        max_pixels: an image that has more is refused unread.
    """

    shape: tuple[int, int, int]
    levels: Levels = "auto"
    max_pixels: int = MAX_PIXELS


class Decoded(NamedTuple):
    """What came of an image.

    Attributes:
        pixels: `uint8 [C, H, W]`; None: it has more than 8 bits a pixel, and the scale is not known.
        span: of its values, if it has more than 8 bits a pixel.
        notes: what it has and the pixels do not.
    """

    pixels: np.ndarray | None
    span: Span | None
    notes: tuple[str, ...]


def decoder(how: How) -> str:
    """Everything besides a file's content and the scale that its pixels depend on."""
    return f"{VERSION} {formats.decoder()} {how}"


def decode(data: bytes, how: How, scale: Scale | None) -> Decoded:
    """Decode an image to its last pixel, as it looks: upright, alpha on white, the first frame of an animation.

    To be called within :func:`al_lightning.data.quiet.decoding`.

    Args:
        data: the file's content.
        how: what is wanted.
        scale: of images of more than 8 bits a pixel; None where it is not known yet.

    Raises:
        Exception: of nearly any type, as Pillow's readers do with broken files; `reason` puts it into words.
    """
    if not data:
        raise ValueError("the file has 0 bytes")
    try:
        return _decode(data, how, scale)
    except Exception:
        if (plain := png.plain(data)) is None:
            raise
    return _decode(plain, how, scale)


def _decode(data: bytes, how: How, scale: Scale | None) -> Decoded:
    try:
        with formats.opened(data) as image:
            return _read(data, image, how, scale)
    except UnidentifiedImageError:
        if not tiff.is_tiff(data):
            raise
    return convert(*tiff.by_tifffile(data, 0), how, scale)


def _read(data: bytes, image: ImageFile.ImageFile, how: How, scale: Scale | None) -> Decoded:
    notes: list[str] = []
    shown, lower, planes = image, None, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if tiff.turn_to_picture(image):
            notes.append(tiff.PAGES)
        tiff.check_values(image)
        if (planes := tiff.has_planes(image)) and not tiff.is_compressed(image):
            shown, lower = tiff.by_tifffile(data, image.tell())
    if (pixels := image.width * image.height) > how.max_pixels:
        raise Image.DecompressionBombError(f"Image size ({pixels} pixels) exceeds limit of {how.max_pixels} pixels")
    # A large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the size wanted: several times faster.
    side = 2 * max(how.shape[1:])
    image.draft(None, (side, side))
    with _large if image.width * image.height > LARGE else nullcontext():
        if shown is image and any(";16" in raw for raw in _rawmodes(image)):
            if all(raw in _OTHER_BYTE for raw in _rawmodes(image)) and not planes:
                lower = _lower_bytes(data, image.tell())
            elif image.mode[0] != "I":
                notes.append(UPPER_BITS)
        done = convert(shown, lower, how, scale)
    if image.format in _FILMS and getattr(image, "is_animated", False):
        notes.append(FRAMES)
    return done._replace(notes=(*done.notes, *notes))


def _rawmodes(image: ImageFile.ImageFile) -> list[str]:
    """How the values lie in the file, in Pillow's words."""
    return [str(part.args[0] if isinstance(part.args, tuple) else part.args) for part in image.tile]


def _lower_bytes(data: bytes, page: int) -> Image.Image:
    """The image that the lower bytes make: those that come first where Pillow is told that they come last."""
    with formats.opened(data) as image:
        image.seek(page)
        image.tile = [
            part._replace(args=(_OTHER_BYTE[raw], *part.args[1:]) if isinstance(part.args, tuple) else _OTHER_BYTE[raw])
            for part, raw in zip(image.tile, _rawmodes(image), strict=True)
        ]
        image.load()
        return image


def convert(image: Image.Image, lower: Image.Image | None, how: How, scale: Scale | None) -> Decoded:
    """The same for an image that is open already, with the pixels that it has.

    Args:
        image: turned upright in place, where its EXIF data says how.
        lower: the lower 8 bits of every value, where there are 16 and the image has the upper ones.
        how: what is wanted.
        scale: of images of more than 8 bits a pixel; None where it is not known yet.

    Raises:
        Exception: as `decode`.
    """
    channels, height, width = how.shape
    for part in (image, lower) if lower else (image,):
        _turn_upright(part)
    span, notes = None, ()
    if lower or image.mode.startswith("I"):
        values = _deep_values(image, lower)
        span = levels.span(values, how.levels)
        if scale is None:
            return Decoded(None, span, ())
        scaled = Image.fromarray(levels.to_8_bits(values, scale))
        if image.mode[-1] == "A":
            scaled.putalpha(image.getchannel("A"))
        image = scaled
    elif image.mode == "F":
        raise ValueError("floating-point pixels: save it with 8 or 16 bits a pixel")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema() == (0, 0):
            image, notes = layer, (CLEAR,)
        else:
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    converted = image.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    return Decoded(np.asarray(converted).reshape(height, width, channels).transpose(2, 0, 1), span, notes)


def _turn_upright(image: Image.Image) -> None:
    image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    # It turns first, and then writes the EXIF data anew: damage there is none to the pixels.
    except Exception:
        return


def _deep_values(image: Image.Image, lower: Image.Image | None) -> np.ndarray:
    """Values of more than 8 bits, without alpha: `int32 [H, W]` or `[H, W, 3]`."""
    if lower:
        values = (np.asarray(image, np.int32) << 8) + np.asarray(lower)
        return values[..., : len(image.mode.removesuffix("A"))].squeeze()
    values = np.asarray(image.convert("I"))  # Pillow's own conversion to 8 bits would clip at 255
    bits = tiff.bits_from_white(image)
    return 2**bits - 1 - values if bits else values


def reason(error: Exception) -> str:
    """Why a file was left out, on one line and without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"{message.partition(',')[0]}: make it smaller or raise dataset.max_pixels"
    plain = isinstance(error, ValueError) or "truncated" in message
    return message if plain else f"cannot be decoded: {message}"


def is_passing(error: Exception) -> bool:
    """Whether the machine is at fault (no permission, no memory) and not the file's content."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
