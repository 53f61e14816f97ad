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
from al_lightning.acquisition.choose import Strategy
from al_lightning.acquisition.pick import drawn
from al_lightning.acquisition.select import Query
from al_lightning.testing import Example, make_example

FloatArray = npt.NDArray[np.float64]


def gradients(pool: Example) -> FloatArray:
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


def twin(pool: Example, n: int, seed: int) -> list[int]:
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


def positions(pool: Example, candidates: Candidates, n: int, strategy: Strategy = badge) -> list[int]:
    return torch.searchsorted(pool.indices, strategy(candidates, n).indices).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_it_draws_what_a_loop_over_the_gradients_draws(seed: int) -> None:
    pool = make_example(seed=seed)
    assert badge(pool.candidates(seed), 30).indices.tolist() == twin(pool, 30, seed)


def hold_against_its_shares(strategy: Strategy) -> None:
    """The first is drawn uniformly, the second by its squared distance to the first."""
    pool, times = make_example(n_candidates=5), 6000
    g = gradients(pool)
    expected = np.array([shares(g, [i]) for i in range(5)]) * times / 5
    sizes = (g**2).sum(1)
    assert sizes.max() > 20 * sizes.min(), "of gradients of one length nobody could tell"
    candidates, counts = pool.candidates(), np.zeros((5, 5))
    for _ in range(times):
        first, second = positions(pool, candidates, 2, strategy)
        counts[first, second] += 1
    assert not counts.diagonal().any()
    assert stats.chisquare(counts.sum(1)).pvalue > 1e-3
    likely = expected > 5
    rest = np.array([counts[~likely].sum(), expected[~likely].sum()])
    observed, wanted = np.append(counts[likely], rest[0]), np.append(expected[likely], rest[1])
    assert ((observed - wanted) ** 2 / wanted.clip(1)).sum() < stats.chi2.ppf(0.999, len(wanted) - 1)


def ghost_center(candidates: Candidates, n: int) -> Query:
    """A published mistake: a center at 0, which nobody asked for, is there before the first one."""
    a = _residuals(candidates.log_probabilities)
    g = (a[:, :, None] * candidates.features[:, None, :]).flatten(1)
    nearest, chosen = g.square().sum(1), []
    while len(chosen) < n:
        chosen.append(drawn(nearest, candidates.rng))
        nearest = nearest.minimum((g - g[chosen[-1]]).square().sum(1))
    return Query(candidates.indices[chosen])


def uncounted_center(candidates: Candidates, n: int) -> Query:
    """Another one: the first center is drawn and kept at a distance, but is not among what is asked for."""
    query = badge(candidates, n + 1)
    return Query(query.indices[1:])


def test_its_draws_have_their_shares_and_those_of_published_mistakes_do_not() -> None:
    hold_against_its_shares(badge)
    for mistake in (ghost_center, uncounted_center):
        with pytest.raises(AssertionError):
            hold_against_its_shares(mistake)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_image_equal_to_a_chosen_one_comes_after_all_others(dtype: torch.dtype) -> None:
    pool = make_example().to(dtype)
    kinds = torch.arange(len(pool.indices)) % 7
    rows = pool.rows.clone()
    rows[pool.indices] = 100 * rows[pool.indices[:7]][kinds]
    pool = replace(pool, rows=rows, weight=pool.weight / 100)
    for seed in range(20):
        chosen = positions(pool, pool.candidates(seed), 12)
        assert {i % 7 for i in chosen[:7]} == set(range(7))


def test_where_no_gradient_is_left_it_draws_uniformly() -> None:
    pool = make_example(n_candidates=6)
    pool, counts = replace(pool, weight=1e6 * pool.weight), np.zeros(6)
    candidates = pool.candidates()
    assert (candidates.log_probabilities.exp().amax(1) == 1).all(), "the model is sure"
    for _ in range(600):
        counts[positions(pool, candidates, 4)] += 1
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_gradient_of_a_sure_prediction_has_all_its_digits_in_fp32() -> None:
    """There p is 1 in fp32, and p - 1 is 0, not -1e-9."""
    pool = make_example()
    log_p = replace(pool, weight=12 * pool.weight).candidates().log_probabilities
    assert (log_p.float().exp().amax(1) == 1).any()
    rounded = (_residuals(log_p.float()), _residuals(log_p.float().double()))
    torch.testing.assert_close(rounded[0].double(), rounded[1], rtol=1e-5, atol=1e-37)
