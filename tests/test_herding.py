"""MaxHerding and UHerding held against plain greedy maximization of what they are defined to maximize."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from al_lightning.acquisition import pick
from al_lightning.acquisition.herding import maxherding, uherding
from al_lightning.testing import Example, make_example


def by_definition(pool: Example, n: int, weights: np.ndarray, sigma: float) -> list[int]:
    """Greedy, the coverage of all images worked out anew for every image that could join.

    Two images that are nearest to each other gain the same: the one of the lower place is chosen.
    """
    candidates = pool.candidates()
    rows = torch.cat([candidates.representation, candidates.labeled.representation]).numpy()
    similar = np.array([[np.exp(-(np.linalg.norm(x - y) ** 2) / sigma**2) for y in rows] for x in rows])
    place = np.random.default_rng(0).permutation(len(candidates)).tolist()
    order = sorted(range(len(candidates)), key=place.__getitem__)
    chosen, labeled = [], [*range(len(candidates), len(rows))]
    for _ in range(n):
        coverage = {
            i: np.mean([weights[x] * max(similar[x, s] for s in [*labeled, *chosen, i]) for x in range(len(rows))])
            for i in order
            if i not in chosen
        }
        chosen.append(next(i for i in order if coverage.get(i, 0) > max(coverage.values()) - 1e-13))
    return pool.indices[chosen].tolist()


def uncertainty(pool: Example, temperature: float) -> np.ndarray:
    logits = (pool.rows @ pool.weight.T)[torch.cat([pool.indices, pool.labeled])].numpy() / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = np.sort(p / p.sum(1, keepdims=True), 1)
    return 1 - (p[:, -1] - p[:, -2])


def smallest(pool: Example) -> float:
    rows = pool.candidates().labeled.representation.numpy()
    apart = [float(np.linalg.norm(x - y)) for x in rows for y in rows]
    return min((d for d in apart if d > 1e-12), default=1.0)


def nearly_equal(pool: Example) -> Example:
    """Two labeled images whose squared distance is 0 in any precision."""
    rows = pool.rows.clone()
    rows[pool.labeled] = torch.eye(rows.shape[1], dtype=rows.dtype)[0]
    rows[pool.labeled[0], 1] = 1e-200
    return replace(pool, rows=rows)


POOLS = {
    "labels": make_example(40, 6),
    "no label": make_example(40, 0),
    "one label": make_example(40, 1),
    "labels twice": replace(make_example(40, 6), labeled=torch.tensor([7, 7, 9, 9, 11, 11])),
    "labels that differ by next to nothing": nearly_equal(make_example(40, 2)),
}


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("lazy", [1, 16])
def test_they_choose_by_the_definition(pool: Example, lazy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pick, "AT_ONCE", lazy)
    for sigma in (1.0, 0.4):
        chosen = maxherding(pool.candidates(), 15, sigma=sigma).indices.tolist()
        assert chosen == by_definition(pool, 15, np.ones(len(pool.rows)), sigma)
    for temperature in (1.0, 0.2):
        chosen = uherding(pool.candidates(), 15, temperature=temperature).indices.tolist()
        assert chosen == by_definition(pool, 15, uncertainty(pool, temperature), smallest(pool))


def test_gains_are_worked_out_anew_for_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the work of the plain way at most."""
    pool, worked = make_example(400, 100), []
    rows = pool.candidates().representation
    plain, real = len(rows) * 20, torch.Tensor.scatter_
    monkeypatch.setattr(torch.Tensor, "scatter_", lambda self, *args: (worked.append(len(self)), real(self, *args))[1])
    maxherding(pool.candidates(), 20)
    assert 400 < sum(worked) < plain / 4


def test_a_high_temperature_is_maxherding() -> None:
    pool = make_example()
    flat = uherding(pool.candidates(), 20, temperature=1e30).indices.tolist()
    assert flat == maxherding(pool.candidates(), 20, sigma=smallest(pool)).indices.tolist()
    assert flat != uherding(pool.candidates(), 20).indices.tolist()


def test_where_nothing_is_left_to_gain_the_seed_decides() -> None:
    """Images that equal labeled ones, and those that the model is sure of."""
    pool = make_example()
    equal = replace(pool, rows=pool.rows[:1].repeat(len(pool.rows), 1)).to(torch.float32)
    sure = replace(pool, weight=1e6 * pool.weight)
    for strategy, odd in ((maxherding, equal), (uherding, equal), (partial(uherding, temperature=1.0), sure)):
        chosen = [strategy(odd.candidates(seed), 10).indices.tolist() for seed in range(20)]
        assert len({each[0] for each in chosen}) > 10
        assert all(len({*each}) == 10 for each in chosen)
