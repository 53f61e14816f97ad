"""Means over seeds and differences by seed, with t intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from al_lightning.measures import aubc


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95% t interval; `half_width` is nan for a single seed."""

    mean: float
    half_width: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.half_width:.4f}" if self.n > 1 else f"{self.mean:.4f}"


def interval(values: npt.ArrayLike) -> Interval:
    """Mean and half width of the two-sided 95% t interval of independent values."""
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return Interval(float(values.mean()), float("nan"), len(values))
    standard_error = values.std(ddof=1) / np.sqrt(len(values))
    return Interval(float(values.mean()), float(t.ppf(0.975, len(values) - 1) * standard_error), len(values))


def curve(rows: pd.DataFrame, measure: str = "test/acc") -> pd.DataFrame:
    """Learning curve of runs that differ in their seed.

    Returns:
        A row a number of labels: `n_labeled, mean, half_width, n`, over the seeds that got so far.
    """
    points = [(labels, interval(group[measure])) for labels, group in rows.groupby("n_labeled")]
    return pd.DataFrame([{"n_labeled": labels, **vars(point)} for labels, point in points])


def areas(rows: pd.DataFrame) -> pd.Series:
    """Area under the budget curve of each run, by seed."""
    return pd.Series(
        {
            seed: aubc(run["n_labeled"].to_list(), run["test/acc"].to_list())
            for seed, run in rows.sort_values("n_labeled").groupby("seed")
        }
    )


def paired(a: pd.Series, b: pd.Series) -> Interval | None:
    """Difference a - b over the seeds that both have; None where they share none."""
    common = a.index.intersection(b.index)
    return interval(a[common] - b[common]) if len(common) else None
