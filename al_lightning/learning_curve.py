"""What is measured over the rounds of a run. Apart from :mod:`measures`: PyTorch takes seconds to import."""

from collections.abc import Sequence

import numpy as np


def aubc(n_labeled: Sequence[float], accuracy: Sequence[float]) -> float:
    """Area under the budget curve: accuracy against labels by the trapezoid rule, divided by the range of labels.

    Uneven steps are allowed; a single point is its own area. (Zhan et al. 2021, "A Comparative Survey of Deep Active
    Learning".)
    """
    if len(n_labeled) == 1:
        return float(accuracy[0])
    return float(np.trapezoid(accuracy, n_labeled) / (n_labeled[-1] - n_labeled[0]))


def labels_to(target: float, n_labeled: Sequence[float], accuracy: Sequence[float]) -> float | None:
    """Labels at which the curve first reaches a target, interpolated linearly; None when it never does."""
    for i, value in enumerate(accuracy):
        if value >= target:
            if i == 0:
                return float(n_labeled[0])
            rise = (target - accuracy[i - 1]) / (value - accuracy[i - 1])
            return float(n_labeled[i - 1] + rise * (n_labeled[i] - n_labeled[i - 1]))
    return None
