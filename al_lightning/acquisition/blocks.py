"""Work on many rows, a block of them at a time: memory grows with the rows, never with their pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 2**24  # elements of the largest tensor that a block makes: 64 MiB in fp32


def blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Consecutive rows, as many at a time as make at most :data:`BLOCK` elements, at least one.

    Args:
        n_rows: of all.
        width: elements that are made of a row.
    """
    size = max(1, BLOCK // max(1, width))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def squared_lengths(rows: Tensor) -> Tensor:
    """Squared Euclidean lengths `[M]` of rows `[M, D]`, without a copy of them."""
    return torch.linalg.vector_norm(rows, dim=1).square()


def squared_distances(rows: Tensor, others: Tensor) -> Tensor:
    """Squared Euclidean distances `[m, c]` between rows `[m, D]` and others `[c, D]`, by one matrix product.

    Equal rows may be a rounding error of their squared lengths apart.
    """
    products = torch.addmm(squared_lengths(rows)[:, None] + squared_lengths(others), rows, others.T, alpha=-2)
    return products.clamp_(min=0)
