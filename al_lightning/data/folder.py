"""The user's own images: one folder a class."""

import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from al_lightning.data.cache import Request, load_images
from al_lightning.data.decode import MAX_PIXELS, How
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.layout import LAYOUT, Files, LeftOut, find_images, open_root
from al_lightning.data.levels import check as check_levels
from al_lightning.data.remarks import remarks
from al_lightning.errors import ConfigError, DataError


class _Image(NamedTuple):
    """An image file: the part and the class that it is in, and its path relative to the root."""

    part: str
    name: str
    path: str


def folder(
    root: str,
    image_size: int | Sequence[int],
    channels: int,
    test_fraction: float,
    seed: int,
    cache: str | None = None,
    levels: str | int = "auto",
    max_pixels: int = MAX_PIXELS,
) -> ImageData:
    """Images in one folder a class, in any depth: the class is the first folder.

    With both `root/train` and `root/test` these are the two parts, otherwise a test part is split off every class.
    Files are known by their suffix (`al_lightning.data.decode.SUFFIXES`); names with a leading dot are skipped. Images
    are turned as their EXIF says, alpha is put on white, 16 bits become 8, of a TIFF with several pages the largest
    that is no preview counts, and of an animation the first frame. A class without an image to learn from is left out,
    with a warning on standard error.

    Args:
        root: folder that holds the classes. Links inside it are followed as long as they stay inside.
        image_size: side of a square or [height, width], in pixels; images of another size are resized.
        channels: 1 (gray) or 3 (RGB).
        test_fraction: share of every class that becomes the test part when there is no `root/test`, in (0, 1).
        seed: of that split. What is drawn for a class depends on its own name and files alone.
        cache: folder that keeps the decoded images for other runs, or None. It changes no result.
        levels: how pixels of more than 8 bits become 8, with one scale for all images: `auto` is as many bits (8, 10,
            12, 14 or 16) as the largest value of the pool takes; 8 to 16 are bits; `percentile` reaches from the
            darkest to the brightest values of the pool, and takes negative ones, too.
        max_pixels: images that have more are left out unread.

    Returns:
        Images as `uint8 [N, channels, height, width]` in the order of their ids: paths relative to `root`, with /.
        Classes are sorted by name. What is left out is in `rejected`, with the reason; images that are in both parts,
        or in two classes, are in `duplicates`.

    Raises:
        ConfigError: an argument is out of range, `root` does not hold at least 2 classes, or the images do not fit
            into memory.
        DataError: with what is left out, fewer than 2 classes or no test part remain; or the machine fails to read a
            folder or a file.
    """
    size = _height_and_width(image_size)
    if channels not in (1, 3):
        raise ConfigError(f"dataset.channels={channels}: must be 1 (gray) or 3 (color).")
    if not isinstance(test_fraction, float) or not 0 < test_fraction < 1:
        raise ConfigError(f"dataset.test_fraction={test_fraction}: must be a fraction between 0 and 1, both excluded.")
    check_levels(levels)
    if max_pixels < 1:
        raise ConfigError(f"dataset.max_pixels={max_pixels}: must be a number of pixels from 1.")
    base, names, found, left_out = _find(root, test_fraction, seed, cache)
    _check_memory(len(found), channels, size)
    paths, n_pool = [each.path for each in found], sum(each.part == "train" for each in found)
    images = load_images(Request(base, paths, How((channels, *size), levels, max_pixels), n_pool), cache)
    reasons = dict(zip(found, images.reasons, strict=True))
    digests = dict(zip([each for each in found if not reasons[each]], images.digests, strict=True))

    learned = {each.name for each in digests if each.part == "train"}
    for each in digests:
        if each.name not in learned:
            reasons[each] = f"its class {each.name} has no image to learn from"
    kept = {each: row for row, each in enumerate(digests) if not reasons[each]}
    _check_left(root, names, reasons, left_out)

    notes = remarks(root, paths[:n_pool], images, levels)
    # Nearly always all are kept: then the parts are views of what is there, and memory is not needed twice.
    pixels = images.pixels if len(kept) == len(digests) else images.pixels[list(kept.values())]
    classes = tuple(sorted(learned))
    label_of = {name: label for label, name in enumerate(classes)}
    labels = torch.tensor([label_of[each.name] for each in kept], dtype=torch.int64)
    n_pool = sum(each.part == "train" for each in kept)
    pool, test = (
        ImageSet(torch.from_numpy(pixels[rows]), labels[rows], tuple(each.path for each in list(kept)[rows]))
        for rows in (slice(n_pool), slice(n_pool, None))
    )
    rejected = tuple(sorted([*left_out, *((each.path, reason) for each, reason in reasons.items() if reason)]))
    duplicates = _duplicates({each: digests[each] for each in kept})
    return ImageData(pool, test, classes, rejected, duplicates, notes=notes, levels=images.scale)


def _height_and_width(image_size: int | Sequence[int]) -> tuple[int, int]:
    sides = list(image_size) if isinstance(image_size, Sequence) else [image_size, image_size]
    # A bool is an int to Python, but not a size to anyone.
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(
            f"dataset.image_size={image_size}: must be a whole number of pixels from 1, or two: [height, width]."
        )
    return sides[0], sides[1]


def _find(
    root: str, test_fraction: float, seed: int, cache: str | None
) -> tuple[Path, list[str], list[_Image], LeftOut]:
    """The root, resolved; all class names; the files of both parts, in their order; what is left out unopened."""
    base, in_parts = open_root(root)
    pool_files, left_out = find_images(base, "train" if in_parts else ".", cache)
    test_files, test_left_out = find_images(base, "test", cache) if in_parts else ({}, [])
    left_out += test_left_out
    _check_classes(root, pool_files, test_files, left_out)
    if not in_parts:
        test_files = {name: _draw(name, paths, test_fraction, seed) for name, paths in pool_files.items()}
        pool_files = {name: sorted(set(paths) - set(test_files[name])) for name, paths in pool_files.items()}

    found = _in_order("train", pool_files) + _in_order("test", test_files)
    return base, sorted(pool_files), found, left_out


def _draw(name: str, paths: list[str], test_fraction: float, seed: int) -> list[str]:
    """The test part of one class: at least one image, at most all but one."""
    n_test = min(max(1, round(len(paths) * test_fraction)), max(0, len(paths) - 1))
    # Keyed by the name, so that another class more or less leaves this class's split as it is.
    order = np.random.default_rng([seed, *name.encode()]).permutation(len(paths))
    return sorted(paths[position] for position in order[:n_test])


def _in_order(part: str, files: Files) -> list[_Image]:
    images = [_Image(part, name, path) for name, paths in files.items() for path in paths]
    return sorted(images, key=lambda image: image.path)


def _check_classes(root: str, pool: Files, test: Files, left_out: LeftOut) -> None:
    """What the names of the files already show."""
    if sum(map(bool, pool.values())) < 2:
        found = ", ".join(f"{name} ({len(paths)} images)" for name, paths in sorted(pool.items()))
        raise (DataError if left_out else ConfigError)(
            f"dataset.root={root}: must hold images of at least 2 classes in the layout {LAYOUT}; "
            f"class folders found: {found or 'none'}.{_first(left_out)}"
        )
    if unknown := sorted(name for name, paths in test.items() if paths and name not in pool):
        raise ConfigError(f"dataset.root={root}: class {', '.join(unknown)} is in test, but not in train.")


def _check_memory(n_images: int, channels: int, size: tuple[int, int]) -> None:
    needed = n_images * channels * size[0] * size[1]
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise ConfigError(
            f"dataset.image_size={list(size)}: {n_images} images of this size need {needed / 2**30:.1f} GiB of memory, "
            f"and there are {present / 2**30:.1f}: make them smaller."
        )


def _check_left(root: str, names: list[str], reasons: Mapping[_Image, str], left_out: LeftOut) -> None:
    """What is left when the files have been read; on standard error, what goes on without."""
    learned, tested = (
        {each.name for each, why in reasons.items() if each.part == part and not why} for part in ("train", "test")
    )
    dropped = ", ".join(name for name in names if name not in learned)
    if len(learned) < 2:
        causes = [(each.path, why) for each, why in reasons.items() if why and each.name not in learned]
        raise DataError(
            f"{root}: images to learn from are needed in at least 2 classes, and none can be read in class "
            f"{dropped}.{_first([*causes, *left_out])}"
        )
    if not tested:
        causes = [(each.path, why) for each, why in reasons.items() if why and each.part == "test"]
        raise DataError(
            f"{root}: the test part has no image: add images to test or at least 2 to a class."
            f"{_first([*causes, *left_out])}"
        )
    if dropped:
        print(f"warning: {root}: class {dropped} has no image to learn from: it is left out", file=sys.stderr)
    if untested := ", ".join(sorted(learned - tested)):
        print(f"warning: {root}: class {untested} has no test image: the test measures are without it", file=sys.stderr)


def _first(rejected: Sequence[tuple[str, str]]) -> str:
    return f" Files rejected: {len(rejected)}, the first of them {': '.join(rejected[0])}." if rejected else ""


def _duplicates(digests: dict[_Image, str]) -> tuple[tuple[int, str, str, str], ...]:
    """Images of equal pixels that are in both parts or in more than one class, see `ImageData.duplicates`."""
    groups = defaultdict(list)
    for each, digest in digests.items():
        groups[digest].append(each)
    offending = [
        group
        for group in groups.values()
        if len({each.part for each in group}) > 1 or len({each.name for each in group}) > 1
    ]
    return tuple((number, *each) for number, group in enumerate(offending, 1) for each in group)
