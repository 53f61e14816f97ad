"""The user's own images: one folder a class, or any layout and a file that names the classes."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch

from al_lightning.data.cache import Request, load_images
from al_lightning.data.decode import MAX_PIXELS, How
from al_lightning.data.folder_checks import check_classes, check_left, check_memory
from al_lightning.data.images import UNKNOWN, ImageData, ImageSet
from al_lightning.data.label_file import NO_CLASS
from al_lightning.data.layout import find_images
from al_lightning.data.levels import check as check_levels
from al_lightning.data.names import normal
from al_lightning.data.remarks import remarks
from al_lightning.data.search import FOLDERS, Files, Looking
from al_lightning.data.split import split_off
from al_lightning.data.twins import DROPPED, Image, to_drop, twins
from al_lightning.errors import ConfigError

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
    labels: str = FOLDERS,
    classes: Sequence[str | int] | None = None,
    ids: str = "path",
) -> ImageData:
    """Images in one folder a class, in any depth: the class is the first folder. Or in any layout, with `labels`.

    With a training and a test part in `root`, known by their names (:func:`al_lightning.data.parts.find_parts`), these
    are the two parts; otherwise a test part is split off the labeled images of every class. Files are known by their
    suffix (`al_lightning.data.decode.SUFFIXES`), those without one by their content. What is skipped:
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
        duplicates: `keep`, or `drop`: of images that look alike to the model the pool keeps the first that has a label,
            by path, none where one is in the test part, and none where they are in several classes, because nobody
            knows which is right. A test part in `root` stays as it is; one that is split off is so afterwards, hence
            without duplicates too.
        own_folders: folders that this program writes to, which hold no images wherever they are. They change no result.
        levels: how pixels of more than 8 bits become 8, with one scale for all images: `auto` is as many bits (8, 10,
            12, 14 or 16) as the largest value of the pool takes; 8 to 16 are bits; `percentile` reaches from the
            darkest to the brightest values of the pool, and takes negative ones, too.
        max_pixels: images that have more are left out unread.
        labels: what names the classes: `folders`; a file of :mod:`al_lightning.data.label_file`, where images that it
            has no class for, or does not name, are in the pool without a label; or `none`: nobody has labeled any.
        classes: names in the order of the class indices, those too that no image has yet; None: those that there are,
            sorted by name, in NFC.
        ids: `path`: relative to `root`, with /; or `content`: the BLAKE2b sum of a file's bytes (128 bits, in hex), so
            that files may move. Of files with the same bytes one is kept then: the first that has a label, and none
            where they have several.

    Returns:
        Images as `uint8 [N, channels, height, width]` in the order of their ids. What is left out is in `rejected`,
        with the reason; groups of images that look alike are in `duplicates`, the dropped ones too.

    Raises:
        ConfigError: an argument is out of range, there are not at least 2 classes, or the images do not fit into
            memory.
        DataError: with what is left out, fewer than 2 classes or no test part remain; the machine fails to read a
            folder or a file; or the file of labels is not one.
    """
    size = _height_and_width(image_size)
    if channels not in (1, 3):
        raise ConfigError(f"dataset.channels={channels}: must be 1 (gray) or 3 (color).")
    if isinstance(test_fraction, bool) or not 0 <= test_fraction < 1:
        raise ConfigError(f"dataset.test_fraction={test_fraction}: must be a fraction from 0 (none) to below 1.")
    if duplicates not in ("keep", "drop"):
        raise ConfigError(f"dataset.duplicates={duplicates}: must be keep or drop.")
    if ids not in ("path", "content"):
        raise ConfigError(f"dataset.ids={ids}: must be path or content.")
    check_levels(levels)
    if max_pixels < 1:
        raise ConfigError(f"dataset.max_pixels={max_pixels}: must be a number of pixels from 1.")
    own = [*own_folders, *([cache] if cache else [])]
    found = find_images(Looking(root, parts, exclude, follow_links, own, labels))
    given = None if classes is None else tuple(normal(str(each)) for each in classes)
    check_classes(root, found, labels, given)
    files = _in_order("train", found.pool) + _in_order("test", found.test or {})
    check_memory(len(files), channels, size)
    # What a test part is split off counts for the scale as a whole: the split is of what can be decoded.
    paths, n_pool = [each.path for each in files], sum(each.part == "train" for each in files)
    images = load_images(Request(found.base, paths, How((channels, *size), levels, max_pixels), n_pool), cache)
    reasons = dict(zip(files, images.reasons, strict=True))
    good = [each for each in files if not reasons[each]]

    contents = dict(zip(good, images.contents, strict=True))
    groups = twins(dict(zip(good, images.digests, strict=True)))
    dropped = to_drop(groups) if duplicates == "drop" else set[Image]()
    if ids == "content":
        dropped |= to_drop(twins(contents), everywhere=True)
    used = {each: row for row, each in enumerate(good) if each not in dropped}
    if found.test is None:
        labeled = {each: contents[each] for each in used if each.name != NO_CLASS}
        tested = _split(labeled, test_fraction, seed) if test_fraction else set[Image]()
    else:
        tested = {each for each in used if each.part == "test"}
    learned = {each.name for each in used if each not in tested} - {NO_CLASS}
    if given is None:
        unlearned = (each for each in used if each.name not in {*learned, NO_CLASS})
        reasons |= {each: f"its class {each.name} has no image to learn from" for each in unlearned}
    names = tuple(sorted(learned)) if given is None else given
    has_test = found.test is not None or (test_fraction > 0 and labels == FOLDERS)
    check_left(root, found, reasons, names, tested, dropped, has_test=has_test)

    kept = {each: row for each, row in used.items() if not reasons[each]}
    notes = remarks(root, paths[:n_pool], images, levels)
    name_of = {each: contents[each] if ids == "content" else each.path for each in kept}
    pool, test = _image_sets(images.pixels, kept, tested, names, name_of)
    rejected = tuple(
        sorted([*found.left_out, *found.loose, *((each.path, why) for each, why in reasons.items() if why)])
    )
    part_of = {each: "test" if each in tested else "train" for each in kept} | dict.fromkeys(dropped, DROPPED)
    rows, drawn = _rows(groups, part_of), found.test is None
    return ImageData(pool, test, names, rejected, rows, notes=notes, levels=images.scale, drawn=drawn)


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
    pixels: np.ndarray,
    rows: Mapping[Image, int],
    tested: Collection[Image],
    classes: Sequence[str],
    ids: Mapping[Image, str],
) -> tuple[ImageSet, ImageSet]:
    """Pool and test part out of `pixels [M, C, H, W]`, which they take over: no copy is made in the order of the paths.

    Args:
        pixels: of all images; overwritten.
        rows: where in it the images are that are kept.
        tested: the images of the test part.
        classes: names, in the order of the labels.
        ids: of the images, which are in their order afterwards.
    """
    label_of = {name: label for label, name in enumerate(classes)} | {NO_CLASS: UNKNOWN}
    order = sorted(rows, key=ids.__getitem__)
    pool, test = ([each for each in order if (each in tested) is is_test] for is_test in (False, True))
    pool_rows, test_rows = ([rows[each] for each in part] for part in (pool, test))
    if pool_rows != sorted(pool_rows):  # the ids are in another order than the paths
        pixels = pixels[[*pool_rows, *test_rows]]
        pool_rows, test_rows = list(range(len(pool))), list(range(len(pool), len(order)))
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
            tuple(ids[each] for each in part),
        )
        for images, part in ((pixels[: len(pool)], pool), (test_pixels, test))
    )
    return pool_set, test_set


def _rows(groups: Sequence[Sequence[Image]], part_of: Mapping[Image, str]) -> tuple[tuple[int, str, str, str], ...]:
    """The table of duplicates, see `ImageData.duplicates`: groups of at least two of these images."""
    known = [[each for each in group if each in part_of] for group in groups]
    listed = [group for group in known if len(group) > 1]
    return tuple(
        (number, part_of[each], each.name, each.path) for number, group in enumerate(listed, 1) for each in group
    )
