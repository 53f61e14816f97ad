"""Which files below a folder are images of which class."""

import sys
from collections import defaultdict
from pathlib import PurePosixPath

from al_lightning.data import label_file
from al_lightning.data.label_file import NO_CLASS
from al_lightning.data.names import normal, printable
from al_lightning.data.parts import check_are_classes
from al_lightning.data.search import FOLDERS, NONE, Files, Found, Looking, Search, resolved
from al_lightning.errors import ConfigError, DataError

LAYOUT = "<root>/train/<class>/ and <root>/test/<class>/, or <root>/<class>/"


def find_images(looking: Looking) -> Found:
    """Find the parts, the class folders in them, and the image files in these, in any depth.

    Where folders do not name the classes, these are all files of a part, and a label file names the classes.

    Skipped are names with a leading dot, what machines leave behind, what is excluded, and what this program writes:
    its folders, and run folders and reports wherever they are. A class has one name, whether it is spelled in NFC or
    NFD; the paths stay as they are. What a person should know of it is said on standard error.

    Raises:
        ConfigError: the root is not a folder; a part is not there, not clear, or leads out of the root; or the folders
            found are something else than classes.
        DataError: a folder cannot be read.
    """
    try:
        base = resolved(looking.root)
        if not base.is_dir():
            raise ConfigError(f"dataset.root={looking.root}: must be a folder with images in the layout {LAYOUT}.")
    except OSError as error:
        raise DataError(f"dataset.root={looking.root}: the folder cannot be read: {error.strerror}.") from error
    search = Search(base, looking)
    parts = search.parts()
    found = Found(base, parts)
    if looking.labels == FOLDERS:
        found.pool = search.classes(parts.pool, found)
        if parts.test is not None:
            found.test = search.classes(parts.test, found)
    else:
        _any_layout(search, looking, found)
    found.left_out.sort()
    found.loose.sort()
    if looking.parts == "auto" and looking.labels == FOLDERS:
        depth = len(PurePosixPath(parts.pool).parts) + 1
        below = {
            name: ["/".join(each.split("/")[depth:]) for each in paths] for name, paths in found.pool.items() if paths
        }
        check_are_classes(looking.root, parts, below)
    if parts.said:
        print(f"note: {looking.root}: {parts.said}", file=sys.stderr)
    for pattern in sorted(search.exclude.unused):
        print(f"warning: dataset.exclude: nothing in {looking.root} matches {pattern}", file=sys.stderr)
    return found


def _any_layout(search: Search, looking: Looking, found: Found) -> None:
    """Find the files of the parts, and what a label file says of each.

    Raises:
        ConfigError: there is no such file, or it names no image of the root.
        DataError: it cannot be read.
    """
    parts, classes, seen = found.parts, dict[str, str](), set[str]()
    if looking.labels != NONE:
        files = label_file.find(found.base, [part for part in (parts.pool, parts.test) if part], looking.labels)
        classes = label_file.read(found.base, files)

    def of_part(part: str) -> Files:
        named: Files = defaultdict(list)
        for path in search.files(part, found):
            named[classes.get(normal(path), NO_CLASS)].append(path)
            seen.add(normal(path))
        return {name: sorted(named[name]) for name in sorted(named)}

    found.pool = of_part(parts.pool)
    if parts.test is not None:
        found.test = of_part(parts.test)
        unlabeled = found.test.pop(NO_CLASS, [])
        found.left_out += [(printable(path), "in the test part, and nobody has labeled it") for path in unlabeled]
    missed = sorted({*classes} - seen - {normal(path) for path, _ in found.left_out})
    if classes and len(missed) == len(classes):
        raise ConfigError(
            f"dataset.labels={looking.labels}: of the {len(missed)} images that it names none is in {looking.root}, "
            f"the first of them {missed[0]}{'; folders are separated by /' if chr(92) in missed[0] else ''}"
        )
    found.left_out += [(path, f"named in {looking.labels}, and not among the images that are read") for path in missed]
    if missed:
        print(
            f"warning: {looking.root}: {len(missed)} images that {looking.labels} names are not among those that are "
            f"read, the first of them {missed[0]}",
            file=sys.stderr,
        )
