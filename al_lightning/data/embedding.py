"""Features of every image by a frozen network, as the rest of the program sees them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BLOCK = 1024  # rows in float64 at a time


@dataclass(frozen=True)
class Embedding:
    """Features of the pool and of the test part; rows are in the order of the images.

    Attributes:
        pool: `float16 [N, D]`, mapped from a file where it can be.
        test: `float16 [M, D]`.
        key: hex digits of what they depend on besides the images: the network, its weights, its preprocessing.
        shown: the same in words.
        there: `bool [N]`, images of the pool that the statistics are over.
    """

    pool: Tensor
    test: Tensor
    key: str
    shown: str
    there: Tensor

    @property
    def n_features(self) -> int:
        """D."""
        return self.pool.shape[1]

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean of each feature over the pool, and what it is divided by, `float32 [D]`: 1 for one that is constant."""
        mean, deviation = self.moments
        return mean, deviation.where(deviation > 0, 1.0)

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each feature over the pool, `float32 [D]`; 0 for one that is constant."""
        first = self.pool[self.there.nonzero()[0, 0]].double()  # a shift: squares of large means cancel
        total, squares, n = torch.zeros_like(first), torch.zeros_like(first), 0
        for start in range(0, len(self.pool), BLOCK):
            block = self.pool[start : start + BLOCK][self.there[start : start + BLOCK]].double() - first
            total, squares, n = total + block.sum(0), squares + block.square().sum(0), n + len(block)
        mean = total / n
        deviation = (squares / n - mean**2).clamp(min=0).sqrt()
        deviation[deviation <= 1e-6 * (mean + first).abs().clamp(min=1e-6)] = 0.0
        return (mean + first).float(), deviation.float()
