"""BADGE against a loop over the gradients themselves, by autograd, and its draws against their probabilities."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from torch.nn.functional import cross_entropy

from al_lightning.acquisition.badge import _residuals, badge
from al_lightning.acquisition.candidates import Candidates
from al_lightning.testing import Pool, make_pool

FloatArray = npt.NDArray[np.float64]


def gradients(pool: Pool) -> FloatArray:
    """`float64 [M, K * D]`: of the loss at the predicted class, with respect to the weights of the last layer."""
    rows = []
    for features in pool.rows[pool.indices]:
        weight = pool.weight.clone().requires_grad_()
        logits = weight @ features
        cross_entropy(logits[None], logits.argmax()[None]).backward()
        assert weight.grad is not None
        rows.append(weight.grad.flatten().numpy())
    return np.array(rows)


def shares(g: FloatArray, chosen: list[int]) -> FloatArray:
    squared = [min(float(((row - g[j]) ** 2).sum()) for j in chosen) for row in g]
    return np.array(squared) / sum(squared)


def twin(pool: Pool, n: int, seed: int) -> list[int]:
    g, rng = gradients(pool), np.random.default_rng(seed)
    chosen = [int(rng.integers(len(g)))]
    while len(chosen) < n:
        drawn, total = rng.random(), 0.0
        for i, share in enumerate(shares(g, chosen)):
            total += share
            if drawn < total:
                chosen.append(i)
                break
    return pool.indices[chosen].tolist()


def positions(pool: Pool, candidates: Candidates, n: int) -> list[int]:
    return torch.searchsorted(pool.indices, badge(candidates, n).indices).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_it_draws_what_a_loop_over_the_gradients_draws(seed: int) -> None:
    pool = make_pool(seed=seed)
    assert badge(pool.candidates(seed), 30).indices.tolist() == twin(pool, 30, seed)


def test_the_first_is_drawn_uniformly_and_the_second_by_its_squared_distance_to_the_first() -> None:
    """A center that is not returned, or one at 0, would show in how often each pair comes."""
    pool, times = make_pool(n_candidates=5), 6000
    g = gradients(pool)
    expected = np.array([shares(g, [i]) for i in range(5)]) * times / 5
    sizes = (g**2).sum(1)
    assert sizes.max() > 20 * sizes.min(), "of gradients of one length nobody could tell"
    candidates, counts = pool.candidates(), np.zeros((5, 5))
    for _ in range(times):
        first, second = positions(pool, candidates, 2)
        counts[first, second] += 1
    assert not counts.diagonal().any()
    assert stats.chisquare(counts.sum(1)).pvalue > 1e-3
    likely = expected > 5
    rest = np.array([counts[~likely].sum(), expected[~likely].sum()])
    observed, wanted = np.append(counts[likely], rest[0]), np.append(expected[likely], rest[1])
    assert ((observed - wanted) ** 2 / wanted.clip(1)).sum() < stats.chi2.ppf(0.999, len(wanted) - 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_image_equal_to_a_chosen_one_comes_after_all_others(dtype: torch.dtype) -> None:
    pool = make_pool().to(dtype)
    kinds = torch.arange(len(pool.indices)) % 7
    rows = pool.rows.clone()
    rows[pool.indices] = 100 * rows[pool.indices[:7]][kinds]
    pool = replace(pool, rows=rows, weight=pool.weight / 100)
    for seed in range(20):
        chosen = positions(pool, pool.candidates(seed), 12)
        assert {i % 7 for i in chosen[:7]} == set(range(7))


def test_where_no_gradient_is_left_it_draws_uniformly() -> None:
    pool = make_pool(n_candidates=6)
    pool, counts = replace(pool, weight=1e6 * pool.weight), np.zeros(6)
    candidates = pool.candidates()
    assert (candidates.log_probabilities.exp().amax(1) == 1).all(), "the model is sure"
    for _ in range(600):
        counts[positions(pool, candidates, 4)] += 1
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_gradient_of_a_sure_prediction_has_all_its_digits_in_fp32() -> None:
    """There p is 1 in fp32, and p - 1 is 0, not -1e-9."""
    pool = make_pool()
    log_p = replace(pool, weight=12 * pool.weight).candidates().log_probabilities
    assert (log_p.float().exp().amax(1) == 1).any()
    rounded = (_residuals(log_p.float()), _residuals(log_p.float().double()))
    torch.testing.assert_close(rounded[0].double(), rounded[1], rtol=1e-5, atol=1e-37)
