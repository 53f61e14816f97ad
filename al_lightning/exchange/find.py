"""Which image a file of labels means: by its digest, else by its path, or the part of it that both have."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from al_lightning.data.names import normal
from al_lightning.exchange.said import AMBIGUOUS, UNKNOWN_IMAGE, Problem, Said
from al_lightning.people.store import Store

# Label Studio's name of a file that was uploaded: of its path, only the file name is left.
_UPLOADED = re.compile(r"(?:(?:.*/)?upload/\d+/)?[0-9a-f]{8}-([^/]+)", re.DOTALL)


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
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for each, file in store.files().items():
            path = normal(each)
            self._by_path[path].add(file.item)
            self._by_name[PurePosixPath(path).name].append(path)

    def find(self, said: Said) -> int | Problem:
        """The image that is meant, or why it is none."""
        if said.digest:  # a path that has another content now is another image
            item = self._items.get(said.digest.lower())
            why = "the project has no image with this digest"
            return Problem(said.row, said.id, UNKNOWN_IMAGE, why) if item is None else item
        spelled = [each.removeprefix("./") for name in said.names for each in _spellings(normal(name))]
        for path, known in self._known(spelled):
            if items := {item for each in known for item in self._by_path.get(each, ())}:
                if len(items) == 1:
                    return items.pop()
                return Problem(said.row, said.id, AMBIGUOUS, f"{len(items)} images may be {path!r}")
        return Problem(said.row, said.id, UNKNOWN_IMAGE, "the project has no image of this path or file name")

    def _known(self, spelled: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
        """Spellings and the paths of the project that each may be, the surest first."""
        for path in spelled:
            yield from ((each, [each]) for each in self._relative(path))
        for path in spelled:  # one ends with the other; the same file name in another folder is another image
            named = self._by_name.get(PurePosixPath(path).name, [])
            yield path, [each for each in named if f"/{each}".endswith(f"/{path}") or f"/{path}".endswith(f"/{each}")]
        for path in spelled:
            if uploaded := _UPLOADED.fullmatch(path):
                yield path, self._by_name.get(uploaded[1], [])

    def _relative(self, path: str) -> Iterator[str]:
        """What a path may be relative to the root: given so, absolute, or from the folder that the root is in."""
        yield path
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
