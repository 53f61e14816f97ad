"""A walk through the folders of a root: which files in them are images, and which are left out."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from al_lightning.data.names import (
    Patterns,
    is_left_behind,
    is_picture,
    is_tools,
    is_utf8,
    normal,
    printable,
    why_not,
)
from al_lightning.data.parts import Parts, find_parts
from al_lightning.errors import ConfigError, DataError

FOLDERS, NONE = "folders", "none"  # where classes are named, besides files: by folders, nowhere

Files = dict[str, list[str]]  # class name, or `NO_CLASS` -> paths relative to the root, with /
LeftOut = list[tuple[str, str]]  # (path, reason)


@dataclass(frozen=True)
class Looking:
    """Where to look, and where not.

    Attributes:
        root: the folder, as it was given.
        parts: `auto`: find training and test part by their names; None: there are none; else their two folders.
        exclude: glob patterns of names or relative paths that are skipped.
        follow_links: whether links may lead out of the root.
        own_folders: folders of this program, skipped wherever they are met below the root.
        labels: what says which class an image is of: `folders`, `none`, or the path of a file.
    """

    root: str
    parts: str | Sequence[str] | None = "auto"
    exclude: Sequence[str] = ()
    follow_links: bool = False
    own_folders: Sequence[str] = ()
    labels: str = FOLDERS


@dataclass
class Found:
    """What there is.

    Attributes:
        base: the root, resolved.
        parts: the folders that hold the classes, or images in any layout.
        pool: files of the pool; none for a class folder without images.
        test: files of the test part; None: it is to be split off the pool.
        left_out: what is left out unopened, below classes.
        loose: images that are in no class folder.
    """

    base: Path
    parts: Parts
    pool: Files = field(default_factory=dict)
    test: Files | None = None
    left_out: LeftOut = field(default_factory=list)
    loose: LeftOut = field(default_factory=list)


class Search:
    """A walk through the folders of a root."""

    def __init__(self, base: Path, looking: Looking) -> None:
        self.base, self.looking = str(base), looking
        self.exclude = Patterns(looking.exclude)
        own = {str(resolved(each)) for each in looking.own_folders if each}
        # Where the root itself is in one of them, what else is there is the user's.
        self.own = {each for each in own if not base.is_relative_to(each)}

    def parts(self) -> Parts:
        """The folders that hold the classes."""
        given, root = self.looking.parts, self.looking.root
        if given is None:
            return Parts(".", None)
        if self.looking.labels == NONE:
            if given != "auto":
                raise ConfigError(
                    f"dataset.labels=none dataset.parts={given}: without labels there is no test part; leave out parts"
                )
            named = Parts(".", None)
            with suppress(ConfigError):  # which of several they are does not matter here
                named = find_parts(root, self._folders("."))
            return Parts(".", None, f"{named.pool} and {named.test} are one pool" if named.test else "")
        if given == "auto":
            parts = find_parts(root, self._folders("."))
            return parts._replace(pool=self._unnested(parts.pool), test=parts.test and self._unnested(parts.test))
        if isinstance(given, str) or len({*given}) != 2:
            raise ConfigError(
                f"dataset.parts={given}: must be auto, null or two folders of dataset.root: [TRAIN,TEST]."
            )
        for part in given:
            if not part or not Path(self.base, part).is_dir():
                raise ConfigError(
                    f"dataset.parts={list(given)}: there is no folder {part} in {root}; there are: "
                    f"{', '.join(sorted(self._folders('.'))) or 'none'}."
                )
        pool, test = (PurePosixPath(part).as_posix() for part in given)
        return Parts(pool, test)

    def _top(self, part: str) -> str:
        """The folder of a part, resolved."""
        top = os.path.realpath(f"{self.base}/{part}")
        if not self.looking.follow_links and not Path(top).is_relative_to(self.base):
            raise ConfigError(
                f"dataset.root: {self.base}/{part} is a link that leads out of the folder: put the images there, "
                "or follow it: dataset.follow_links=true."
            )
        return top

    def files(self, part: str, found: Found) -> list[str]:
        """Paths of all images of a part, in any depth; what is not used goes to `found`."""
        top = self._top(part)
        for own in sorted(each for each in self.own if Path(each).is_relative_to(top) and Path(each).is_dir()):
            self._warn_of_own(Path(own).relative_to(self.base).as_posix(), (self.base, top, own))
        below = list(self._walk(part, (self.base, top)))
        found.left_out += [(printable(path), reason) for path, reason in below if reason]
        return [path for path, reason in below if not reason]

    def classes(self, part: str, found: Found) -> Files:
        """Sorted paths of every class of a part; what is not used goes to `found`."""
        top = self._top(part)
        above = (self.base, top)
        files: Files = defaultdict(list)
        hidden: list[str] = []
        for entry in _entries(top):
            path = (PurePosixPath(part) / entry.name).as_posix()
            if entry.name.startswith("."):
                if not is_tools(entry.name) and not self.exclude.match(path) and _holds_pictures(entry):
                    hidden.append(printable(entry.name))
                continue
            is_folder, real, why = self._look(entry, above)
            if self._is_skipped(entry, path, real, is_folder):
                if real in self.own:
                    self._warn_of_own(path, (*above, real))
                continue
            if not is_folder and is_picture(entry.name):
                found.loose.append((printable(path), why or "in no class folder"))
                continue
            if is_folder is False:
                continue
            below = [(path, why)] if why else list(self._walk(path, (*above, real)))
            found.left_out += [(printable(each), reason) for each, reason in below if reason]
            # A folder of which nothing but the program's own was skipped is none of the user's.
            if is_utf8(entry.name) and (below or not self._holds_own(real)):
                files[normal(entry.name)] += [each for each, reason in below if not reason]
        if hidden:
            print(
                f"warning: {self.looking.root}: skipped, because a name with a leading dot is hidden: "
                f"{', '.join(sorted(hidden))}; to use it, rename it",
                file=sys.stderr,
            )
        return {name: sorted(paths) for name, paths in files.items()}

    def _walk(self, top: str, above_top: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Files below a folder as (path relative to base, why it is left out or nothing); folders left out too."""
        ahead = [(top, above_top)]
        while ahead:
            folder, above = ahead.pop()
            for entry in _entries(f"{self.base}/{folder}"):
                if entry.name.startswith("."):
                    continue
                path = entry.name if folder == "." else f"{folder}/{entry.name}"
                is_folder, real, why = self._look(entry, above)
                if self._is_skipped(entry, path, real, is_folder):
                    continue
                if is_folder and not why:
                    ahead.append((path, (*above, real)))
                elif is_folder is not False:
                    yield path, why
                elif (unfit := why_not(entry.name)) is not None:
                    yield path, unfit or why

    def _warn_of_own(self, path: str, above: tuple[str, ...]) -> None:
        """Say that a folder of this program is skipped, where it holds pictures."""
        pictures = (is_picture(each) for each, reason in self._walk(path, above) if not reason)
        if not self.exclude.match(path) and any(pictures):
            print(
                f"warning: {self.looking.root}: {path} is skipped: this program keeps its own files there "
                "(paths.output_root, paths.data); to use the images in it, move or rename it",
                file=sys.stderr,
            )

    def _look(self, entry: os.DirEntry[str], above: tuple[str, ...]) -> tuple[bool | None, str, str]:
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
            if not self.looking.follow_links and not Path(real).is_relative_to(self.base):
                why = "a link that leads out of the folder: dataset.follow_links=true follows it"
            elif any(Path(each).is_relative_to(real) for each in above):
                why = "a link to a folder that it is in"
        if not is_utf8(entry.name):
            why = "its name is not UTF-8: rename it"
        return entry.is_dir(), real, why

    def _is_skipped(self, entry: os.DirEntry[str], path: str, real: str, is_folder: bool | None) -> bool:
        """Whether an entry is passed over without a word."""
        return (
            is_left_behind(entry.name)
            or self.exclude.match(path)
            or (bool(is_folder) and (real in self.own or _is_written_by_us(Path(real))))
        )

    def _folders(self, part: str) -> list[str]:
        """Names of the folders that could be parts or classes."""
        names = []
        for entry in _entries(f"{self.base}/{part}"):
            path = (PurePosixPath(part) / entry.name).as_posix()
            if entry.name.startswith(".") or not _is_folder(entry) or not is_utf8(entry.name):
                continue
            if not self._is_skipped(entry, path, os.path.realpath(entry.path), True):
                names.append(entry.name)
        return names

    def _unnested(self, part: str) -> str:
        """The folder of the same name that is all there is in a part: archives are unpacked into such."""
        name = PurePosixPath(part).name
        return f"{part}/{name}" if self._folders(part) == [name] else part

    def _holds_own(self, folder: str) -> bool:
        """Whether there is something of this program's at any depth."""
        return any(
            f"{parent}/{name}" in self.own or _is_written_by_us(Path(parent, name))
            for parent, folders, _ in os.walk(folder)
            for name in folders
        )


def resolved(path: str) -> Path:
    """A path without links, with `~` for the user's home."""
    with suppress(RuntimeError):  # ~name, and there is nobody of that name
        return Path(os.path.realpath(Path(path).expanduser()))
    return Path(os.path.realpath(path))


def _is_written_by_us(folder: Path) -> bool:
    """Whether a folder is a run, a report on runs, an output root or a cache, wherever it has been moved."""
    return (
        folder.name in ("multirun_outputs", "folder-cache")
        or ((folder / "rounds").is_dir() and (folder / "config.yaml").is_file())
        or (folder.name == "report" and (folder / "report.html").is_file())
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # a link to itself
        return entry.is_dir()
    return False


def _holds_pictures(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return entry.is_dir() and any(is_picture(name) for _, _, names in os.walk(entry.path) for name in names)
    return False


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{printable(folder)}: the folder cannot be read: {error.strerror}.") from error
