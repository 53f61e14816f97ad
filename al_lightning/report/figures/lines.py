"""Lines against labels: what is drawn of a method's runs, and the limits and ticks of a panel."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from al_lightning.report.figures.labels import End, text_width
from al_lightning.report.figures.style import SMALL, Look
from al_lightning.report.statistics import curve

BAND_SEEDS = 5  # of fewer the runs themselves are drawn: their t interval says more of t than of them
MOST_COUNTS = 10  # label counts that an axis names one by one
MOST_MARKS = 60  # rounds that an axis marks
ROUND = [1, 2, 5, 10]  # steps between ticks, times a power of ten


@dataclass(frozen=True)
class Curve:
    """Runs of one method in one measure.

    Attributes:
        mean: as :func:`al_lightning.report.statistics.curve` gives it.
        runs: a row a round of a run: `folder, seed, n_labeled, value, failed`; where its fit failed, `failed`.
    """

    mean: pd.DataFrame
    runs: pd.DataFrame

    @property
    def has_band(self) -> bool:
        """Whether its interval is drawn, not its runs."""
        return bool((self.mean["n"].to_numpy() >= BAND_SEEDS).any())


def curve_of(rows: pd.DataFrame, measure: str) -> Curve:
    """The runs of some rounds, of one method in one setting, in a measure; where it is nan there is no point."""
    known = rows.dropna(subset=[measure])
    runs = known[["folder", "seed", "n_labeled"]].assign(value=known[measure], failed=failed(known))
    return Curve(curve(known, measure), runs)


def failed(rows: pd.DataFrame) -> pd.Series:
    """Which rounds have a fit that failed: those whose `fit/ok` says so. Older runs do not say."""
    if "fit/ok" not in rows:
        return pd.Series(False, index=rows.index)
    return rows["fit/ok"].astype(str).str.lower().isin(("false", "0", "0.0"))


def table_of(curves: Mapping[str, Curve]) -> pd.DataFrame | None:
    """What is drawn: `method, n_labeled, mean, half_width, n`, then a column a seed; None without methods."""
    parts = []
    for method, shown in curves.items():
        seeds = shown.runs.pivot_table(index="n_labeled", columns="seed", values="value", aggfunc="mean")
        table = shown.mean.merge(seeds.add_prefix("seed ").reset_index(), on="n_labeled", how="left")
        table.insert(0, "method", method)
        parts.append(table)
    return pd.concat(parts) if parts else None


def draw(axes: Axes, shown: Curve, name: str, look: Look, bounds: tuple[float, float]) -> End | None:
    """Draw the mean of a method with its band, or with its runs where they are few; dashed where seeds are missing.

    A ring marks a round of a run whose fit failed, at the value of that run.

    Args:
        axes: the panel.
        shown: the runs.
        name: of the method.
        look: of its line.
        bounds: of the measure; a band ends there.

    Returns:
        Where the mean ends; None where there is no point.
    """
    points = shown.mean.dropna(subset=["mean"])
    if points.empty:
        return None
    x, y, half, n = (points[column].to_numpy(float) for column in ("n_labeled", "mean", "half_width", "n"))
    style: dict[str, Any] = {"color": look.color, "linewidth": 1.7}
    whole = int(np.flatnonzero(n == n.max())[-1]) + 1  # points up to the last that all seeds have
    marked = max(1, len(x) // 10)
    axes.plot(x[:whole], y[:whole], linestyle=look.line, marker=look.marker, markersize=3.2, markevery=marked, **style)
    if whole < len(x):
        axes.plot(x[whole - 1 :], y[whole - 1 :], linestyle=(0, (2, 2)), **style)
    if shown.has_band:
        low, high = np.clip((y - half, y + half), *bounds)
        axes.fill_between(x, low, high, color=look.color, alpha=0.15, linewidth=0)
    elif n.max() > 1:
        for _, seed in shown.runs.sort_values("n_labeled").groupby("seed"):
            axes.plot(seed["n_labeled"], seed["value"], color=look.color, linewidth=0.7, alpha=0.55, zorder=1.9)
    rings = shown.runs.loc[shown.runs["failed"]]
    if len(rings):
        axes.scatter(
            rings["n_labeled"], rings["value"], s=38, facecolor="none", edgecolor=look.color, linewidth=1.2, zorder=4
        )
    return End(float(x[-1]), float(y[-1]), name, look)


def said(curves: Collection[Curve], cut: bool) -> str:
    """What stands around the means, in sentences for a caption; `cut` where :func:`limit` cut a band off."""
    bands = any(curve.has_band for curve in curves)
    thin = any(not curve.has_band and curve.runs["seed"].nunique() > 1 for curve in curves)
    parts = []
    if bands:
        parts.append(f"Bands are 95% t intervals over seeds{', cut off where they leave a panel' * cut}.")
    if thin:
        parts.append(f"Thin lines are the seeds{f' of methods with fewer than {BAND_SEEDS}' if bands else ''}.")
    if not bands and not thin:
        parts.append("One seed: no interval.")
    if any(len(set(curve.mean["n"])) > 1 for curve in curves):
        parts.append("Dashed: not every seed of the method has got so far.")
    if flagged := sum(int(curve.runs["failed"].to_numpy().sum()) for curve in curves):
        parts.append(f"{_rings(flagged)}: the fit failed on its own labels (fit/ok in rounds.csv).")
    return " ".join(parts)


def limit(
    axes: Axes, curves: Collection[Curve], ends: Sequence[End], bounds: tuple[float, float], first: float = 0
) -> bool:
    """Let the lines of a panel fill its height; a band may leave it, because an interval can be anything.

    Args:
        axes: the panel.
        curves: in it.
        ends: of the lines in it.
        bounds: of the measure.
        first: label count that the panel begins with.

    Returns:
        Whether a band is cut off.
    """
    lines: list[np.ndarray] = [np.array([end.y for end in ends])]
    bands: list[np.ndarray] = []
    for shown in curves:
        mean = shown.mean.loc[shown.mean["n_labeled"] >= first]
        lines += [mean["mean"].to_numpy(float), shown.runs.loc[shown.runs["failed"], "value"].to_numpy(float)]
        if shown.has_band:
            half = mean["half_width"].fillna(0).to_numpy(float)
            bands += [(mean["mean"] - half).to_numpy(float), (mean["mean"] + half).to_numpy(float)]
        else:
            lines.append(shown.runs.loc[shown.runs["n_labeled"] >= first, "value"].to_numpy(float))
    drawn = np.concatenate(lines)
    around = np.clip(np.concatenate([drawn, *bands]), *bounds)
    low, high = np.nanmin(drawn), np.nanmax(drawn)
    beyond = 0.25 * (high - low) or 0.01
    lowest, highest = np.nanmin(around), np.nanmax(around)
    bottom = max(low - beyond, lowest - 0.2 * beyond, bounds[0] - 0.1 * beyond)
    top = min(high + beyond, highest + 0.2 * beyond, bounds[1] + 0.1 * beyond)
    axes.set_ylim(bottom, top)
    return bool(lowest < bottom or highest > top)


def ticks(axes: Axes, counts: Iterable[float], most: int = 6) -> None:
    """Put the ticks of a panel; its limits and its place in the figure must stand.

    Labels: at the label counts of the rounds where their numbers fit, else at round numbers, with a small mark at every
    round. The measure: at round numbers.

    Args:
        axes: the panel.
        counts: label counts of the rounds.
        most: numbers on an axis, about.
    """
    low, high = sorted(axes.get_xlim())
    figure = axes.get_figure(root=True)
    inches = axes.get_position().width * float(figure.get_size_inches()[0])  # pyright: ignore[reportOptionalMemberAccess]
    rounds = sorted({count for count in counts if low <= count <= high})
    places = [(count - low) / (high - low) * inches for count in rounds]
    widths = [text_width(f"{count:,.0f}", SMALL) for count in rounds]
    apart = [b - a for a, b in pairwise(places)]
    fit = all(gap > (a + b) / 2 + 0.08 for gap, (a, b) in zip(apart, pairwise(widths), strict=True))
    if rounds and fit and len(rounds) <= MOST_COUNTS:
        axes.xaxis.set_major_locator(FixedLocator(rounds))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(most, integer=True, steps=ROUND))
        if len(rounds) <= MOST_MARKS and all(gap > 0.03 for gap in apart):
            axes.xaxis.set_minor_locator(FixedLocator(rounds))
            axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(most + 1, steps=ROUND))
    axes.grid()


def _rings(count: int) -> str:
    return "Ring, 1 round of a run" if count == 1 else f"Rings, {count:,} rounds of runs"
