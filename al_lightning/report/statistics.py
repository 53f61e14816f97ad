"""Means over seeds, differences by seed, and what so many seeds could have shown. Pure functions of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import chdtr, stdtr, stdtrit

from al_lightning.learning_curve import aubc

ALPHA = 0.05
POWER = 0.80
# Sums of accuracies carry rounding errors of 1e-16: what differs by less than this is the same number.
_ROUNDING = 1e-12
_Z = np.linspace(-9, 9, 601)
_DENSITY = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95% t interval.

    Attributes:
        mean: nan where there is no value.
        half_width: nan for fewer than two values.
        n: number of values.
    """

    mean: float
    half_width: float
    n: int


@dataclass(frozen=True)
class Paired:
    """A two-sided paired t-test.

    Attributes:
        difference: mean difference; nan where there is no pair of values.
        half_width: of its 95% t interval; nan for fewer than two pairs.
        p: nan for fewer than two pairs.
        spread: standard deviation of the differences; nan for fewer than two pairs.
        n: number of pairs.
    """

    difference: float
    half_width: float
    p: float
    spread: float
    n: int


def interval(values: npt.ArrayLike) -> Interval:
    """Mean and half width of the two-sided 95% t interval of independent values."""
    mean, half_width, _, _ = _t_test(np.asarray(values, dtype=float).reshape(-1, 1))
    return Interval(float(mean[0]), float(half_width[0]), np.size(values))


def paired(a: npt.ArrayLike, b: npt.ArrayLike) -> Paired:
    """Test the mean of `a - b` against 0, element by element of one seed.

    Without any spread, p is 1 for a difference of zero and 0 for any other.
    """
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    mean, half_width, p, spread = (float(value[0]) for value in _t_test(differences.reshape(-1, 1)))
    return Paired(mean, half_width, p, spread, len(differences))


def paired_columns(differences: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Mean and p of a paired t-test in every column of differences `[seeds, tests]`; see :func:`paired`."""
    mean, _, p, _ = _t_test(differences)
    return mean, p


def curve(rows: pd.DataFrame, measure: str = "test/acc") -> pd.DataFrame:
    """Learning curve of runs that differ in their seed.

    Args:
        rows: rounds of one method in one setting.
        measure: a column of them; rounds in which it is nan do not count.

    Returns:
        A row a number of labels: `n_labeled, mean, half_width, n`, over the seeds that got so far. `half_width` is
        that of the 95% t interval, nan where `n` is 1.
    """
    points = rows.dropna(subset=[measure]).groupby("n_labeled")[measure].agg(["mean", "std", "count"]).reset_index()
    n = points["count"].to_numpy()
    half_width = _quantile(1 - ALPHA / 2, n - 1) * points["std"].to_numpy() / np.sqrt(n)
    return pd.DataFrame({"n_labeled": points["n_labeled"], "mean": points["mean"], "half_width": half_width, "n": n})


def area(n_labeled: Sequence[float], accuracy: Sequence[float], low: float, high: float) -> float:
    """Area under the budget curve from `low` to `high` labels, divided by their distance.

    The curve is straight between its points and cut at both ends; where they are one, it is the curve's height.
    (Trapezoid rule as in :func:`al_lightning.learning_curve.aubc`.)
    """
    between = [(x, y) for x, y in zip(n_labeled, accuracy, strict=True) if low < x < high]
    ends = [(x, float(np.interp(x, n_labeled, accuracy))) for x in (low, high)]
    points = ends[:1] if low == high else [ends[0], *between, ends[1]]
    return aubc([x for x, _ in points], [y for _, y in points])


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted for their number by Holm's step-down method; nan stays nan and does not count.

    (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".)
    """
    values = np.asarray(p, dtype=float)
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]  # nan is sorted to the end
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted.tolist()


def power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Probability that a two-sided paired t-test of `n` pairs finds a true difference.

    Args:
        effect: the difference, in standard deviations of the differences by seed.
        n: pairs, at least 2.
        alpha: level of the test.
    """
    # P(|z + shift| > critical * chi) over the normal z: scipy's noncentral t and F are nan far out.
    reached = np.abs(_Z + effect * np.sqrt(n)) / _quantile(1 - alpha / 2, n - 1)
    return float(_DENSITY @ chdtr(n - 1, (n - 1) * reached**2))


@cache
def detectable(n: int, alpha: float = ALPHA) -> float:
    """Smallest true difference found with 80% power by `n` pairs, in standard deviations of the differences."""
    # Never farther out than for one degree of freedom, where the normal quantile 1.2816 is the factor.
    most = (1.3 * _quantile(1 - alpha / 2, n - 1) + 1) / np.sqrt(n)
    return cast(float, brentq(lambda effect: power(effect, n, alpha) - POWER, 0, most))


def seeds_needed(effect: float, alpha: float = ALPHA, most: int = 1000) -> int | None:
    """Fewest pairs with which a difference is found with 80% power; None where `most` would not do.

    Args:
        effect: the difference, in standard deviations of the differences by seed.
        alpha: level of the test.
        most: pairs to try.
    """
    if power(effect, most, alpha) < POWER:
        return None
    low, high = 1, most  # not enough, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle, alpha) >= POWER else (middle, high)
    return high


def _t_test(values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.floating], ...]:
    """Mean, half width of the 95% interval, p against 0, and spread of every column."""
    n, columns = values.shape
    unknown = np.full(columns, np.nan)
    if n < 2:
        return (values[0] if n else unknown), unknown, unknown, unknown
    mean, spread = values.mean(0), values.std(0, ddof=1)
    rounding = _ROUNDING * np.maximum(1, np.abs(values).max(0))
    spread = np.where(spread <= rounding, 0.0, spread)
    error = spread / np.sqrt(n)
    t = np.divide(mean, error, out=np.where(np.abs(mean) <= rounding, 0.0, np.inf), where=error > 0)
    return mean, _quantile(1 - ALPHA / 2, n - 1) * error, 2 * stdtr(n - 1, -np.abs(t)), spread


def _quantile(probability: float, freedom: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Of Student's t; nan without a degree of freedom."""
    freedom = np.asarray(freedom, dtype=float)
    return stdtrit(np.where(freedom > 0, freedom, np.nan), probability)
