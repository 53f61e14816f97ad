"""Pools at which published code of strategies has failed."""

from collections.abc import Callable
from dataclasses import replace

import torch

from al_lightning.testing.examples import Example, make_example


def _one_candidate(pool: Example) -> Example:
    return replace(pool, indices=pool.indices[7:8])


def _identical(pool: Example) -> Example:
    return replace(pool, rows=pool.rows[:1].repeat(len(pool.rows), 1))


def _two_distinct(pool: Example) -> Example:
    return replace(pool, rows=pool.rows[torch.arange(len(pool.rows)) % 2])


def _all_zero(pool: Example) -> Example:
    return replace(pool, rows=torch.zeros_like(pool.rows))


def _a_zero_vector(pool: Example) -> Example:
    rows = pool.rows.clone()
    rows[pool.indices[3]] = 0
    return replace(pool, rows=rows)


def _nothing_labeled(pool: Example) -> Example:
    return replace(pool, labeled=pool.labeled[:0], labels=pool.labels[:0])


# How each comes of a usual pool, by what is odd about it.
ODD: dict[str, Callable[[Example], Example]] = {
    "one candidate": _one_candidate,
    "identical images": _identical,
    "two distinct images": _two_distinct,
    "features that are all 0": _all_zero,
    "an image whose features are 0": _a_zero_vector,
    "nothing labeled": _nothing_labeled,
    "one class labeled": lambda pool: replace(pool, labels=torch.zeros_like(pool.labels)),
    "classes without a label": lambda pool: replace(pool, labels=2 * (pool.labels // 2)),
    "one label": lambda pool: replace(pool, labeled=pool.labeled[:1], labels=pool.labels[:1]),
    "predictions that are all the same": lambda pool: replace(pool, weight=torch.zeros_like(pool.weight)),
    "probabilities of 0 and 1": lambda pool: replace(pool, weight=1e5 * pool.weight),
    "a single feature": lambda pool: make_example(n_features=1),
    "two classes": lambda pool: make_example(n_classes=2),
    "no embedding": lambda pool: replace(pool, on_embedding=False),
}


def with_certain_images(logit: float) -> tuple[Example, torch.Tensor]:
    """A pool in which every other candidate is surely of the first class.

    Args:
        logit: of that class, for those. From 750 on, the other probabilities are exactly 0 in float64; at 50 they are
            not.

    Returns:
        The pool, and the data set indices of those candidates.
    """
    pool = make_example()
    certain = pool.indices[::2]
    mark = torch.zeros(len(pool.rows), 1, dtype=pool.rows.dtype)
    mark[certain] = 1
    column = torch.zeros(len(pool.weight), 1, dtype=pool.rows.dtype)
    column[0] = logit
    return replace(pool, rows=torch.cat([pool.rows, mark], 1), weight=torch.cat([pool.weight, column], 1)), certain
