"""A folder of images, its cache, and a count of what is decoded: what the tests of the cache share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from al_lightning.data import decode as decode_module
from al_lightning.data import decode_all as module
from al_lightning.data.cache import Request, cache_folder
from al_lightning.data.decode import How
from al_lightning.data.folder import folder
from al_lightning.data.images import ImageData

HOW = How((3, 8, 6))


def make_root(tmp_path: Path) -> Path:
    """Two classes of 20 images."""
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(20):
            draw(tmp_path / "data" / name / f"{number:02}.png", 20 * (name == "b") + number)
    return tmp_path / "data"


def watch_decoding(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The content of every file that is decoded from now on, as it is decoded."""
    contents = []

    def decode(data, *arguments):
        contents.append(data)
        return decode_module.decode(data, *arguments)

    monkeypatch.setattr(module, "decode", decode)
    return contents


def draw(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "BMP")  # of one size, whatever is in it


def load(root: Path, cache: bool = True) -> ImageData:
    return folder(str(root), [8, 6], 3, 0.25, 0, str(root.parent / "cache") if cache else None)


def kept(root: Path) -> Path:
    """The folder of the cache that `load` uses."""
    return cache_folder(Request(root, [], HOW, 0), str(root.parent / "cache"))


def assert_same(left: ImageData, right: ImageData) -> None:
    for one, other in ((left.pool, right.pool), (left.test, right.test)):
        assert one.ids == other.ids
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
    assert (left.classes, left.rejected, left.duplicates) == (right.classes, right.rejected, right.duplicates)
