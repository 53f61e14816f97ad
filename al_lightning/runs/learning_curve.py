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


def learns_nothing(n_labeled: Sequence[float], accuracy: Sequence[float], n_classes: int, test_size: float) -> str:
    """Why a run that went through is no result: its accuracy stays near chance, or falls with more labels.

    Near chance: no round is above it by 3 standard errors of a guess on the test images, or by a third of what there
    is to learn where that is less: on a handful of images nothing is far from chance. Falling: the mean of the last
    third of the rounds is below that of the first third by 0.05 and by 3 standard errors.

    Args:
        n_labeled: labels by round.
        accuracy: the balanced accuracy by round: of a model that always gives one answer it is 1 / n_classes, however
            the classes are distributed. The plain accuracy will do where they are even.
        n_classes: at least 2.
        test_size: images that it was measured on.

    Returns:
        The reason, to follow the name of the run; empty where it has learned.
    """
    values = np.asarray(accuracy, dtype=float)
    chance = 1 / n_classes
    near = chance + min(3 * np.sqrt(chance * (1 - chance) / test_size), (1 - chance) / 3)
    if len(values) and (values <= near).all():
        low, high = (f"{end:.2f}" for end in (values.min(), values.max()))
        seen = low if low == high else f"{low} to {high}"
        rounds = "its only round" if len(values) == 1 else f"all {len(values)} rounds"
        return f"near chance in {rounds}: accuracy {seen}, a guess among {n_classes} classes {chance:.2f}"
    third = len(values) // 3
    if not third:
        return ""
    first, last = values[:third].mean(), values[-third:].mean()
    error = np.sqrt((first * (1 - first) + last * (1 - last)) / (third * test_size))
    if first - last < max(0.05, 3 * error):
        return ""
    return (
        f"falling with more labels: accuracy {first:.2f} up to {n_labeled[third - 1]:,.0f} labels, {last:.2f} from "
        f"{n_labeled[-third]:,.0f} on"
    )
