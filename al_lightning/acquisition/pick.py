"""One image after the other: the best one, or one that is drawn; equal ones by an order that is drawn anew each round.

All are positions among the candidates, whose order is that of their indices.
"""

import numpy as np
import torch
from torch import Tensor


def drawn_order(n: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """A place for each of n candidates, `int64 [n]`: of equal ones, that of the lowest place comes first."""
    return torch.from_numpy(rng.permutation(n)).to(device)


def highest(values: Tensor, place: Tensor) -> int:
    """The position of the highest value, of equal ones that of the lowest place.

    Args:
        values: `float [M]`; `-inf` for those that are out.
        place: `int64 [M]`, see :func:`drawn_order`.
    """
    tied = (values == values.max()).nonzero().squeeze(1)
    return int(tied[place[tied].argmin()])


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
