"""Features learned from the pool itself: held against a plain loop, and the filters kept where they have to be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command, own_oracle
from safetensors.torch import save_file
from test_growing_pool import photos
from threadpoolctl import threadpool_limits

import al_lightning
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.sources import digits
from al_lightning.embedding.patches import CONTRAST, GRID, THRESHOLD, Responses, patches
from al_lightning.errors import ConfigError, DataError

CPU = torch.device("cpu")
PEOPLE = """
from al_lightning.oracle import Answer

class People:
    def __init__(self, data, seed):
        self.patience = 8

    def ask(self, question):
        shown, self.patience = list(zip(question.indices, question.ids))[: self.patience], 0
        return [Answer(index, int("dog" in name), "ann") for index, name in shown]
"""


@pytest.mark.parametrize(("channels", "side", "patch"), [(1, 8, 3), (3, 12, 5)])
def test_responses_are_those_of_a_loop_over_patches(channels: int, side: int, patch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    filters, bias = torch.randn(4, channels, patch, patch, generator=generator), torch.randn(4, generator=generator)
    images = torch.randint(256, (3, channels, side, side), dtype=torch.uint8, generator=generator)
    images[2] = 7  # without any contrast
    found = Responses(filters, bias, image_size=32)(images)
    n = side - patch + 1
    expected = torch.zeros(3, 8, n, n)
    for i, image in enumerate(images.float()):
        for y in range(n):
            for x in range(n):
                window = image[:, y : y + patch, x : x + patch].flatten()
                normal = (window - window.mean()) / (window.var(correction=0) + CONTRAST).sqrt()
                along = filters.flatten(1) @ normal + bias
                expected[i, :, y, x] = torch.cat([(along - THRESHOLD).clamp(min=0), (-along - THRESHOLD).clamp(min=0)])
    cells = [(k * n // GRID, -(-(k + 1) * n // GRID)) for k in range(GRID)]
    means = torch.stack([expected[:, :, a:b, c:d].mean((2, 3)) for a, b in cells for c, d in cells], 2).flatten(1)
    torch.testing.assert_close(found, means, rtol=1e-3, atol=1e-3)


def test_filters_are_learned_once_from_a_pool_in_any_order_with_any_threads(tmp_path: Path) -> None:
    data = digits()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data.pool)))
    pool = ImageSet(data.pool.images[order], data.pool.labels[order], [data.pool.ids[int(i)] for i in order])
    found = []
    for number, each in enumerate([data, ImageData(pool, data.test, data.classes)]):
        with threadpool_limits(number + 1, user_api="blas"):
            found.append(patches(each, n_filters=20, patch_size=3).embed(each, tmp_path / str(number), CPU))
    one, other = found
    assert one.key == other.key and one.shown == "20 filters of 3 x 3 learned from the pool, at 8 x 8"
    torch.testing.assert_close(one.pool[order].float(), other.pool.float(), rtol=1e-3, atol=1e-3)
    files = list((tmp_path / "0").glob("patches-*"))
    before = files[0].stat().st_mtime_ns
    assert patches(data, n_filters=20, patch_size=3).embed(data, tmp_path / "0", CPU).key == one.key
    assert len(files) == 1 and files[0].stat().st_mtime_ns == before, "they are there"
    fewer = replace(data, mask=torch.arange(len(data.pool)) < 700)
    assert patches(fewer, n_filters=20, patch_size=3).embed(fewer, tmp_path / "0", CPU).key != one.key


def test_a_file_of_filters_serves_a_pool_that_grows_and_another_one(tmp_path: Path) -> None:
    data, file = digits(), tmp_path / "own" / "filters.safetensors"
    half = ImageSet(data.pool.images[:500], data.pool.labels[:500], data.pool.ids[:500])
    part = ImageData(half, data.test, data.classes)
    own: Any = {"n_filters": 20, "patch_size": 3, "filters": str(file)}
    keys = {patches(each, **own).embed(each, tmp_path, CPU).key for each in (part, data)}
    assert len(keys) == 1 and file.exists()
    with pytest.raises(ConfigError, match=r"filters\.safetensors: has .*, and needs filters \(30, 1, 3, 3\)"):
        patches(data, **{**own, "n_filters": 30}).embed(data, tmp_path, CPU)
    file.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"embedding.filters=.*cannot be read"):
        patches(data, **own).embed(data, tmp_path, CPU)


def test_where_filters_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "embeddings").write_text("no folder")
    with pytest.raises(DataError, match=r"the features cannot be kept in .*embeddings: File exists"):
        patches(digits(), n_filters=5, patch_size=3).embed(digits(), tmp_path / "embeddings", CPU)


def test_a_run_goes_on_with_the_filters_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Images come while people are waited for; another run on the pool as it is then learns others."""
    own_oracle(tmp_path, PEOPLE, monkeypatch)
    photos(tmp_path, {"": 12})
    settings = (
        *(f"--config-dir={tmp_path / 'conf'}", "oracle=crowd", "dataset=folder", "dataset.root=photos"),
        *("dataset.image_size=8", "embedding=patches", "embedding.n_filters=5", "embedding.patch_size=3"),
        *("model=linear", "al.initial_size=6", "al.query_size=4", "al.rounds=2"),
    )
    assert "waiting" in command(*settings, cwd=tmp_path).out
    photos(tmp_path, {"": 2}, seed=1, prefix="new-")
    ended = command(*settings, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "the pool has" in ended.out and len(list(tmp_path.glob("data/embeddings/patches-*"))) == 1
    assert command(*settings, "study=other", cwd=tmp_path).code == 0
    assert len(list(tmp_path.glob("data/embeddings/patches-*"))) == 2


def test_images_smaller_than_a_filter_are_refused_and_larger_ones_reduced(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"embedding\.patch_size=9: images are 8 x 8; make it smaller"):
        patches(digits(), patch_size=9)
    images = torch.randint(256, (30, 3, 40, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    part = ImageSet(images, torch.arange(30) % 2, [str(i) for i in range(30)])
    data = ImageData(part, part, ("cat", "dog"))
    embedder = patches(data, n_filters=5)
    assert embedder.shown.endswith("at 16 x 32") and embedder.embed(data, tmp_path, CPU).pool.shape == (30, 40)


def test_a_run_learns_goes_on_and_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a hundred labels; a few pixels in a row, with the same head, are worth less."""
    monkeypatch.chdir(tmp_path)
    sizes = ("dataset=digits", "model=linear", "al.initial_size=100", "al.query_size=20", "logger=none")
    learned = ("embedding=patches", "embedding.patch_size=3", "embedding.n_filters=50")
    first = al_lightning.run([*sizes, *learned, "al.rounds=1"])
    folder = al_lightning.run([*sizes, *learned, "al.rounds=2"]).folder
    assert folder == first.folder
    rows, other = (
        pd.read_csv(each / "rounds.csv")["test/acc"].tolist()
        for each in (folder, al_lightning.run([*sizes, "embedding=pixels", "al.rounds=0"]).folder)
    )
    assert rows[0] > other[0] + 0.02
    trained, test = al_lightning.load(folder), digits().test
    accuracy = (trained.model(test.images).argmax(1) == test.labels).float().mean()
    assert float(accuracy) == pytest.approx(rows[-1], abs=0.003)
    for file in Path("data/embeddings").glob("patches-*"):
        save_file({"filters": torch.zeros(2, 1, 3, 3), "bias": torch.zeros(2)}, file)  # of another kind
    next(Path("data/embeddings").glob("patches-*")).with_name("patches-0.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match="is no longer in data/embeddings; put it back"):
        al_lightning.load(folder)
