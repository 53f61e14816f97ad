"""Which kinds of files are images, and what the others are called."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image, ImageFile
from PIL import __version__ as pillow_version

# Pictures only: Pillow also opens documents and films, some of them (EPS) by starting another program. TGA is last,
# because it has no signature.
Image.init()
FORMATS = [
    kind
    for kind in (
        *("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "QOI", "PSD", "ICO", "CUR"),
        *("ICNS", "PCX", "DDS", "SGI", "SUN", "TGA"),
    )
    if kind in Image.OPEN
]
# `.mpo` is what a JPEG with several pictures is called; Pillow's reader of JPEG takes it. HEIC has a reader of its own.
SUFFIXES = frozenset(
    {suffix for suffix, kind in Image.registered_extensions().items() if kind in (*FORMATS, "MPO")}
    | {".heic", ".heics", ".heif", ".heifs", ".hif"}
)

EXTRA = "pip install 'al-lightning[images]'"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_FOREIGN = (
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (128, b"DICM", "DICOM"),
    (0, b"%!PS", "EPS"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"%PDF", "PDF"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF", "EMF"),
    (0, b"<svg", "SVG"),
    (4, b"ftypcrx", "a raw photo (CR3)"),
    (8, b"CR\x02", "a raw photo (CR2)"),
    (0, b"FUJIFILMCCD-RAW", "a raw photo (RAF)"),
    (0, b"IIRO", "a raw photo (ORF)"),
    (0, b"IIRS", "a raw photo (ORF)"),
    (0, b"IIU\0", "a raw photo (RW2)"),
)


def decoder() -> str:
    """The versions of the libraries that decode, of which pixels depend."""
    import importlib.metadata

    extras = []
    for name in ("pillow-heif", "tifffile"):
        try:
            extras.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            extras.append(f"no {name}")
    return " ".join([f"Pillow {pillow_version}", *FORMATS, *extras])


@contextmanager
def opened(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """Open a file's content as an image; nothing but its header has been read.

    Raises:
        ValueError: it is no image, or of a kind that is not decoded.
        Exception: of nearly any type, as Pillow's readers do with broken files.
    """
    for offset, signature, name in _FOREIGN:
        if data[offset : offset + len(signature)] == signature:
            raise ValueError(f"{name}: not a kind of image that is decoded: save it as PNG, TIFF or JPEG")
    kinds = FORMATS
    if _is_heif(data):
        _register_heif()
        kinds = ["HEIF"]
    elif data[4:12] in (b"ftypavif", b"ftypavis") and "AVIF" not in FORMATS:
        raise ValueError("AVIF: this Pillow cannot decode it: pip install -U pillow")
    with Image.open(BytesIO(data), formats=kinds) as image:
        yield image


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS


def _register_heif() -> None:
    """Teach Pillow HEIC, which takes a library of its own."""
    if "HEIF" in Image.OPEN:
        return
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ValueError(f"HEIC: needs a library that is not installed: {EXTRA}") from error
    register_heif_opener()
