"""A small project of labels: images, its server in a process of its own, and what a learner would have handed over."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from socket import create_server

import httpx
import numpy as np
from PIL import Image

from al_lightning.people.records import LABEL, Given
from al_lightning.people.store import Store

CLASSES = ("cat", "dog")
# The server as it is, without the process that learns: what that would hand over is written by `hand_over`.
SERVER = """
import sys
from al_lightning.label import learner
from al_lightning.label.__main__ import main
learner.Learner.start = lambda self: None
sys.exit(main())
"""


def make_photos(folder: Path, n: int) -> Path:
    """Images whose names begin with their classes; no two are alike."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        size = (48, 64, 3) if i % 3 else (900, 300, 3)
        pixels = np.full(size, rng.integers(0, 256, 3), np.uint8)
        pixels[:20, :20] = rng.integers(0, 256, (20, 20, 3))
        Image.fromarray(pixels).save(folder / f"{CLASSES[i % 2]}-{i:03}.png")
    return folder


class Served:
    """A server that can be killed, and started again at the same port."""

    def __init__(self, photos: Path, arguments: Sequence[str] = ("--classes", ",".join(CLASSES))) -> None:
        self.photos, self.project, self.arguments = photos, photos.with_name(f"{photos.name}-labels"), arguments
        with create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Until it has printed its address, and has looked at all images."""
        command = [
            sys.executable,
            "-c",
            SERVER,
            str(self.photos),
            *self.arguments,
            "--no-browser",
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        self.address = next(line.split()[1] for line in lines if line.startswith("address: "))
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", follow_redirects=True) as client:
            client.get(self.address)
            while client.get("/api/state").json()["n_items"] < len([*self.photos.iterdir()]):
                pass

    def kill(self) -> None:
        """As when the machine goes down."""
        self.process.kill()
        self.process.communicate()

    def store(self) -> Store:
        """What it keeps."""
        return Store(self.project / "labels.sqlite")

    def names(self) -> dict[int, str]:
        """The file of every image."""
        store = self.store()
        found = {state.item: path for path, state in store.files().items()}
        store.close()
        return found


def disagree(served: Served) -> None:
    """Two people answer for six images, and agree on two of them; the learner doubts one of these."""
    store = served.store()
    people = [store.add_annotator(name) for name in ("Ann", "Bo")]
    items = sorted(store.items())[:6]
    for i, item in enumerate(items):
        for person in people:
            label = 1 if person == people[0] or i < 2 else 2
            store.answer(person, f"answer-{item}-{person}", [Given(item, LABEL, label)], "page", 2.0)
    store.close()
    (served.project / "live" / "doubtful.json").write_text(json.dumps({"event": 1, "items": [[items[0], 1, 2, 0.9]]}))


def hand_over(served: Served) -> None:
    """What a learner hands over that is right of every image, and less sure of later ones."""
    names, live, store = served.names(), served.project / "live", served.store()
    items = np.array(sorted(names))
    first = np.array([1 + CLASSES.index(names[item][:3]) for item in items], np.int16)
    probability = np.linspace(0.99, 0.6, len(items), dtype=np.float32)
    angle = np.linspace(0, 6, len(items))
    places = 0.5 + 0.4 * np.stack([np.cos(angle), np.sin(angle)], 1) * np.where(first == 1, 1, 0.2)[:, None]
    np.savez(live / "map.npz", item=items, xy=places.astype(np.float32))
    query = store.add_query(
        {"asker": "live", "round": None, "strategy": "margin", "seed": 0, "event": 0, "n_labeled": 40, "seconds": 0.1},
        items.tolist(),
        np.linspace(1, 0, len(items)).tolist(),
    )
    store.close()
    arrays = {
        "item": items,
        "first": first,
        "second": 3 - first,
        "probability": probability,
        "margin": 2 * probability - 1,
    }
    np.savez(live / f"predictions-{query}.npz", **arrays, query=query, n_labeled=40, event=0)
