"""From a pool to a query of n images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_lightning.acquisition.pool import Pool


@dataclass(frozen=True)
class Query:
    """The images that a strategy asks for.

    Attributes:
        indices: `int64 [n]`, data set indices, the most wanted first.
        scores: `float [n]`, or None where the strategy has none.
        pool_scores: `float [M]`, of all images that it chose from; likewise.
    """

    indices: Tensor
    scores: Tensor | None = None
    pool_scores: Tensor | None = None


def top(pool: Pool, n: int, *, score: Callable[[Pool], Tensor]) -> Query:
    """The n images of the highest score. Ties break by an order drawn anew each round, never by position.

    Raises:
        FloatingPointError: a score is not a number.
    """
    scores = score(pool)
    if scores.isnan().any():
        raise FloatingPointError(f"{int(scores.isnan().sum())} of {len(scores)} scores are not a number")
    order = torch.from_numpy(pool.rng.permutation(len(pool))).to(scores.device)
    best = order[scores[order].sort(descending=True, stable=True).indices[:n]]
    return Query(pool.indices[best], scores[best], scores)


def uniform(pool: Pool, n: int) -> Query:
    """N images uniformly at random."""
    drawn = torch.from_numpy(pool.rng.choice(len(pool), n, replace=False))
    return Query(pool.indices[drawn.to(pool.indices.device)])
