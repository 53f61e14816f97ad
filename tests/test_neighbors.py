"""Candidates near what is labeled: found exactly, or nearly, each image looked up once, and the same after a pause."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command
from run_folders import only_run, table

from al_lightning.acquisition import neighbors as module
from al_lightning.acquisition.neighbors import neighbors
from al_lightning.data.embedding import Embedding
from al_lightning.data.sources import digits
from al_lightning.errors import DataError

HEAD = ("embedding=pixels", "model=linear", "al.candidates=neighbors", "al.n_neighbors=6")
SIZES = ("al.initial_size=10", "al.query_size=20", "strategy=entropy")


def embedding(n: int, d: int = 8, n_centers: int = 40) -> Embedding:
    """Features that lie in heaps, as those of images do."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(n_centers, d))
    rows = centers[rng.integers(n_centers, size=n)] + 0.3 * rng.normal(size=(n, d))
    pool = torch.from_numpy(rows).half()
    return Embedding(pool, pool[:1], "key", "made", torch.ones(n, dtype=torch.bool))


def nearest(found: Embedding, images: list[int], k: int) -> set[int]:
    """By definition."""
    rows = found.pool.double().numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {int(at) for image in images for at in np.argsort(-rows @ rows[image])[: k + 1]}


class Counting:
    """An index that counts what is looked up."""

    def __init__(self, index: Any) -> None:
        self._index, self.looked_up = index, 0

    def search(self, rows: np.ndarray, k: int) -> Any:
        self.looked_up += len(rows)
        return self._index.search(rows, k)


def test_the_nearest_are_found_and_each_image_is_looked_up_once(tmp_path: Path) -> None:
    found = embedding(300)
    near = neighbors(found, tmp_path, 7)
    near._index = index = Counting(near._index)  # pyright: ignore[reportAttributeAccessIssue]
    for images in ([5, 90], [5, 17, 90, 200], [5, 17, 90, 200]):
        assert near(torch.tensor(images)).tolist() == sorted(nearest(found, images, 7))
    assert index.looked_up == 4
    assert neighbors(found, tmp_path, 10_000)(torch.tensor([3])).tolist() == [*range(300)]


@pytest.mark.parametrize("exact", [10_000, 100])
def test_however_they_are_looked_up_they_are_the_same(
    exact: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXACT", exact)
    once = embedding(200)
    found = replace(once, pool=once.pool.repeat(3, 1), there=once.there.repeat(3))  # ties at the k-th place
    images = torch.randperm(600, generator=torch.Generator().manual_seed(0))[:60]
    near, expected = neighbors(found, tmp_path, 7), neighbors(found, tmp_path, 7)(images)
    found_by_then = [near(images[:n]) for n in range(5, 61, 5)]
    assert torch.equal(found_by_then[-1], expected)
    assert torch.equal(near(images[:9]), neighbors(found, tmp_path, 7)(images[:9])), "answers were taken back"


def test_an_index_that_is_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT", 100)
    neighbors(found := embedding(300), tmp_path, 7)
    (file,) = tmp_path.rglob("*.faiss")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataError, match="is damaged; remove it"):
        neighbors(found, tmp_path, 7)


def test_of_many_images_most_are_found_by_a_file_that_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXACT", 1000)
    monkeypatch.setattr(module, "PROBED", 8)
    found, images = embedding(6000), [*range(0, 6000, 200)]
    first = neighbors(found, tmp_path, 20)(torch.tensor(images))
    wanted = nearest(found, images, 20)
    assert len(wanted & {*first.tolist()}) > 0.9 * len(wanted)
    (file,) = tmp_path.rglob("*.faiss")
    made = file.stat().st_mtime_ns
    assert torch.equal(neighbors(found, tmp_path, 20)(torch.tensor(images)), first)
    assert [*tmp_path.rglob("*.faiss")] == [file] and file.stat().st_mtime_ns == made
    file.unlink()  # made anew it is the same
    assert torch.equal(neighbors(found, tmp_path, 20)(torch.tensor(images[::-1])), first)
    neighbors(Embedding(found.pool.flip(0), found.test, "key", "made", found.there), tmp_path, 20)
    assert len([*tmp_path.rglob("*.faiss")]) == 2


def test_a_run_asks_for_neighbors_only_and_goes_on_alike(command: Command, tmp_path: Path) -> None:
    for cwd, lengths in ((tmp_path / "once", (4,)), (tmp_path / "twice", (2, 4))):
        for rounds in lengths:
            assert command(*HEAD, *SIZES, f"al.rounds={rounds}", cwd=cwd).code == 0
    queries = [table(only_run(tmp_path / name) / "queries.csv") for name in ("once", "twice")]
    assert queries[0] == queries[1]
    pool = digits().pool.images.flatten(1).half()
    features = Embedding(pool, pool[:1], "", "", torch.ones(len(pool), dtype=torch.bool))
    labeled: list[int] = []
    for round_ in range(-1, 4):
        asked = [int(row["index"]) for row in queries[0] if int(row["round"]) == round_]
        if round_ > 0:  # in round 0 fewer than 20 may be near
            assert {*asked} <= nearest(features, labeled, 6)
        labeled += asked
    assert len({*labeled}) == 10 + 4 * 20


def test_where_too_few_are_near_others_are_drawn(command: Command, tmp_path: Path) -> None:
    arguments = ("al.n_neighbors=1", "al.initial_size=5", "al.query_size=40", "al.rounds=2", "strategy=random")
    assert command(*HEAD, *arguments, cwd=tmp_path).code == 0
    assert len({row["index"] for row in table(only_run(tmp_path) / "queries.csv")}) == 85


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("al.candidates=neighbors",), "needs an embedding"),
        (("al.candidates=random",), "add al.pool_sample="),
        (("al.candidates=all", "al.pool_sample=50"), "with al.candidates=random only"),
        ((*HEAD, "al.pool_sample=50"), "with al.candidates=random only"),
        (("al.candidates=some",), "must be one of all, random, neighbors"),
        (("al.n_neighbors=0",), "al.n_neighbors=0: must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], said: str, command: Command) -> None:
    ended = command(*arguments)
    assert ended.code == 2 and said in ended.err


def test_names_for_what_other_keys_decide_make_no_other_run(command: Command, tmp_path: Path) -> None:
    common = ("al.initial_size=10", "al.query_size=5", "al.rounds=1", "model=cnn")
    for more in (("al.candidates=all",), ("al.candidates=random", "al.pool_sample=60")):
        assert command(*common, *more[1:], cwd=tmp_path).code == 0
        assert "finished before" in command(*common, *more, cwd=tmp_path).out
