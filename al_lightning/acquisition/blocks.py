"""Work on many rows, a block of them at a time: memory grows with the rows, never with their pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 2**24  # elements of the largest tensor that a block makes: 64 MiB in fp32
ROUNDING = 32  # machine epsilons by which squared distances of unit rows may be wrong, if by matrix product


def blocks(n_rows: int, width: int, least: int = 1) -> Iterator[slice]:
    """Consecutive rows, as many at a time as make at most :data:`BLOCK` elements, at least one.

    Args:
        n_rows: of all.
        width: elements that are made of a row.
        least: rows at a time however wide they are, where so many are little and many steps would take long.
    """
    size = max(least, BLOCK // max(1, width))
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


def offsets(rows: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
    """How far rows `[M, D]` are from one `[D]`, squared, and the inner products of these differences with it.

    Of rows that are equal to it both are exactly 0, which a matrix product does not give.

    Returns:
        |x - o|^2 and <x - o, o>, `[M]` each.
    """
    squared, along = rows.new_empty(2, len(rows)).unbind()
    # On a CPU, differences that do not leave its cache are several times as fast.
    width = rows.shape[1] * (64 if rows.device.type == "cpu" else 1)
    for part in blocks(len(rows), width):
        differences = rows[part] - one
        squared[part] = squared_lengths(differences)
        along[part] = differences @ one
    return squared, along


def nearest(rows: Tensor, others: Tensor) -> Tensor:
    """Which of a few others `[c, D]` is nearest to each row `[m, D]`, `int64 [m]`, the rows being unit ones.

    The first of those that are nearest but for rounding: equal rows have the same one.
    """
    found = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    rounding = ROUNDING * torch.finfo(rows.dtype).eps
    for block in blocks(len(rows), len(others)):
        distances = squared_distances(rows[block], others)
        found[block] = (distances <= distances.amin(1, keepdim=True) + rounding).byte().argmax(1)
    return found
