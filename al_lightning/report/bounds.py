"""What there is to win: from random, the floor, to the ceiling, which nobody can reach. Strategies lie between them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report.measures import Measure
from al_lightning.report.statistics import interval, ratio_interval

REFERENCE = "random"  # the floor
CEILING = "ceiling"  # the strategy that knows the labels of the test part
MARK = "not attainable"
EXPLAINED = (
    "The ceiling chooses by the labels of the test part, which nobody has; it is greedy, so no strict bound. Of the "
    "way: share of the difference between their AUBC, over the seeds in common; in brackets its 95% interval, not "
    "adjusted, where there is one."
)
BOUNDS_COLUMNS = ("method", "seeds", "gain", "share", "low", "high", "left")


def marked(strategy: str) -> str:
    """The name of a strategy as it is shown: never that of the ceiling alone."""
    return f"{strategy} ({MARK})" if strategy == CEILING else strategy


def ceilings(rounds: pd.DataFrame) -> set[str]:
    """The methods that are not attainable."""
    return {str(method) for method in rounds.loc[rounds["strategy"] == CEILING, "method"]}


def bounds_table(
    areas: pd.DataFrame, methods: Sequence[str], reference: str | None, beyond: Collection[str], measure: Measure
) -> pd.DataFrame:
    """How much of the way from the reference to the ceiling each method has gone.

    Args:
        areas: `method, seed, whole`, a row a run.
        methods: all of them.
        reference: None: there is none.
        beyond: those that are not attainable; the one of the best mean area is the ceiling.
        measure: that the areas are of.

    Returns:
        Empty without a reference or a ceiling with a seed in common; else a row a method, the ceiling last: `method`;
        `seeds` that it has in common with both; `gain`, by how much its mean area is better than the reference's;
        `share` of the ceiling's gain with its 95% interval `low` to `high`, see
        :func:`al_lightning.report.statistics.ratio_interval`; and what is `left` of it. nan where there is no such
        number: no share where the ceiling is not better than the reference.
    """
    wide = areas.pivot(index="seed", columns="method", values="whole")  # nan where a method lacks a seed
    values = {str(method): wide[method].to_numpy(float) * (-1) ** measure.lower_is_better for method in wide}
    found = [method for method in methods if method in beyond and method in values]
    ceiling = max(found, key=lambda method: float(np.nanmean(values[method])), default=None)
    rows = []
    if ceiling and reference in values:
        floor, most = values[reference], values[ceiling] - values[reference]
        shown = [*(method for method in methods if method not in beyond and method in values), ceiling]
        rows = [_row(method, values[method] - floor, most) for method in shown] if np.isfinite(most).any() else []
    return pd.DataFrame(rows, columns=pd.Index(BOUNDS_COLUMNS))


def left_to_win(bounds: pd.DataFrame, reference: str | None) -> str:
    """What a table of bounds says, in a sentence; empty where it is empty."""
    if bounds.empty:
        return ""
    *others, ceiling = bounds.to_dict("records")
    if not ceiling["gain"] > 0:
        return f"The ceiling ({MARK}) is not better than {reference} here, so what is left to win is not known."
    said = f"The ceiling ({MARK}) is better than {reference} by {ceiling['gain']:.4f} AUBC"
    known = [row for row in others if row["method"] != reference and row["share"] == row["share"]]
    if not known:
        return f"{said}."
    best = max(known, key=lambda row: row["share"])
    if best["share"] <= 0:
        return f"{said}, and no strategy has gone any of that way."
    if best["left"] <= 0:
        return f"{said}; {best['method']} is above it, so what is left to win is not known."
    return f"{said}; {best['method']} has gone {percent(best['share'])} of that way, {best['left']:.4f} is left."


def share_text(row: Mapping[Any, Any]) -> str:
    """A share with its interval, as people read it; empty where it is not known."""
    if np.isnan(row["share"]):
        return ""
    between = f" ({percent(row['low'])} to {percent(row['high'])})" if np.isfinite(row["low"]) else ""
    return percent(row["share"]) + between


def percent(share: float) -> str:
    """A share as people say it."""
    return f"{100 * share:.0f}%".replace("-0%", "0%").replace("-", "−")


def _row(method: str, gain: np.ndarray, most: np.ndarray) -> tuple[Any, ...]:
    have = np.isfinite(gain) & np.isfinite(most)
    mean, whole = (interval(values[have]).mean for values in (gain, most))
    share = (mean / whole, *ratio_interval(gain[have], most[have])) if whole > 0 else (np.nan,) * 3
    return (method, int(have.sum()), mean, *share, whole - mean)
