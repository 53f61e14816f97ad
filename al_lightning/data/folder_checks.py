"""What a folder of images has to hold, and what is said where it does not."""

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from al_lightning.data.label_file import NO_CLASS
from al_lightning.data.layout import LAYOUT
from al_lightning.data.names import alike
from al_lightning.data.search import FOLDERS, NONE, Found
from al_lightning.data.twins import Image
from al_lightning.errors import ConfigError, DataError


def check_classes(root: str, found: Found, labels: str, classes: Sequence[str] | None) -> None:
    """What the names of the files already show.

    Args:
        root: as it was given.
        found: there.
        labels: `dataset.labels`.
        classes: `dataset.classes`.

    Raises:
        ConfigError: they are no classes, or there is no image.
        DataError: likewise, for what is left out.
    """
    named = sorted(name for name, paths in found.pool.items() if paths and name != NO_CLASS)
    if classes is not None:
        _check_given(root, found, labels, classes)
    elif labels == NONE:
        raise ConfigError("dataset.labels=none: nothing names the classes; say them: dataset.classes=[cat,dog]")
    elif len(named) < 2 and labels != FOLDERS:
        raise ConfigError(
            f"dataset.labels={labels}: has {'the class ' + named[0] + ' only' if named else 'no class'} for the images "
            f"in {root}; at least 2 are needed: dataset.classes=[...] names those that no image has yet"
        )
    elif len(named) < 2:
        listed = ", ".join(f"{name} ({len(paths)} images)" for name, paths in sorted(found.pool.items()))
        raise (DataError if found.left_out else ConfigError)(
            f"dataset.root={root}: must hold images of at least 2 classes in the layout {LAYOUT}; "
            f"class folders found: {listed or 'none'}.{_inside(root, found)}{_first(found)}{_any_layout(found)}"
        )
    looks = defaultdict(list)
    for name in dict.fromkeys([*named, *(classes or ())]):
        looks[alike(name)].append(name)
    for names in looks.values():
        if len(names) > 1:
            listed = ", ".join(map(repr, sorted(names)))
            print(f"warning: {root}: classes that look alike, and count as different: {listed}", file=sys.stderr)
    known = {*found.pool, *(classes or ())}
    if unknown := sorted(name for name, paths in (found.test or {}).items() if paths and name not in known):
        close = sorted({other for name in unknown for other in looks[alike(name)]})
        raise ConfigError(
            f"dataset.root={root}: class {', '.join(unknown)} is in test, but not in train"
            f"{', which has ' + ', '.join(close) if close else ''}."
        )


def check_memory(n_images: int, channels: int, size: tuple[int, int]) -> None:
    """Whether images of a size fit into memory.

    Raises:
        ConfigError: they do not.
    """
    needed = n_images * channels * size[0] * size[1]
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise ConfigError(
            f"dataset.image_size={list(size)}: {n_images} images of this size need {needed / 2**30:.1f} GiB of memory, "
            f"and there are {present / 2**30:.1f}: make them smaller."
        )


def check_left(
    root: str,
    found: Found,
    reasons: Mapping[Image, str],
    classes: Sequence[str],
    tested: Collection[Image],
    dropped: Collection[Image],
    *,
    has_test: bool,
) -> None:
    """What is left when the files have been read; on standard error, what goes on without.

    Args:
        root: as it was given.
        found: there.
        reasons: why an image is left out, or nothing.
        classes: names.
        tested: images of the test part.
        dropped: images that are left out as copies.
        has_test: whether there has to be a test part.

    Raises:
        DataError: too little.
    """
    kept = [each for each, why in reasons.items() if not why and each not in dropped]
    learned, measured = ({each.name for each in kept if (each in tested) is is_test} for is_test in (False, True))
    missing = ", ".join(sorted(name for name in found.pool if name not in {*learned, NO_CLASS}))
    as_copies = f" {len(dropped)} images are dropped as duplicates." if dropped else ""
    if len(classes) < 2 or not learned:
        causes = [(each.path, why) for each, why in reasons.items() if why and each.name not in learned]
        needed = f"in at least 2 classes, and none can be read in class {missing}" if missing else "and there is none"
        raise DataError(f"{root}: images to learn from are needed {needed}.{as_copies}{_first(found, causes)}")
    if not measured and has_test:
        causes = [(each.path, why) for each, why in reasons.items() if why and each.part == "test"]
        raise DataError(
            f"{root}: the test part has no image: add images to test or at least 2 to a class."
            f"{as_copies}{_first(found, causes)}"
        )
    if missing and {*classes} <= learned:
        print(f"warning: {root}: class {missing} has no image to learn from: it is left out", file=sys.stderr)
    if measured and (untested := ", ".join(sorted(learned - measured - {NO_CLASS}))):
        print(f"warning: {root}: class {untested} has no test image: the test measures are without it", file=sys.stderr)


def _check_given(root: str, found: Found, labels: str, classes: Sequence[str]) -> None:
    if len({*classes}) < max(2, len(classes)) or not all(classes):
        raise ConfigError(f"dataset.classes={list(classes)}: must be at least 2 names, each once.")
    if other := sorted(name for name, paths in found.pool.items() if paths and name not in {*classes, NO_CLASS}):
        whose = "its folders" if labels == FOLDERS else labels
        raise ConfigError(
            f"dataset.classes={list(classes)}: {whose} in {root} have others, too: {', '.join(other)}; add them."
        )
    if not any(found.pool.values()):
        raise (DataError if found.left_out else ConfigError)(
            f"dataset.root={root}: holds no image.{_first(found)}{_any_layout(found) if labels == FOLDERS else ''}"
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


def _any_layout(found: Found) -> str:
    """What to type for images that are in no class folder."""
    if not (found.loose or any(found.pool.values())):
        return ""
    tables = sorted(
        each.name
        for each in found.base.iterdir()
        if each.suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson") and not each.name.startswith(".")
    )
    named = tables[0] if tables else "FILE"
    return (
        f" If a table names file and class: dataset.labels={named}; if nobody has labeled any: dataset.labels=none "
        "dataset.classes=[cat,dog]."
    )


def _first(found: Found, causes: Sequence[tuple[str, str]] = ()) -> str:
    rejected = [*causes, *found.left_out, *found.loose]
    return f" Files rejected: {len(rejected)}, the first of them {': '.join(rejected[0])}." if rejected else ""
