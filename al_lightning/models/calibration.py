"""Probabilities that are as high as they should be."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LEAST = 30  # labels: of fewer nothing is learned
RANGE = (0.05, 20.0)


def calibration(log_probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float] | None:
    """Learn what logits are divided by so that the labels become the most likely.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.

    Args:
        log_probabilities: `float [n, K]`, of images that the model was not fitted to.
        labels: `int64 [n]`.

    Returns:
        The `temperature`, above 1 where the model is too sure, and `n`; None where there are fewer than 30 labels.
    """
    if len(labels) < LEAST:
        return None
    rows = np.asarray(log_probabilities, dtype=np.float64)

    def loss(logarithm: float) -> float:
        return float(-log_softmax(rows / np.exp(logarithm), axis=1)[np.arange(len(rows)), labels].mean())

    found = minimize_scalar(loss, bounds=np.log(RANGE), method="bounded")
    return {"temperature": float(np.exp(found.x)), "n": len(labels)}
