"""TIFF files: which page is the picture, and kinds that Pillow reads wrongly or not at all."""

from io import BytesIO

import numpy as np
from PIL import Image, TiffImagePlugin

PAGES = "has several pages of which one is used"

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _PLANAR = 254, 258, 259, 262, 274, 284
_SUB_IMAGES, _FORMAT, _DNG = 330, 339, 50706
_PREVIEW_OR_MASK = 0b101
_WHITE_IS_ZERO, _COLOR_FILTER = 0, (32803, 34892)
_SIGNED, _SEPARATE, _UNCOMPRESSED = 2, 2, 1


def is_tiff(data: bytes) -> bool:
    """Whether a file's content begins as a TIFF does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def turn_to_picture(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Turn to the largest page that is not marked as a preview or a mask, the first of equals.

    Returns:
        Whether other pages that are not marked as previews or masks are left behind.

    Raises:
        ValueError: there are only previews, as in cameras' raw files.
    """
    pages = []  # (pixels, number) of those that may be the picture
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        if not image.tag_v2.get(_SUBFILE, 0) & _PREVIEW_OR_MASK:
            pages.append((image.width * image.height, -number))
        elif not number and _SUB_IMAGES in image.tag_v2:
            raise ValueError("a raw photo, or only a preview of one: save it as PNG, TIFF or JPEG")
    image.seek(-max(pages)[1] if pages else 0)
    if _DNG in image.tag_v2 or image.tag_v2.get(_PHOTOMETRIC) in _COLOR_FILTER:
        raise ValueError("a raw photo (DNG): save it as PNG, TIFF or JPEG")
    return len(pages) > 1


def check_values(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse signed 8-bit values, which Pillow takes for unsigned ones.

    Raises:
        ValueError: naming them.
    """
    if _bits(image) == 8 and _SIGNED in image.tag_v2.get(_FORMAT, ()):
        raise ValueError("signed 8-bit values (int8): save it as uint8 or with 16 bits")


def has_planes(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether the colors of this page lie one after the other, with 16 bits each."""
    several = len(image.tag_v2.get(_BITS, ())) > 1
    return several and _bits(image) == 16 and image.tag_v2.get(_PLANAR) == _SEPARATE


def is_compressed(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether libtiff decodes this page: it reads planes rightly, and Pillow alone does not."""
    return image.tag_v2.get(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED


def _bits(image: TiffImagePlugin.TiffImageFile) -> int:
    return max(image.tag_v2.get(_BITS, (1,)))


def bits_from_white(image: Image.Image) -> int:
    """Of gray pixels deeper than 8 bits that count from white, how many bits they have; 0: they count from black.

    Pillow turns around those of 1 and 8 bits only.
    """
    tags = getattr(image, "tag_v2", {})
    return max(tags.get(_BITS, (1,))) if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else 0


def by_tifffile(data: bytes, page: int) -> tuple[Image.Image, Image.Image | None]:
    """Read a page by the library tifffile.

    Returns:
        The image, of 8 bits a channel or 16 of gray; and where there are 16 bits and several channels the lower 8 of
        them, the first image having the upper ones.

    Raises:
        ValueError: the library is not installed, or this is no picture.
    """
    try:
        import tifffile
    except ImportError as error:
        raise ValueError("a TIFF of a kind that needs a library: pip install 'al-lightning[images]'") from error
    with tifffile.TiffFile(BytesIO(data)) as file:
        read = file.pages[page]
        assert isinstance(read, tifffile.TiffPage)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and (pixels := read.imagewidth * read.imagelength) > limit:
            raise Image.DecompressionBombError(f"Image size ({pixels} pixels) exceeds limit of {limit} pixels")
        values, axes, orientation = read.asarray(), read.axes, read.tags.valueof(_ORIENTATION, default=1)
        from_white = read.photometric == _WHITE_IS_ZERO
    if values.dtype.kind == "f":
        raise ValueError("floating-point pixels: save it with 8 or 16 bits a pixel")
    if axes == "SYX":
        values, axes = np.moveaxis(values, 0, -1), "YXS"
    channels = values.shape[-1] if axes == "YXS" else 1
    if axes not in ("YX", "YXS") or channels > 4 or values.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{values.dtype} values of shape {values.shape} ({axes}): must be gray or RGB, 8 or 16 bits")
    if from_white and channels < 3:
        values = values.copy()
        gray = values[..., 0] if axes == "YXS" else values  # and not the alpha after it
        np.subtract(np.iinfo(values.dtype).max, gray, out=gray)
    deep = values.dtype == np.uint16 and channels > 1
    parts = [values >> 8, values & 255] if deep else [values]
    images = [Image.fromarray(np.ascontiguousarray(part, np.uint8 if deep else values.dtype)) for part in parts]
    for image in images:
        image.getexif()[_ORIENTATION] = orientation
    return images[0], images[1] if deep else None
