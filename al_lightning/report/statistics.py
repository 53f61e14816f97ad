"""Means over seeds, differences by seed, and what so many seeds could have shown. Pure functions of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from statsmodels.stats.power import TTestPower

from al_lightning.runs.learning_curve import aubc

ALPHA = 0.05
POWER = 0.80
# Sums of accuracies carry rounding errors of 1e-16: what differs by less than this is the same number.
_ROUNDING = 1e-12


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
        p: nan for fewer than two pairs, and where the difference is the same in every pair.
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
    test = paired_all([np.asarray(values, dtype=float)])[0]
    return Interval(test.difference, test.half_width, test.n)


def paired(a: npt.ArrayLike, b: npt.ArrayLike) -> Paired:
    """Test the mean of `a - b` against 0, element by element of one seed."""
    return paired_all([np.asarray(a, dtype=float) - np.asarray(b, dtype=float)])[0]


def paired_all(differences: Sequence[npt.NDArray[np.floating]]) -> list[Paired]:
    """A paired t-test for each of some vectors of differences, those of one length at once."""
    found: dict[int, Paired] = {}
    for n in {len(each) for each in differences}:
        members = [i for i, each in enumerate(differences) if len(each) == n]
        tests = _t_tests(np.stack([differences[i] for i in members], axis=1))
        for i, (mean, half_width, p, spread) in zip(members, np.stack(tests, 1).tolist(), strict=True):
            found[i] = Paired(mean, half_width, p, spread, n)
    return [found[i] for i in range(len(differences))]


def paired_columns(differences: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Mean and p of a paired t-test in every column of differences `[seeds, tests]`; see :class:`Paired`."""
    mean, _, p, _ = _t_tests(differences)
    return mean, p


def ratio_interval(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[float, float]:
    """The 95% interval of mean(a) / mean(b), element by element of one seed, by Fieller's theorem.

    It holds the ratios r at which a t-test does not find mean(a - r b) different from 0.

    Returns:
        nan where it is not bounded, which is where the mean of b is not distinguishable from 0; for fewer than two
        pairs; and where the ratio is the same in every pair.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n = len(a)
    if n < 2:
        return np.nan, np.nan
    scatter = stats.t.ppf(1 - ALPHA / 2, n - 1) ** 2 / n * np.cov(a, b)
    # (mean(a) - r mean(b))^2 <= t^2 var(a - r b) / n is quadratic in r.
    square, middle, rest = (
        float(np.mean(x) * np.mean(y) - s)
        for x, y, s in ((b, b, scatter[1, 1]), (a, b, scatter[0, 1]), (a, a, scatter[0, 0]))
    )
    if square <= 0 or np.ptp(a * b.mean() - b * a.mean()) <= _ROUNDING:
        return np.nan, np.nan
    half = np.sqrt(max(0.0, middle**2 - square * rest))
    return float((middle - half) / square), float((middle + half) / square)


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
    freedom = np.where(n > 1, n - 1, np.nan)
    half_width = stats.t.ppf(1 - ALPHA / 2, freedom) * points["std"].to_numpy() / np.sqrt(n)
    return pd.DataFrame({"n_labeled": points["n_labeled"], "mean": points["mean"], "half_width": half_width, "n": n})


def area(n_labeled: Sequence[float], values: Sequence[float], low: float, high: float) -> float:
    """Area under the budget curve from `low` to `high` labels, divided by their distance.

    The curve is straight between its points and cut at both ends; where they are one, it is the curve's height.
    (Trapezoid rule as in :func:`al_lightning.runs.learning_curve.aubc`.)
    """
    between = [(x, y) for x, y in zip(n_labeled, values, strict=True) if low < x < high]
    ends = [(x, float(np.interp(x, n_labeled, values))) for x in (low, high)]
    points = ends[:1] if low == high else [ends[0], *between, ends[1]]
    return aubc([x for x, _ in points], [y for _, y in points])


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted for their number by Holm's step-down method; nan stays nan and does not count.

    (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".)
    """
    adjusted = np.asarray(p, dtype=float)  # statsmodels has it, with a garbage collection of a tenth of a second
    ascending = np.argsort(adjusted)[: np.isfinite(adjusted).sum()]  # nan comes last
    left = np.arange(len(ascending), 0, -1)  # hypotheses that are tested at each step
    adjusted[ascending] = np.maximum.accumulate(adjusted[ascending] * left).clip(max=1)
    return adjusted.tolist()


def power(effect: float, n: npt.ArrayLike, alpha: float = ALPHA) -> npt.NDArray[np.floating]:
    """Probability that a two-sided paired t-test of `n` pairs finds a true difference, and its sign.

    Args:
        effect: the difference, in standard deviations of the differences by seed, at least 0.
        n: pairs, at least 2; any shape, which is that of the result.
        alpha: level of the test.
    """
    # The tail that finds the wrong sign is left out: statsmodels' two-sided power is nan where it is next to nothing.
    found = TTestPower().power(effect, np.asarray(n, dtype=float), alpha / 2, alternative="larger")
    return np.nan_to_num(found, nan=1.0)  # so far out that no test misses


@cache
def detectable(n: int, alpha: float = ALPHA) -> float:
    """Smallest true difference found with 80% power by `n` pairs, in standard deviations of the differences."""
    return float(TTestPower().solve_power(nobs=n, alpha=alpha / 2, power=POWER, alternative="larger"))


def seeds_needed(effect: float, alpha: float = ALPHA, most: int = 1000) -> int | None:
    """Fewest pairs with which a difference is found with 80% power; None where `most` would not do.

    Args:
        effect: the difference, in standard deviations of the differences by seed, at least 0.
        alpha: level of the test.
        most: pairs to try.
    """
    pairs = np.arange(2, most + 1)
    enough = pairs[power(effect, pairs, alpha) >= POWER]
    return int(enough[0]) if len(enough) else None


def _t_tests(values: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.floating], ...]:
    """Mean, half width of the 95% interval, p against 0, and spread of every column."""
    n, columns = values.shape
    half_width, p, spread = (np.full(columns, np.nan) for _ in range(3))
    if n < 2:
        return (values[0] if n else spread), half_width, p, spread
    flat = np.ptp(values, axis=0) <= _ROUNDING * np.maximum(1, np.abs(values).max(0))
    half_width[flat] = spread[flat] = 0
    if not flat.all():
        scattered = values[:, ~flat]
        spread[~flat] = scattered.std(0, ddof=1)
        half_width[~flat] = stats.t.ppf(1 - ALPHA / 2, n - 1) * stats.sem(scattered)
        _, p[~flat] = stats.ttest_1samp(scattered, 0)
    return values.mean(0), half_width, p, spread
