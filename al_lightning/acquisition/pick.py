"""One image after the other: the best one, or one that is drawn; equal ones by an order that is drawn anew each round.

All are positions among the candidates, whose order is that of their indices.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 64  # looked at first by `highest_lazily`; which ones are looked at may decide, so that memory must not


def drawn_order(n: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """A place for each of n candidates, `int64 [n]`: of equal ones, that of the lowest place comes first."""
    return torch.from_numpy(rng.permutation(n)).to(device)


def highest(values: Tensor, place: Tensor, slack: float = 0.0) -> int:
    """The position of the highest value, of equal ones that of the lowest place.

    Args:
        values: `float [M]`; `-inf` for those that are out.
        place: `int64 [M]`, see :func:`drawn_order`.
        slack: how far below the highest is rounding only, and counts as equal.
    """
    tied = (values >= values.max() - slack).nonzero().squeeze(1)
    return int(tied[place[tied].argmin()])


def highest_lazily(bounds: Tensor, place: Tensor, looked_at: Callable[[Tensor], Tensor], slack: float) -> int:
    """The position of the highest value, where only those are worked out that could be it (Minoux 1978).

    Args:
        bounds: `float [M]`, what the values are at most, at least 0 or `-inf` for those that are out; those that are
            worked out are put in their place. A bound of 0 is the value.
        place: `int64 [M]`, see :func:`drawn_order`.
        looked_at: values of some positions.
        slack: see :func:`highest`.
    """
    order, best, size = ranked(bounds, place), -math.inf, AT_ONCE
    while len(order) and (bound := float(bounds[order[0]])) > 0 and bound >= best - slack:
        now, order = order[:size], order[size:]
        now = now[bounds[now] > 0]
        bounds[now] = looked_at(now)
        best, size = max(best, float(bounds[now].max())), 2 * size
    return highest(bounds, place, slack)


def first(values: Tensor, order: Tensor, n: int) -> Tensor:
    """The positions of the n highest values, the highest first, `int64 [n]`: those that a sort of all begins with.

    Args:
        values: `float [M]`.
        order: `int64 [M]`, all positions; of equal values that of the first in it comes first.
        n: at most M.
    """
    least = values.topk(n, sorted=False).values.min()
    among = order[values[order] >= least]  # n of them, and what is equal to the last
    return among[values[among].sort(descending=True, stable=True).indices[:n]]


def ranked(values: Tensor, place: Tensor) -> Tensor:
    """All positions, the highest value first, equal ones by their place, `int64 [M]`."""
    order = place.argsort()
    return order[values[order].sort(descending=True, stable=True).indices]


def drawn(weights: Tensor, rng: np.random.Generator) -> int:
    """A position, drawn in proportion to weights `[M]` that are at least 0; uniformly among all where all are 0."""
    shares = weights.double().cpu().numpy()
    total = shares.cumsum()
    if total[-1] == 0:
        return int(rng.integers(len(shares)))
    # Of what is at most the sum, the last is the first to reach it; `right` never gives one whose weight is 0.
    return int(np.searchsorted(total, rng.random() * total[-1], side="right"))


def filled(chosen: Tensor, n: int, place: Tensor) -> Tensor:
    """The first n of what is chosen, and where they are fewer, others by their place, `int64 [n]`.

    Args:
        chosen: `int64 [c]`, different positions.
        n: at most M.
        place: `int64 [M]`, see :func:`drawn_order`.
    """
    others = place.clone()
    others[chosen] = len(place)
    return torch.cat([chosen, others.argsort(stable=True)[: max(0, n - len(chosen))]])[:n]
