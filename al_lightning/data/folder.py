"""The user's own images: one folder a class."""

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
import torch

from al_lightning.data.cache import Request, load_images
from al_lightning.data.decode import MAX_PIXELS, How
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.layout import LAYOUT, Files, Found, Looking, find_images
from al_lightning.data.levels import check as check_levels
from al_lightning.data.names import alike
from al_lightning.data.remarks import remarks
from al_lightning.data.split import split_off
from al_lightning.data.twins import DROPPED, Image, to_drop, twins
from al_lightning.errors import ConfigError, DataError

BLOCK = 1024  # rows moved at a time


def folder(
    root: str,
    image_size: int | Sequence[int],
    channels: int,
    test_fraction: float,
    seed: int,
    cache: str | None = None,
    parts: str | Sequence[str] | None = "auto",
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    duplicates: str = "keep",
    own_folders: Sequence[str] = (),
    levels: str | int = "auto",
    max_pixels: int = MAX_PIXELS,
) -> ImageData:
    """Images in one folder a class, in any depth: the class is the first folder.

    With a training and a test part in `root`, known by their names (:func:`al_lightning.data.parts.find_parts`), these
    are the two parts; otherwise a test part is split off every class. Files are known by their suffix
    (`al_lightning.data.decode.SUFFIXES`), those without one by their content. What is skipped:
    :func:`al_lightning.data.layout.find_images`. Images are turned as their EXIF says, alpha is put on white, 16 bits
    become 8, of a TIFF with several pages the largest that is no preview counts, and of an animation the first frame. A
    class without an image to learn from is left out, with a warning on standard error.

    Args:
        root: folder that holds the classes. Links inside it are followed as long as they stay inside.
        image_size: side of a square or [height, width], in pixels; images of another size are resized.
        channels: 1 (gray) or 3 (RGB).
        test_fraction: share of every class that becomes the test part when there is none, in [0, 1); 0: no test part.
        seed: of that split, which follows from what the readable files hold: :func:`al_lightning.data.split.split_off`.
        cache: folder that keeps the decoded images for other runs, or None. It changes no result.
        parts: `auto`; None for a root whose folders are all classes; or the folders of training and test part.
        exclude: glob patterns of names, or of paths relative to `root`, that are skipped.
        follow_links: whether links may lead out of `root`.
        duplicates: `keep`, or `drop`: of images that look alike to the model the pool keeps the first by id, none where
            one is in the test part, and none where they are in several classes, because nobody knows which is right. A
            test part in `root` stays as it is; one that is split off is so afterwards, hence without duplicates too.
        own_folders: folders that this program writes to, which hold no images wherever they are. They change no result.
        levels: how pixels of more than 8 bits become 8, with one scale for all images: `auto` is as many bits (8, 10,
            12, 14 or 16) as the largest value of the pool takes; 8 to 16 are bits; `percentile` reaches from the
            darkest to the brightest values of the pool, and takes negative ones, too.
        max_pixels: images that have more are left out unread.

    Returns:
        Images as `uint8 [N, channels, height, width]` in the order of their ids: paths relative to `root`, with /.
        Classes are sorted by name, in NFC. What is left out is in `rejected`, with the reason; groups of images that
        look alike are in `duplicates`, the dropped ones too.

    Raises:
        ConfigError: an argument is out of range, `root` does not hold at least 2 classes, or the images do not fit
            into memory.
        DataError: with what is left out, fewer than 2 classes or no test part remain; or the machine fails to read a
            folder or a file.
    """
    size = _height_and_width(image_size)
    if channels not in (1, 3):
        raise ConfigError(f"dataset.channels={channels}: must be 1 (gray) or 3 (color).")
    if isinstance(test_fraction, bool) or not 0 <= test_fraction < 1:
        raise ConfigError(f"dataset.test_fraction={test_fraction}: must be a fraction from 0 (none) to below 1.")
    if duplicates not in ("keep", "drop"):
        raise ConfigError(f"dataset.duplicates={duplicates}: must be keep or drop.")
    check_levels(levels)
    if max_pixels < 1:
        raise ConfigError(f"dataset.max_pixels={max_pixels}: must be a number of pixels from 1.")
    own = [*own_folders, *([cache] if cache else [])]
    found = find_images(Looking(root, parts, exclude, follow_links, own))
    _check_classes(root, found)
    files = _in_order("train", found.pool) + _in_order("test", found.test or {})
    _check_memory(len(files), channels, size)
    # What a test part is split off counts for the scale as a whole: the split is of what can be decoded.
    paths, n_pool = [each.path for each in files], sum(each.part == "train" for each in files)
    images = load_images(Request(found.base, paths, How((channels, *size), levels, max_pixels), n_pool), cache)
    reasons = dict(zip(files, images.reasons, strict=True))
    good = [each for each in files if not reasons[each]]

    groups = twins(dict(zip(good, images.digests, strict=True)))
    dropped = to_drop(groups) if duplicates == "drop" else set[Image]()
    used = {each: row for row, each in enumerate(good) if each not in dropped}
    if found.test is None:
        contents = {each: images.contents[row] for each, row in used.items()}
        tested = _split(contents, test_fraction, seed) if test_fraction else set[Image]()
    else:
        tested = {each for each in used if each.part == "test"}
    learned = {each.name for each in used if each not in tested}
    reasons |= {each: f"its class {each.name} has no image to learn from" for each in used if each.name not in learned}
    _check_left(root, found, reasons, tested, dropped, has_test=found.test is not None or test_fraction > 0)

    kept = {each: row for each, row in used.items() if not reasons[each]}
    notes = remarks(root, paths[:n_pool], images, levels)
    classes = tuple(sorted(learned))
    pool, test = _image_sets(images.pixels, kept, tested, classes)
    rejected = tuple(
        sorted([*found.left_out, *found.loose, *((each.path, why) for each, why in reasons.items() if why)])
    )
    part_of = {each: "test" if each in tested else "train" for each in kept} | dict.fromkeys(dropped, DROPPED)
    rows, drawn = _rows(groups, part_of), found.test is None
    return ImageData(pool, test, classes, rejected, rows, notes=notes, levels=images.scale, drawn=drawn)


def _height_and_width(image_size: int | Sequence[int]) -> tuple[int, int]:
    sides = list(image_size) if isinstance(image_size, Sequence) else [image_size, image_size]
    # A bool is an int to Python, but not a size to anyone.
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(
            f"dataset.image_size={image_size}: must be a whole number of pixels from 1, or two: [height, width]."
        )
    return sides[0], sides[1]


def _in_order(part: str, files: Files) -> list[Image]:
    images = [Image(part, name, path) for name, paths in files.items() for path in paths]
    return sorted(images, key=lambda image: image.path)


def _split(contents: Mapping[Image, str], test_fraction: float, seed: int) -> set[Image]:
    """The test part, class by class, from a hash of every file's bytes."""
    classes = defaultdict(list)
    for each in contents:
        classes[each.name].append(each)
    return {
        images[row]
        for images in classes.values()
        for row in split_off([contents[each] for each in images], test_fraction, seed)
    }


def _image_sets(
    pixels: np.ndarray, rows: Mapping[Image, int], tested: Collection[Image], classes: tuple[str, ...]
) -> tuple[ImageSet, ImageSet]:
    """Pool and test part out of `pixels [M, C, H, W]`, which they take over: memory is not needed twice.

    Args:
        pixels: of all images; overwritten.
        rows: where in it the images are that are kept, ascending.
        tested: the images of the test part.
        classes: names, in the order of the labels.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    pool, test = ([each for each in rows if (each in tested) is is_test] for is_test in (False, True))
    pool_rows, test_rows = ([rows[each] for each in part] for part in (pool, test))
    first = test_rows[0] if test_rows else 0
    if [*pool_rows, *test_rows] == list(range(len(rows))):
        test_pixels = pixels[first : first + len(test)]
    else:
        test_pixels = pixels[test_rows]
        for start in range(0, len(pool), BLOCK):  # to the front, where nothing is overwritten that is still to be moved
            block = pool_rows[start : start + BLOCK]
            pixels[start : start + len(block)] = pixels[block]
    pool_set, test_set = (
        ImageSet(
            torch.from_numpy(images),
            torch.tensor([label_of[each.name] for each in part], dtype=torch.int64),
            tuple(each.path for each in part),
        )
        for images, part in ((pixels[: len(pool)], pool), (test_pixels, test))
    )
    return pool_set, test_set


def _check_classes(root: str, found: Found) -> None:
    """What the names of the files already show."""
    with_images = [name for name, paths in found.pool.items() if paths]
    if len(with_images) < 2:
        classes = ", ".join(f"{name} ({len(paths)} images)" for name, paths in sorted(found.pool.items()))
        raise (DataError if found.left_out else ConfigError)(
            f"dataset.root={root}: must hold images of at least 2 classes in the layout {LAYOUT}; "
            f"class folders found: {classes or 'none'}.{_inside(root, found)}{_first(found)}"
        )
    looks = defaultdict(list)
    for name in with_images:
        looks[alike(name)].append(name)
    for names in looks.values():
        if len(names) > 1:
            listed = ", ".join(map(repr, sorted(names)))
            print(f"warning: {root}: classes that look alike, and count as different: {listed}", file=sys.stderr)
    if unknown := sorted(name for name, paths in (found.test or {}).items() if paths and name not in found.pool):
        close = sorted({other for name in unknown for other in looks[alike(name)]})
        raise ConfigError(
            f"dataset.root={root}: class {', '.join(unknown)} is in test, but not in train"
            f"{', which has ' + ', '.join(close) if close else ''}."
        )


def _inside(root: str, found: Found) -> str:
    """What may have been meant where a single folder holds all images, in folders."""
    paths = [path for paths in found.pool.values() for path in paths]
    outer = len(PurePosixPath(found.parts.pool).parts) + 1
    inner = {PurePosixPath(path).parts[outer] for path in paths if len(PurePosixPath(path).parts) > outer + 1}
    if len(inner) < 2:
        return ""
    top = "/".join(PurePosixPath(paths[0]).parts[:outer])
    some = ", ".join(sorted(inner)[:5])
    return f" If the folders in {top} are the classes ({some}): dataset.root={PurePosixPath(root, top)}."


def _check_memory(n_images: int, channels: int, size: tuple[int, int]) -> None:
    needed = n_images * channels * size[0] * size[1]
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise ConfigError(
            f"dataset.image_size={list(size)}: {n_images} images of this size need {needed / 2**30:.1f} GiB of memory, "
            f"and there are {present / 2**30:.1f}: make them smaller."
        )


def _check_left(
    root: str,
    found: Found,
    reasons: Mapping[Image, str],
    tested: Collection[Image],
    dropped: Collection[Image],
    *,
    has_test: bool,
) -> None:
    """What is left when the files have been read; on standard error, what goes on without."""
    kept = [each for each, why in reasons.items() if not why and each not in dropped]
    learned, measured = ({each.name for each in kept if (each in tested) is is_test} for is_test in (False, True))
    missing = ", ".join(sorted(name for name in found.pool if name not in learned))
    as_copies = f" {len(dropped)} images are dropped as duplicates." if dropped else ""
    if len(learned) < 2:
        causes = [(each.path, why) for each, why in reasons.items() if why and each.name not in learned]
        raise DataError(
            f"{root}: images to learn from are needed in at least 2 classes, and none can be read in class "
            f"{missing}.{as_copies}{_first(found, causes)}"
        )
    if not measured and has_test:
        causes = [(each.path, why) for each, why in reasons.items() if why and each.part == "test"]
        raise DataError(
            f"{root}: the test part has no image: add images to test or at least 2 to a class."
            f"{as_copies}{_first(found, causes)}"
        )
    if missing:
        print(f"warning: {root}: class {missing} has no image to learn from: it is left out", file=sys.stderr)
    if has_test and (untested := ", ".join(sorted(learned - measured))):
        print(f"warning: {root}: class {untested} has no test image: the test measures are without it", file=sys.stderr)


def _first(found: Found, causes: Sequence[tuple[str, str]] = ()) -> str:
    rejected = [*causes, *found.left_out, *found.loose]
    return f" Files rejected: {len(rejected)}, the first of them {': '.join(rejected[0])}." if rejected else ""


def _rows(groups: Sequence[Sequence[Image]], part_of: Mapping[Image, str]) -> tuple[tuple[int, str, str, str], ...]:
    """The table of duplicates, see `ImageData.duplicates`: groups of at least two of these images."""
    known = [[each for each in group if each in part_of] for group in groups]
    listed = [group for group in known if len(group) > 1]
    return tuple(
        (number, part_of[each], each.name, each.path) for number, group in enumerate(listed, 1) for each in group
    )
