"""Which files below a folder are images of which class."""

import os
from collections.abc import Iterator
from pathlib import Path

from al_lightning.data.decode import SUFFIXES
from al_lightning.errors import ConfigError, DataError

LAYOUT = "<root>/train/<class>/ and <root>/test/<class>/, or <root>/<class>/"

Files = dict[str, list[str]]  # class name -> paths relative to the root, with /
LeftOut = list[tuple[str, str]]  # (path, reason)


def open_root(root: str) -> tuple[Path, bool]:
    """The root, resolved, and whether it holds `train` and `test`.

    Raises:
        ConfigError: it is not a folder.
        DataError: it cannot be looked into.
    """
    try:
        base = Path(os.path.realpath(Path(root).expanduser()))
        if not base.is_dir():
            raise ConfigError(f"dataset.root={root}: must be a folder with images in the layout {LAYOUT}.")
        return base, (base / "train").is_dir() and (base / "test").is_dir()
    except OSError as error:
        raise DataError(f"dataset.root={root}: the folder cannot be read: {error.strerror}.") from error


def find_images(base: Path, part: str, cache: str | None) -> tuple[Files, LeftOut]:
    """Find the class folders of a part and the image files in them, in any depth.

    Names with a leading dot are skipped, and so is what is neither a folder nor has the suffix of an image.

    Args:
        base: the root, resolved. Links inside it are followed as long as they stay inside and do not run in circles.
        part: folder below it that holds the class folders: `train`, `test` or `.` for the root itself.
        cache: a folder of the program's own, which is not a class.

    Returns:
        Sorted paths of every class, none for a class folder without images; and what is left out unopened.

    Raises:
        ConfigError: the part is a link that leads out of the root.
        DataError: a folder cannot be read.
    """
    top, own = os.path.realpath(base / part), os.path.realpath(Path(cache or "/").expanduser())
    if not Path(top).is_relative_to(base):
        raise ConfigError(f"dataset.root: {base / part} is a link that leads out of the folder: put the images there.")
    files: Files = {}
    left_out: LeftOut = []
    for entry in _entries(top):
        is_folder, real, why = _look(entry, str(base), (top,))
        if is_folder is False or real == own:
            continue
        path = (Path(part) / entry.name).as_posix()
        found = [(path, why)] if why else list(_walk(str(base), path, real))
        left_out += [(printable(each), why) for each, why in found if why]
        if _is_utf8(entry.name):
            files[entry.name] = sorted(each for each, why in found if not why)
    return files, left_out


def printable(path: str) -> str:
    r"""A path for people: bytes that are not UTF-8 become `\x..`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _walk(base: str, top: str, real_top: str) -> Iterator[tuple[str, str]]:
    """Image files below a folder as (path relative to base, why it is left out or nothing); folders left out too."""
    ahead: list[tuple[str, tuple[str, ...]]] = [(top, (real_top,))]
    while ahead:
        folder, above = ahead.pop()
        for entry in _entries(f"{base}/{folder}"):
            path = f"{folder}/{entry.name}"
            is_folder, real, why = _look(entry, base, above)
            if is_folder and not why:
                ahead.append((path, (*above, real)))
            elif is_folder is not False or Path(entry.name).suffix.lower() in SUFFIXES:
                yield path, why


def _look(entry: os.DirEntry[str], base: str, above: tuple[str, ...]) -> tuple[bool | None, str, str]:
    """Whether an entry is a folder (None: nobody knows), its real path, and why it is left out or nothing.

    `above` holds the real paths of the folders on the way to it: a link to one of them, or above, is a circle.
    """
    real, why = f"{above[-1]}/{entry.name}", ""
    if entry.is_symlink():
        real = os.path.realpath(entry.path)
        try:
            entry.stat()
        except OSError as error:
            return None, real, f"a link that cannot be followed: {error.strerror}"
        if not Path(real).is_relative_to(base):
            why = "a link that leads out of the folder"
        elif any(Path(each).is_relative_to(real) for each in above):
            why = "a link to a folder that it is in"
    if not _is_utf8(entry.name):
        why = "its name is not UTF-8: rename it"
    return entry.is_dir(), real, why


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{printable(folder)}: the folder cannot be read: {error.strerror}.") from error


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
