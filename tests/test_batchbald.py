"""BatchBALD against the enumeration of all joint labels, and what it draws against the same."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from al_lightning.acquisition import batchbald as module
from al_lightning.acquisition import pick
from al_lightning.acquisition.batchbald import batchbald
from al_lightning.testing import Example, make_example

T, K = 5, 3


def samples_of(pool: Example, seed: int) -> np.ndarray:
    """Probabilities `[M, T, K]` under the masks that the strategy draws, too: after the order among equal ones."""
    candidates = pool.candidates(seed)
    candidates.rng.permutation(len(candidates))
    return torch.cat(list(candidates.samples(T))).exp().numpy()


def information(p: np.ndarray, batch: list[int]) -> float:
    """Mutual information of the labels of a batch and the weights: eq. 8, with the joint entropy by enumeration."""
    joint = 0.0
    for labels in product(range(K), repeat=len(batch)):
        q = np.prod([p[x, :, y] for x, y in zip(batch, labels, strict=True)], axis=0).mean()
        joint -= q * np.log(q)
    conditional = sum(-(p[x, t] * np.log(p[x, t])).sum() for x in batch for t in range(T)) / T
    return joint - conditional


def slow_batchbald(p: np.ndarray, n: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(n):
        left = [x for x in range(len(p)) if x not in chosen]
        chosen.append(max(left, key=lambda x: information(p, [*chosen, x])))
    return chosen


@pytest.mark.parametrize("at_once", [1, 64])
@pytest.mark.parametrize("seed", range(3))
def test_choices_are_those_of_plain_greedy_by_enumeration(
    seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pick, "AT_ONCE", at_once)
    looked: list[int] = []
    original = module._information
    monkeypatch.setattr(module, "_information", lambda *args: (looked.append(len(args[-1])), original(*args))[1])
    pool = make_example(80, n_classes=K, seed=seed)
    query = batchbald(pool.candidates(seed), 4, mc_samples=T, configurations=K**3)
    assert query.indices.tolist() == pool.indices[slow_batchbald(samples_of(pool, seed), 4)].tolist()
    assert at_once > 1 or sum(looked) < 3 * 80, "an image that cannot be the best is looked at again"


def test_it_does_not_ask_for_copies_of_an_image_where_bald_does() -> None:
    pool = make_example(30, n_classes=K, seed=1)
    best = int(batchbald(pool.candidates(), 1, mc_samples=50).indices)
    pool.rows[pool.indices[:10]] = pool.rows[best].clone()
    query = batchbald(pool.candidates(), 5, mc_samples=50).indices
    copies = (pool.rows[query] == pool.rows[best]).all(1).sum()
    assert copies < 3


def recorded(pool: Example, seed: int, n: int, configurations: int, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The gains of all images at the n-th choice."""
    gains: list[Tensor] = []

    def spy(bounds: Tensor, place: Tensor, looked_at: Callable[[Tensor], Tensor], slack: float) -> int:
        gains.append(looked_at(torch.arange(len(bounds))))
        return len(gains) - 1  # the first, the second, ...

    monkeypatch.setattr(module, "highest_lazily", spy)
    batchbald(pool.candidates(seed), n, mc_samples=T, configurations=configurations)
    return gains[-1].numpy()


def test_gains_by_drawn_configurations_are_those_of_all_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fourth choice, where 27 configurations are more than 26. Listed ones have no error at all."""
    pool, errors, truths = make_example(12, n_classes=K), [], []
    for seed in range(150):
        p, batch = samples_of(pool, seed), [0, 1, 2]
        truth = np.array([information(p, [*batch, x]) for x in range(3, 12)]) - information(p, batch)
        truths.append(truth)
        errors.append(recorded(pool, seed, 4, 26, monkeypatch)[3:] - truth)
        if seed < 3:
            np.testing.assert_allclose(recorded(pool, seed, 4, 27, monkeypatch)[3:], truth, rtol=0, atol=1e-12)
    by_seed = np.array(errors)
    standard_error = by_seed.std(0, ddof=1) / len(by_seed) ** 0.5
    assert (np.abs(by_seed.mean(0)) < 4 * standard_error).all()
    assert standard_error.max() < 0.02 * np.mean(truths), "so wide an interval shows nothing"


def test_a_large_batch_of_drawn_configurations_in_fp32() -> None:
    """What a configuration is likely to be under a sample, 60 labels long, is below the smallest fp32."""
    query = batchbald(make_example(60).to(torch.float32).candidates(), 60, mc_samples=8, configurations=16)
    assert len(query.indices.unique()) == 60
