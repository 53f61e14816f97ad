"""Servers of labeling projects, in processes of their own, without the learner and without PyTorch."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from al_lightning.data.cache_folder import File
from al_lightning.people.store import Store

PACKAGE = Path(__file__).parents[1]
# Found before all else: the learner would take seconds and is another test's subject; the server needs no PyTorch.
WITHOUT = """
import importlib.util, pathlib, sys
learner = pathlib.Path(__file__).with_name('learner.py')
class Without:
    def find_spec(name, path=None, target=None):
        if name == 'al_lightning.live.__main__' and learner.exists():
            return importlib.util.spec_from_file_location(name, learner)
        if name.split('.')[0] == 'torch' or name == 'al_lightning.live.__main__':
            raise ModuleNotFoundError(f'No module named {name}', name=name)
sys.meta_path.insert(0, Without)
"""
LIMIT = 60.0  # seconds
Reply = dict[str, Any]


class Client:
    """Who has the address; annotates under a name."""

    def __init__(self, address: str, name: str = "Ann") -> None:
        self.http = httpx.Client(base_url=address.partition("?")[0], timeout=LIMIT)
        assert self.http.get(address, follow_redirects=True).status_code == 200
        self.id = self.post("annotators", name=name)["id"]
        self._actions = (f"{name}-{number:08}" for number in count())

    def get(self, what: str, **parameters: Any) -> Reply:
        answer = self.http.get(f"/api/{what}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, what: str, **body: Any) -> Reply:
        answer = self.http.post(f"/api/{what}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def next(self, n: int = 4, have: Sequence[int] = ()) -> list[Reply]:
        return self.get("next", annotator=self.id, n=n, have=",".join(map(str, have)))["items"]

    def answer(self, item: int, kind: str | int = "skip", source: str = "page", action: str = "") -> Reply:
        """A kind, or a class."""
        said = {"item": item, "kind": "label", "class": kind} if isinstance(kind, int) else {"item": item, "kind": kind}
        action = action or next(self._actions)
        return self.post("answers", annotator=self.id, action=action, seconds=1.5, answers=[said], source=source) | {
            "action": action
        }

    def undo(self, target: str | None = None) -> Reply:
        return self.post("undo", annotator=self.id, action=next(self._actions), target=target)

    def state_when(self, holds: Callable[[Reply], Any]) -> Reply:
        """The state, as soon as something holds of it."""
        while not holds(state := self.get("state")):
            pass
        return state


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "al_lightning.label", *map(str, arguments)]


def environment(folder: Path, learner: str = "") -> dict[str, str]:
    """In which neither the learner, but for another one in its place, nor PyTorch can be had."""
    (folder / "without").mkdir(exist_ok=True)
    if learner:
        (folder / "without" / "learner.py").write_text(learner, encoding="utf-8")
    (folder / "without" / "sitecustomize.py").write_text(WITHOUT, encoding="utf-8")
    path = os.pathsep.join([str(folder / "without"), str(PACKAGE)])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@contextmanager
def serving(
    photos: Path,
    *options: str,
    ends_with: int = signal.SIGTERM,
    learns: bool = False,
    learner: str = "",
    browser: Path | None = None,
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of a project beside some images; gives its address and its process, which may have ended before."""
    own = os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    shows = {"BROWSER": f"{browser} %s"} if browser else {}
    with (photos.parent / "server.err").open("a") as errors:
        process = subprocess.Popen(
            command(photos, *([] if browser else ["--no-browser"]), *options),
            env=(own if learns else environment(photos.parent, learner)) | shows,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        address = next((found[1] for line in lines if (found := re.match(r"address: (\S+)", line))), None)
        assert address, (photos.parent / "server.err").read_text(encoding="utf-8")
        yield address, process
        process.send_signal(ends_with)
        assert process.wait(LIMIT) == (-ends_with if ends_with == signal.SIGKILL else 0)
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def photos_in(folder: Path, n: int, size: tuple[int, int] = (12, 8)) -> Path:
    """So many different images."""
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(n):
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).save(photos / f"{number:03}.png")
    return photos


def store_of(
    folder: Path, n: int, classes: Sequence[str] = ("cat", "dog"), annotators: Sequence[str] = ("a", "b")
) -> Store:
    """A store of so many images, whose ids count from 1; there are no files."""
    store = Store(folder / "labels.sqlite", create=True)
    digests = (blake2b(str(number).encode(), digest_size=16).hexdigest() for number in range(n))
    store.add_files({f"{number:06}.png": File(1, 1, 1, number, digest) for number, digest in enumerate(digests)})
    for name in classes:
        store.add_class(name)
    for name in annotators:
        store.add_annotator(name)
    return store


def add_live_query(store: Store, ranked: Sequence[int], n_labeled: int = 10, strategy: str = "margin") -> int:
    """A query of the learner; the scores descend."""
    row = {"asker": "live", "round": None, "strategy": strategy, "seed": 0, "event": 0, "n_labeled": n_labeled}
    return store.add_query(row | {"seconds": 0.1}, ranked, [1 / (1 + rank) for rank in range(len(ranked))])


def write_predictions(live: Path, query: int, predicted: Mapping[int, tuple[int, float]], n_labeled: int = 10) -> None:
    """The file of a query: class and probability by image; the other class of two has the rest."""
    items = sorted(predicted)
    first = np.array([predicted[item][0] for item in items], np.int16)
    probability = np.array([predicted[item][1] for item in items], np.float32)
    arrays: dict[str, Any] = {"item": np.array(items, np.int64), "first": first, "second": (3 - first).astype(np.int16)}
    arrays |= {"probability": probability, "margin": 2 * probability - 1}
    arrays |= {"query": np.int64(query), "n_labeled": np.int64(n_labeled), "event": np.int64(0)}
    live.mkdir(exist_ok=True)
    np.savez(live / "part.npz", **arrays)
    (live / "part.npz").replace(live / f"predictions-{query}.npz")
