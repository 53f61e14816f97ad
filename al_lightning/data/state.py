"""Whether the files of a data set are as they were, by what the file system says of them: none is opened."""

import os
import stat
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from al_lightning.config import targets
from al_lightning.data.look import RACY_NS
from al_lightning.data.search import FOLDERS


def state(node: Mapping[str, Any], but: tuple[str, ...] = ()) -> str:
    """A hash over names, sizes, times and inodes of all files that a data set is read from.

    Equal states are equal images; different ones may be, too.

    Args:
        node: settings of the data set, as in the configuration.
        but: folders of the program's own, which may lie among the images.

    Returns:
        16 hex digits; nothing where that cannot be said: a data set of the user's own, files that are missing, that
        cannot be looked at, or that were written a moment ago.
    """
    target = targets.public(str(node.get("_target_")))
    now = time.time_ns()
    try:
        if target == "al_lightning.dataset.folder":
            root = Path(os.path.realpath(Path(node["root"]).expanduser()))
            own = {os.path.realpath(Path(each).expanduser()) for each in (*but, node.get("cache")) if each}
            found = sorted(_walk(str(root), own))
            labels = root / Path(str(node.get("labels", FOLDERS))).expanduser()
            if labels.is_file():  # which need not be in it
                found.append((str(labels), *_stats(labels.stat())))
        elif target == "al_lightning.dataset.torchvision_set":
            from al_lightning.data.originals import SETS, files  # torchvision takes its time

            folder, names = files(SETS[node["dataset"]], Path(node["root"]).expanduser())
            found = [(name, *_stats((folder / name).stat())) for name in names]
        elif target == "al_lightning.dataset.digits":
            found = [("scikit-learn", version("scikit-learn"))]
        else:
            return ""
    except (OSError, KeyError):  # a data set of an unknown name is refused when it is loaded
        return ""
    if any(type(changed) is int and changed + RACY_NS > now for _, *times in found for changed in times[1:3]):
        return ""
    return blake2b(repr(found).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _walk(root: str, own: set[str]) -> Iterator[tuple[Any, ...]]:
    """(path relative to the root, what the file system says) of everything below it, links followed once each."""
    ahead, seen = [root], set()
    while ahead:
        folder = ahead.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path = entry.path
                try:
                    status = entry.stat()
                except OSError:  # a link to nowhere
                    status = entry.stat(follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    yield os.path.relpath(path, root), *_stats(status)
                elif os.path.realpath(path) not in own and (key := (status.st_dev, status.st_ino)) not in seen:
                    seen.add(key)
                    ahead.append(path)


def _stats(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
