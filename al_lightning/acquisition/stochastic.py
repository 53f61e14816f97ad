"""A query drawn by its scores, in place of the highest ones: the images of a batch differ more."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Noise = Literal["power", "softmax", "softrank"]


def perturbed(ranked: Tensor, noise: Noise, beta: float, rng: np.random.Generator) -> Tensor:
    """Scores with Gumbel noise: the n highest are n images drawn one after the other, without putting back.

    With s a score and r its rank from 1, an image is drawn in proportion to s^beta (`power`), exp(beta s) (`softmax`)
    or r^-beta (`softrank`): Kirsch et al. 2023, "Stochastic Batch Acquisition: A Simple Baseline for Deep Active
    Learning". Where a score is below 0, `power` takes how far each is above the lowest. An image whose share is 0 comes
    after all others.

    Args:
        ranked: `float [M]`, the highest first.
        noise: which of the three.
        beta: how little is left to chance, above 0.
        rng: of the noise.

    Returns:
        `float64 [M]`, in the same order.
    """
    scores = ranked.double()
    if noise == "power":
        scores = (scores - scores.min().clamp(max=0)).log()
    elif noise == "softrank":
        scores = -torch.arange(1, len(ranked) + 1, dtype=torch.float64, device=ranked.device).log()
    return beta * scores + torch.from_numpy(rng.gumbel(size=len(ranked))).to(ranked.device)
