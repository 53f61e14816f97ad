"""Measures against labels: learning curves, small multiples, and accuracy against k."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from al_lightning.report.compare import Comparison
from al_lightning.report.figures.labels import End, end_labels, labels_width, wrapped
from al_lightning.report.figures.style import GRAY, SMALL, Drawing, Look, grid, looks
from al_lightning.report.statistics import curve, interval

MEASURES = {
    "test/acc": "accuracy",
    "test/balanced_acc": "balanced accuracy",
    "test/f1": "F1",
    "test/auroc": "AUROC",
    "test/nll": "NLL",
    "test/ece": "ECE",
}
LOWER_IS_BETTER = ("test/nll", "test/ece")
_K = re.compile(r"\bn_clusters=(\d+)")

REFERENCE_LOOK = Look(GRAY, "-", "")
IN_UNIT = ("test/acc", "test/balanced_acc", "test/f1", "test/auroc", "test/ece")  # they cannot leave 0 to 1


def learning_curves(comparison: Comparison, pool_size: int | None) -> Drawing:
    """Accuracy against labels, with what a single training run gives on random labels and on all of them.

    Args:
        comparison: with methods, with one-shot runs, or both.
        pool_size: images in the whole pool, where it is known.
    """
    names = [*comparison.methods, *_one_shot_names(comparison, pool_size)]
    right = labels_width(names)
    zoomed = _is_flat_later(comparison)
    high = max(3.4, 0.2 * sum(wrapped(name).count("\n") + 1 for name in names))
    figure, panels = grid(
        1 + zoomed,
        1 + zoomed,
        panel=(0, high),
        left=0.75,
        right=right,
        top=0.35 if zoomed else 0.15,
        bottom=0.5,
        across=right + 0.55,
    )
    curves = {method: curve(_of(comparison, method)) for method in comparison.methods}
    looked, cut = looks(comparison.methods), False
    for axes, late in zip(panels, (False, True), strict=False):
        axes.margins(x=0.02)
        ends = [end for method in curves if (end := _line(axes, curves[method], method, looked[method]))]
        ends += _one_shot(axes, comparison, pool_size)
        axes.set(xlabel="labeled images", ylabel="test accuracy")
        if late:
            axes.set_xlim(comparison.early_end, axes.get_xlim()[1])
        if zoomed:
            axes.set_title("later part, enlarged" if late else "whole range")
        shown = [*curves.values(), *([curve(comparison.one_shot)] if len(comparison.one_shot) else [])]
        cut |= _limit(axes, shown, ends, comparison.early_end if late else 0)
        _finish(axes)
        end_labels(axes, ends)
    spread = (
        ", with the 95% t interval over seeds"
        if len(set(comparison.rounds["seed"])) > 1
        else "; one seed gives no interval"
    )
    caption = f"Mean accuracy on the test part{spread}.{' Intervals that leave a panel are cut off.' if cut else ''}"
    if any(np.ptp(points["n"].to_numpy()) > 0 for points in curves.values() if len(points)):
        caption += " Dashed: not every seed of the method has got so far."
    if len(comparison.one_shot):
        caption += " Gray: single training runs, without active learning."
    alt = f"Learning curves on {comparison.setting}: test accuracy against labeled images for {', '.join(names)}."
    return Drawing("learning-curves", "Accuracy against labels", caption, alt, figure)


def measures(comparison: Comparison) -> Drawing | None:
    """Every measure of the test part against labels, a panel each; None without methods."""
    present = [
        name for name in MEASURES if name in comparison.rounds and comparison.rounds[name].notna().to_numpy().any()
    ]
    if not comparison.methods or not present:
        return None
    names, looked = comparison.methods, looks(comparison.methods)
    right = labels_width(names, SMALL)
    columns = 3 if right < 1.4 else 2
    high = max(2.0, 0.155 * sum(wrapped(name).count("\n") + 1 for name in names))
    figure, panels = grid(
        len(present),
        columns,
        panel=(0, high),
        left=0.5,
        right=right,
        top=0.3,
        bottom=0.45,
        across=right + 0.45,
        down=0.55,
    )
    for i, (axes, measure) in enumerate(zip(panels, present, strict=True)):
        axes.margins(x=0.02)
        curves = {method: curve(_of(comparison, method), measure) for method in names}
        ends = [end for method in names if (end := _line(axes, curves[method], method, looked[method]))]
        axes.set_title(f"{MEASURES[measure]} {'↓' if measure in LOWER_IS_BETTER else '↑'}")
        _limit(axes, list(curves.values()), ends, most=1 if measure in IN_UNIT else np.inf)
        if i >= len(present) - columns:
            axes.set_xlabel("labeled images")
        _finish(axes, ticks=4)
        end_labels(axes, ends, SMALL)
    alt = f"Small multiples: {', '.join(MEASURES[name] for name in present)} against labels for {', '.join(names)}."
    caption = (
        "Means over seeds on the test part, with 95% t intervals where there is more than one seed, cut off where they "
        "leave a panel. ↑ higher is better, ↓ lower is better. NLL: mean negative log likelihood in nats. ECE: "
        "expected calibration error, 15 bins."
    )
    return Drawing("measures", "All measures against labels", caption, alt, figure)


def clusters(comparison: Comparison) -> Drawing | None:
    """Accuracy at the end and AUBC against k, where a strategy has run with several; None elsewhere."""
    families: dict[str, dict[int, str]] = {}
    for method in comparison.methods:
        if found := _K.search(method):
            family = " ".join((method[: found.start()] + method[found.end() :]).split())
            families.setdefault(family, {})[int(found[1])] = method
    families = {family: by_k for family, by_k in families.items() if len(by_k) > 1}
    if not families:
        return None
    area = comparison.aubc.set_index("method")
    at_end = {method: interval(_at(_of(comparison, method), comparison.end)) for method in comparison.methods}
    panels = {
        f"accuracy at {comparison.end:,.0f} labels": {m: (v.mean, v.half_width) for m, v in at_end.items()},
        "AUBC": {str(m): (row["whole"], row["whole_half_width"]) for m, row in area.iterrows()},
    }
    reference = comparison.reference
    names = [*families, *([reference] if reference else [])]
    right = labels_width(names)
    figure, both = grid(2, 2, panel=(0, 2.6), left=0.65, right=right, top=0.35, bottom=0.5, across=right + 0.6)
    looked = looks([reference or "", *families])
    for axes, (title, values) in zip(both, panels.items(), strict=True):
        ends: list[End] = []
        for family, by_k in families.items():
            ks = [k for k in sorted(by_k) if by_k[k] in values]
            means, halves = (np.array([values[by_k[k]][i] for k in ks]) for i in (0, 1))
            if ks:
                look = looked[family]
                axes.errorbar(ks, means, halves, color=look.color, marker=look.marker, markersize=4, capsize=3)
                ends.append(End(ks[-1], means[-1], family, look))
        if reference and reference in values:
            axes.axhline(values[reference][0], color=looked[reference].color, linewidth=1)
            ends.append(End(np.inf, values[reference][0], reference, Look(looked[reference].color, "-", "")))
        axes.set(xlabel="k, clusters", title=title)
        tried = sorted({k for by_k in families.values() for k in by_k})
        axes.xaxis.set_major_locator(FixedLocator(tried) if len(tried) <= 8 else MaxNLocator(8, integer=True))
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.grid()
        end_labels(axes, ends)
    spread = " with 95% t intervals over seeds" if len(set(comparison.rounds["seed"])) > 1 else ", one seed"
    caption = f"Means{spread}; line across: {reference}." if reference else f"Means{spread}."
    alt = f"Accuracy and AUBC against the number of clusters for {', '.join(families)}."
    return Drawing("clusters", "Accuracy against k", caption, alt, figure)


def _of(comparison: Comparison, method: str) -> pd.DataFrame:
    return comparison.rounds.loc[comparison.rounds["method"] == method]


def _at(rows: pd.DataFrame, labels: float) -> list[float]:
    runs = [run[["n_labeled", "test/acc"]].to_numpy(float).T for _, run in rows.groupby("folder")]
    return [float(np.interp(labels, x, y)) for x, y in runs if x[0] <= labels <= x[-1]]


def _line(axes: Axes, points: pd.DataFrame, method: str, look: Look) -> End | None:
    """Draw a curve with its band, dashed where seeds are missing; returns its end."""
    points = points.dropna(subset=["mean"])
    if points.empty:
        return None
    x, y, half, n = (points[column].to_numpy(float) for column in ("n_labeled", "mean", "half_width", "n"))
    style: dict[str, Any] = {"color": look.color, "linewidth": 1.5}
    whole = int(np.flatnonzero(n == n.max())[-1]) + 1  # points up to the last that all seeds have
    marked = max(1, len(x) // 10)
    axes.plot(x[:whole], y[:whole], linestyle=look.line, marker=look.marker, markersize=3, markevery=marked, **style)
    axes.plot(x[whole - 1 :], y[whole - 1 :], linestyle=(0, (2, 2)), **style)
    if np.isfinite(half).any():
        axes.fill_between(x, y - half, y + half, color=look.color, alpha=0.13, linewidth=0)
    return End(float(x[-1]), float(y[-1]), method, look)


def _one_shot_names(comparison: Comparison, pool_size: int | None) -> list[str]:
    return [name for name, _ in _one_shot_parts(comparison, pool_size)]


def _one_shot_parts(comparison: Comparison, pool_size: int | None) -> list[tuple[str, pd.DataFrame]]:
    """What the one-shot runs are called, and their points: a row a size."""
    if comparison.one_shot.empty:
        return []
    points = curve(comparison.one_shot)
    whole, some = (points.loc[(points["n_labeled"] == pool_size) == is_whole] for is_whole in (True, False))
    parts = []
    if len(whole):
        parts.append((f"all {pool_size:,} labels: {whole['mean'].iloc[0]:.4f}", whole))
    if len(some) == 1:
        labels, mean = some["n_labeled"].iloc[0], some["mean"].iloc[0]
        parts.append((f"baseline, {labels:,.0f} random labels: {mean:.4f}", some))
    elif len(some):
        parts.append(("one training run each, random labels", some))
    return parts


def _one_shot(axes: Axes, comparison: Comparison, pool_size: int | None) -> list[End]:
    ends: list[End] = []
    right = axes.get_xlim()[1]
    for name, points in _one_shot_parts(comparison, pool_size):
        if len(points) == 1:
            mean = float(points["mean"].iloc[0])
            axes.axhline(mean, color=GRAY, linewidth=1.1, linestyle="-" if name.startswith("all") else (0, (4, 2)))
            ends.append(End(np.inf, mean, name, REFERENCE_LOOK))
        else:
            end = _line(axes, points.assign(n=1), name, Look(GRAY, "-", "s"))
            ends += [end] if end else []
    if not comparison.methods and all(np.isinf(end.x) for end in ends):
        axes.set_xlim(0, right)
    return ends


def _is_flat_later(comparison: Comparison) -> bool:
    """Whether the later part of the curves is too flat to be read on the scale of the whole."""
    if not comparison.methods:
        return False
    labels, accuracy = (comparison.rounds[name].to_numpy(float) for name in ("n_labeled", "test/acc"))
    later = accuracy[labels >= comparison.early_end]
    return len(np.unique(labels)) > 6 and len(later) > 2 and bool(np.ptp(later) < 0.4 * np.ptp(accuracy))


def _limit(
    axes: Axes, curves: Collection[pd.DataFrame], ends: Sequence[End], first: float = 0, most: float = 1
) -> bool:
    """Let the means of a panel fill its height: the interval of two seeds can be anything.

    Args:
        axes: the panel.
        curves: in it.
        ends: of the lines in it.
        first: label count that the panel begins with.
        most: that the measure can be.

    Returns:
        Whether an interval is cut off.
    """
    columns = [points.loc[points["n_labeled"] >= first, ["mean", "half_width"]].to_numpy(float) for points in curves]
    means, halves = np.concatenate([*columns, [(end.y, 0.0) for end in ends]]).T
    halves = np.nan_to_num(halves)
    low, high = np.nanmin(means), np.nanmax(means)
    beyond = 0.25 * (high - low) or 0.01
    lowest, highest = np.nanmin(means - halves), np.nanmax(means + halves)
    bottom = max(low - beyond, lowest - 0.2 * beyond, -0.1 * beyond)
    top = min(high + beyond, highest + 0.2 * beyond, most + 0.1 * beyond)
    axes.set_ylim(bottom, top)
    return bool(lowest < bottom or highest > top)


def _finish(axes: Axes, ticks: int = 6) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(ticks))
    axes.grid()
