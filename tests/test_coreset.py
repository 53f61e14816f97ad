"""CoreSet against its definition, distance by distance."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from al_lightning.acquisition import blocks
from al_lightning.acquisition.blocks import offsets
from al_lightning.acquisition.coreset import coreset
from al_lightning.testing import Example, make_example


def twin(pool: Example, n: int, first: int | None = None) -> list[int]:
    rows = {i: pool.rows[i].tolist() for i in [*pool.indices.tolist(), *pool.labeled.tolist()]}
    centers, chosen = pool.labeled.tolist(), []
    if first is not None:
        centers, chosen = [first], [first]
    while len(chosen) < n:
        left = [i for i in pool.indices.tolist() if i not in chosen]
        far = max(left, key=lambda i: min(math.dist(rows[i], rows[j]) for j in centers))
        centers.append(far)
        chosen.append(far)
    return chosen


@pytest.mark.parametrize("block", [2**24, 100, 1])
@pytest.mark.parametrize("seed", range(3))
def test_each_time_it_takes_the_image_farthest_from_all_labeled_and_chosen_ones(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    pool = make_example(seed=seed)
    assert coreset(pool.candidates(), 25).indices.tolist() == twin(pool, 25)


def test_without_labels_the_first_is_drawn_at_random() -> None:
    pool = make_example(n_candidates=8)
    pool, counts = replace(pool, labeled=pool.labeled[:0], labels=pool.labels[:0]), np.zeros(8)
    for seed in range(400):
        chosen = coreset(pool.candidates(seed), 5).indices
        counts[torch.searchsorted(pool.indices, chosen[0])] += 1
        assert chosen.tolist() == twin(pool, 5, first=int(chosen[0]))
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_images_equal_to_a_labeled_or_a_chosen_one_come_last_and_in_any_order(dtype: torch.dtype) -> None:
    pool = make_example(n_features=64).to(dtype)
    rows = pool.rows + 10  # long vectors that are close: what a matrix product rounds
    copies = pool.indices[:20]
    rows[copies[:10]] = rows[pool.labeled[:10]]
    rows[copies[10:]] = rows[pool.indices[20:30]]
    pool = replace(pool, rows=rows)
    by_seed = [coreset(pool.candidates(seed), 60).indices.tolist()[40:] for seed in range(10)]
    labeled = {*copies[:10].tolist()}
    assert all(labeled < {*last} for last in by_seed)
    first = [last[0] in labeled for last in by_seed]
    assert any(first) and not all(first), "of no distance 0 one is rounded to more"
    assert len({*map(tuple, by_seed)}) == 10


def test_distances_to_one_image_equal_loops_and_are_exactly_0_for_equal_ones() -> None:
    rows = make_example(n_features=64).to(torch.float32).rows[:40] + 10
    rows[20:] = rows[:20]
    squared, along = offsets(rows, rows[3])
    assert squared[[3, 23]].tolist() == along[[3, 23]].tolist() == [0, 0]
    one = rows[3].double().tolist()
    for i, row in enumerate(rows.double().tolist()):
        assert squared[i].item() == pytest.approx(math.dist(row, one) ** 2, rel=1e-5)
        assert along[i].item() == pytest.approx(sum((x - o) * o for x, o in zip(row, one, strict=True)), rel=1e-4)
