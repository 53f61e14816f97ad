"""Which image a file of labels means: by its digest, else by its path, else by a file name that is there once."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from al_lightning.data.names import normal
from al_lightning.exchange.said import AMBIGUOUS, UNKNOWN_IMAGE, Problem, Said
from al_lightning.people.store import Store

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)  # Label Studio's name of a file that was uploaded


class Finder:
    """The images of a store by all that a file may call them.

    Args:
        store: of the project.
        root: folder of its images.
    """

    def __init__(self, store: Store, root: Path) -> None:
        self._root = normal(root.as_posix())
        self._items = {digest: item for item, digest in store.items().items()}
        self._by_path: dict[str, set[int]] = defaultdict(set)
        self._by_name: dict[str, set[int]] = defaultdict(set)
        for path, file in store.files().items():
            self._by_path[normal(path)].add(file.item)
            self._by_name[PurePosixPath(normal(path)).name].add(file.item)

    def find(self, said: Said) -> int | Problem:
        """The image that is meant, or why it is none."""
        if said.digest:  # a path that has another content now is another image
            item = self._items.get(said.digest.lower())
            why = "the project has no image with this digest"
            return Problem(said.row, said.id, UNKNOWN_IMAGE, why) if item is None else item
        spelled = [each for name in said.names for each in _spellings(normal(name))]
        paths = [each for path in spelled for each in self._relative(path)]
        names = [PurePosixPath(path).name for path in spelled]
        uploaded = [found[1] for name in names if (found := _UPLOADED.fullmatch(name))]
        for known, keys in ((self._by_path, paths), (self._by_name, names), (self._by_name, uploaded)):
            if key := next((each for each in keys if each in known), None):
                if len(known[key]) == 1:
                    return next(iter(known[key]))
                return Problem(said.row, said.id, AMBIGUOUS, f"{len(known[key])} images have the name {key!r}")
        return Problem(said.row, said.id, UNKNOWN_IMAGE, "the project has no image of this path or file name")

    def _relative(self, path: str) -> Iterator[str]:
        """What a path may be relative to the root: given so, absolute, or from the folder that the root is in."""
        yield path
        yield path.removeprefix("./")
        for above in (f"{self._root}/", f"{PurePosixPath(self._root).name}/"):
            if path.startswith(above):
                yield path.removeprefix(above)


def _spellings(name: str) -> Iterable[str]:
    """A name as it is, and the path that it has where it is an address."""
    try:
        parts = urlsplit(name)
        local = parse_qs(parts.query).get("d")  # of Label Studio's local files
    except ValueError:
        return [name]
    if local:
        return [name, normal(local[0])]
    return [name, normal(unquote(parts.path)).lstrip("/")] if parts.scheme or name.startswith("/data/") else [name]
