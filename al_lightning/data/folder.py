"""The user's own images: one folder a class."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from al_lightning.data.images import ImageData, ImageSet
from al_lightning.errors import ConfigError, DataError

LAYOUT = "<root>/train/<class>/ and <root>/test/<class>/, or <root>/<class>/"

# Pictures only: Pillow also opens documents and films, some of them (EPS) by starting another program.
Image.init()
FORMATS = [
    kind for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM") if kind in Image.OPEN
]
SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)


def folder(root: str, image_size: int | Sequence[int], channels: int, test_fraction: float, seed: int) -> ImageData:
    """Images in one folder a class, in any depth: the class is the first folder.

    With both `root/train` and `root/test` these are the two parts, otherwise a test part is split off every class.
    Files are known by their suffix (`SUFFIXES`); names with a leading dot are skipped. Images are turned as their EXIF
    says, alpha is put on white, 16 bits of gray become 8, and an animation counts with its first frame.

    Args:
        root: folder that holds the classes.
        image_size: side of a square or [height, width], in pixels; images of another size are resized.
        channels: 1 (gray) or 3 (RGB).
        test_fraction: share of every class that becomes the test part when there is no `root/test`, in (0, 1).
        seed: of that split. What is drawn for a class depends on its own name and files alone.

    Returns:
        Images as `uint8 [N, channels, height, width]` in the order of their ids: paths relative to `root`, with /.
        Classes are sorted by name. Files that cannot be decoded to the last pixel are in `rejected`.

    Raises:
        ConfigError: an argument is out of range, or `root` does not hold at least 2 classes.
        DataError: a class or a part has no image that can be read, or a folder cannot be read.
    """
    size = _height_and_width(image_size)
    if channels not in (1, 3):
        raise ConfigError(f"dataset.channels={channels}: must be 1 (gray) or 3 (color).")
    if not isinstance(test_fraction, float) or not 0 < test_fraction < 1:
        raise ConfigError(f"dataset.test_fraction={test_fraction}: must be a fraction between 0 and 1, both excluded.")
    base = Path(root).expanduser()
    if not base.is_dir():
        raise ConfigError(f"dataset.root={root}: must be a folder with images in the layout {LAYOUT}.")

    in_parts = (base / "train").is_dir() and (base / "test").is_dir()
    pool_files = _find(base, base / "train" if in_parts else base)
    test_files = _find(base, base / "test") if in_parts else {}
    _check_classes(root, pool_files, test_files)
    if not in_parts:
        test_files = {name: _draw(name, paths, test_fraction, seed) for name, paths in pool_files.items()}
        pool_files = {name: sorted(set(paths) - set(test_files[name])) for name, paths in pool_files.items()}

    classes = tuple(sorted(pool_files))
    pool, pool_rejected = _load(base, pool_files, classes, size, channels)
    test, test_rejected = _load(base, test_files, classes, size, channels)
    rejected = tuple(sorted(pool_rejected + test_rejected))
    _check_readable(root, pool, test, classes, rejected)
    return ImageData(pool, test, classes, rejected)


def _height_and_width(image_size: int | Sequence[int]) -> tuple[int, int]:
    sides = list(image_size) if isinstance(image_size, Sequence) else [image_size, image_size]
    # A bool is an int to Python, but not a size to anyone.
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(
            f"dataset.image_size={image_size}: must be a whole number of pixels from 1, or two: [height, width]."
        )
    return sides[0], sides[1]


def _find(base: Path, part: Path) -> dict[str, list[str]]:
    """The image files of every class folder in `part`, as paths relative to `base`, sorted."""
    found = {}
    for name in next(os.walk(part, onerror=_unreadable_folder))[1]:
        if not name.startswith("."):
            found[name] = paths = []
            for parent, folders, files in os.walk(part / name, onerror=_unreadable_folder, followlinks=True):
                folders[:] = [each for each in folders if not each.startswith(".")]
                relative = Path(parent).relative_to(base)
                paths += [
                    (relative / file).as_posix()
                    for file in files
                    if not file.startswith(".") and Path(file).suffix.lower() in SUFFIXES
                ]
            paths.sort()
    return found


def _unreadable_folder(error: OSError) -> None:
    raise DataError(f"{error.filename}: the folder cannot be read: {error.strerror}.") from error


def _draw(name: str, paths: list[str], test_fraction: float, seed: int) -> list[str]:
    """The test part of one class: at least one image, at most all but one."""
    n_test = min(max(1, round(len(paths) * test_fraction)), max(0, len(paths) - 1))
    # Keyed by the name, so that another class more or less leaves this class's split as it is.
    order = np.random.default_rng([seed, *name.encode()]).permutation(len(paths))
    return sorted(paths[position] for position in order[:n_test])


def _check_classes(root: str, pool: dict[str, list[str]], test: dict[str, list[str]]) -> None:
    if sum(map(bool, pool.values())) < 2:
        found = ", ".join(f"{name} ({len(paths)} images)" for name, paths in sorted(pool.items()))
        raise ConfigError(
            f"dataset.root={root}: must hold images of at least 2 classes in the layout {LAYOUT}; "
            f"class folders found: {found or 'none'}."
        )
    if empty := sorted(name for name, paths in pool.items() if not paths):
        raise ConfigError(f"dataset.root={root}: no images in class {', '.join(empty)}: add some or remove the folder.")
    if unknown := sorted(test.keys() - pool.keys()):
        raise ConfigError(f"dataset.root={root}: class {', '.join(unknown)} is in test, but not in train.")


def _check_readable(
    root: str, pool: ImageSet, test: ImageSet, classes: Sequence[str], rejected: Sequence[tuple[str, str]]
) -> None:
    if not len(pool) and not len(test):
        raise DataError(f"{root}: not one image can be read.{_first(rejected)}")
    present = pool.labels.bincount(minlength=len(classes)).tolist()
    if empty := [name for name, count in zip(classes, present, strict=True) if not count]:
        of_class = [each for each in rejected if f"/{empty[0]}/" in f"/{each[0]}"]
        raise DataError(f"{root}: no image to learn from can be read in class {', '.join(empty)}.{_first(of_class)}")
    if not len(test):
        raise DataError(
            f"{root}: the test part has no image: add images to test or at least 2 to a class.{_first(rejected)}"
        )


def _first(rejected: Sequence[tuple[str, str]]) -> str:
    return f" Files rejected: {len(rejected)}, the first of them {': '.join(rejected[0])}." if rejected else ""


def _load(
    base: Path, files: dict[str, list[str]], classes: Sequence[str], size: tuple[int, int], channels: int
) -> tuple[ImageSet, list[tuple[str, str]]]:
    """Decode every file, in the order of the paths; (path, reason) of those that cannot be decoded."""
    label_of = {path: label for label, name in enumerate(classes) for path in files.get(name, ())}
    paths = sorted(label_of)
    try:
        images = torch.empty((len(paths), channels, *size), dtype=torch.uint8)
    except RuntimeError as error:
        gib = len(paths) * channels * size[0] * size[1] / 2**30
        raise ConfigError(
            f"dataset.image_size={list(size)}: {len(paths)} images of this size need {gib:.1f} GiB of memory, "
            "more than there is: make them smaller."
        ) from error
    rows = images.numpy()

    def decode_into(row: int) -> str | None:
        try:
            rows[row] = _decode(base / paths[row], size, channels)
        # A broken file can raise nearly anything in Pillow's readers: whatever it is, the others are still good.
        except Exception as error:
            return _reason(base / paths[row], error)
        return None

    # Threads pay for large images only; chunks of small ones spare most of the threads' handing over.
    chunks = [range(start, min(start + 64, len(paths))) for start in range(0, len(paths), 64)]
    # Filters are the whole process's: set once, around all threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as executor:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        done = executor.map(lambda chunk: [decode_into(row) for row in chunk], chunks)
        reasons = [reason for chunk in done for reason in chunk]

    rejected = [(path, reason) for path, reason in zip(paths, reasons, strict=True) if reason is not None]
    if rejected:
        kept = [row for row, reason in enumerate(reasons) if reason is None]
        images, paths = images[kept], [paths[row] for row in kept]
    labels = torch.tensor([label_of[path] for path in paths], dtype=torch.int64)
    return ImageSet(images, labels, tuple(paths)), rejected


def _decode(path: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """One image as `uint8 [C, H, W]`."""
    height, width = size
    with Image.open(path, formats=FORMATS) as image:
        # A large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the size wanted: several times faster.
        image.draft(None, (2 * max(size), 2 * max(size)))
        image.load()
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


def _reason(path: Path, error: Exception) -> str:
    """Why a file was left out, on one line and without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that can be read" if path.stat().st_size else "the file has 0 bytes"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
