"""Queries drawn by their scores: held against the shares that the paper states, by counting."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command

from al_lightning.acquisition.select import top
from al_lightning.acquisition.stochastic import Noise

DRAWS = 6000
SCORES = [0.4, 0.1, 0.9, 0.2]
SHARES: dict[Noise, Callable[[float, int, float], float]] = {
    "power": lambda score, rank, beta: score**beta,
    "softmax": lambda score, rank, beta: float(np.exp(beta * score)),
    "softrank": lambda score, rank, beta: rank**-beta,
}


class Pool(list[int]):
    """Candidates without a model."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        super().__init__(range(n))
        self.indices, self.rng = torch.arange(10, 10 + n), rng


def drawn(scores: list[float], n: int, rng: np.random.Generator, **settings: Any) -> tuple[int, ...]:
    pool: Any = Pool(len(scores), rng)
    query = top(pool, n, score=lambda _: torch.tensor(scores), **settings)
    assert query.scores is not None and query.scores.tolist() == [
        torch.tensor(scores)[i - 10].item() for i in query.indices
    ]
    return tuple((query.indices - 10).tolist())


@pytest.mark.parametrize("beta", [1.0, 2.5])
@pytest.mark.parametrize("noise", SHARES)
@pytest.mark.parametrize("shift", [0.0, -1.0])
def test_a_query_of_two_is_drawn_in_the_stated_shares(noise: Noise, beta: float, shift: float) -> None:
    """Below 0 the power is that of the distance to the lowest; the other two do not see the shift."""
    rng, n = np.random.default_rng(0), len(SCORES)
    scores = [score + shift for score in SCORES]
    counts = dict.fromkeys(permutations(range(n), 2), 0)
    for _ in range(DRAWS):
        counts[drawn(scores, 2, rng, noise=noise, beta=beta)] += 1  # type: ignore[index]
    above = [score - min(0.0, *scores) for score in scores] if noise == "power" else scores
    ranks = [1 + sum(other > score for other in scores) for score in scores]
    shares = [SHARES[noise](*each, beta) for each in zip(above, ranks, strict=True)]
    for (first, second), count in counts.items():
        p = shares[first] / sum(shares) * shares[second] / (sum(shares) - shares[first])
        assert abs(count - DRAWS * p) <= 4.5 * np.sqrt(DRAWS * p * (1 - p)) + 1e-9


def test_what_has_no_share_comes_last_and_all_alike_are_drawn_evenly() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert set(drawn([0.0, 0.5, 0.0, 0.3], 2, rng, noise="power")) == {1, 3}
        assert set(drawn([0.0, 0.5, 0.0, 0.3], 4, rng, noise="power")) == {0, 1, 2, 3}
    firsts = [drawn([0.0] * 4, 1, rng, noise=noise)[0] for noise in SHARES for _ in range(500)]
    assert min(np.bincount(firsts, minlength=4)) > 300


def test_much_of_it_is_the_highest() -> None:
    rng = np.random.default_rng(2)
    for noise in SHARES:
        assert drawn(SCORES, 3, rng, noise=noise, beta=1e6) == drawn(SCORES, 3, rng) == (2, 0, 3)


def test_a_run_draws_and_what_is_no_noise_is_refused(command: Command) -> None:
    for noise in ("power", "softmax", "softrank"):
        assert command("strategy=margin", f"strategy.noise={noise}", "strategy.beta=2").code == 0
    for typed in ("strategy.noise=gumbel", "strategy.beta=0"):
        ended = command(typed)
        assert ended.code == 2 and typed in ended.err and len(ended.err.splitlines()) == 1
