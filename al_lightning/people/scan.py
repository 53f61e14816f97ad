"""The images of a folder, into the store: by content, so that a file that moves or comes twice is known."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from al_lightning.data.cache_folder import File, Manifest
from al_lightning.data.layout import find_images
from al_lightning.data.look import RACY_NS, look
from al_lightning.data.search import NONE, Found, Looking
from al_lightning.people.store import Store

CHUNK = 500  # files that are looked at before the store has them


def scan(
    root: Path, store: Store, own_folders: Sequence[str], exclude: Sequence[str] = (), follow_links: bool = False
) -> Iterator[tuple[int, int]]:
    """Look at all images below a folder: :func:`scan_found` of what :func:`find` finds."""
    yield from scan_found(root, store, find(root, own_folders, exclude, follow_links))


def find(root: Path, own_folders: Sequence[str], exclude: Sequence[str] = (), follow_links: bool = False) -> Found:
    """The images below a folder, unopened; classes are none.

    Args:
        root: the folder.
        own_folders: folders of the program's own, which hold no images wherever they are.
        exclude: glob patterns of names or relative paths that are skipped.
        follow_links: whether links may lead out of the folder.

    Raises:
        ConfigError: the root is not a folder.
        DataError: a folder cannot be read.
    """
    return find_images(Looking(str(root), None, exclude, follow_links, own_folders, NONE))


def scan_found(root: Path, store: Store, found: Found) -> Iterator[tuple[int, int]]:
    """Look at images; those that are as they were are not read again.

    Args:
        root: the folder.
        store: takes what is found, piece by piece.
        found: below the folder.

    Yields:
        How many files are done, of how many.
    """
    paths = sorted(path for each in found.pool.values() for path in each)
    before, now = store.files(), time.time_ns()
    known = Manifest("", now, {path: state.file for path, state in before.items() if state.is_there}, {})
    store.set_gone({path for path, state in before.items() if state.is_there} - {*paths})
    yield 0, len(paths)
    for start in range(0, len(paths), CHUNK):
        chunk = paths[start : start + CHUNK]
        seen = look(found.base, chunk, known)
        for path, reason in {**seen.refused, **seen.failed}.items():
            print(f"warning: {root}/{path}: left out: {reason}", file=sys.stderr)
        changed = {path: file for path, file in seen.files.items() if known.files.get(path) != file}
        store.add_files({path: _to_trust(file, now) for path, file in changed.items()})
        yield start + len(chunk), len(paths)


def _to_trust(file: File, now: int) -> File:
    """A file as the store should have it: one that has changed a moment ago is never taken to be as it was."""
    return file if file.ctime_ns + RACY_NS < now else file._replace(ctime_ns=0)
