"""Learning curves: a measure against labels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from al_lightning.report.compare import Comparison
from al_lightning.report.figures.labels import End, end_labels, labels_width, wrapped
from al_lightning.report.figures.lines import curve_of, draw, limit, said, table_of, ticks
from al_lightning.report.figures.measures import bounds_of, capital, name_of
from al_lightning.report.figures.style import GRAY, Drawing, Look, grid, looks
from al_lightning.report.statistics import curve

REFERENCE_LOOK = Look(GRAY, "-", "")


def learning_curves(comparison: Comparison, pool_size: int | None, measure: str = "test/acc") -> Drawing:
    """A measure against labels, with what a single training run gives on random labels and on all of them.

    Args:
        comparison: with methods, with one-shot runs, or both.
        pool_size: images in the whole pool, where it is known.
        measure: a column of the rounds.
    """
    once = _one_shot_parts(comparison, pool_size, measure)
    names = [*comparison.methods, *(name for name, _ in once)]
    right = labels_width(names)
    zoomed = _is_flat_later(comparison, measure)
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
    bounds = bounds_of(measure)
    curves = {
        method: curve_of(comparison.rounds.loc[comparison.rounds["method"] == method], measure)
        for method in comparison.methods
    }
    shown = [*curves.values(), *([curve_of(comparison.one_shot, measure)] if once else [])]
    counts = {count for each in shown for count in each.mean["n_labeled"]}
    looked, cut = looks(comparison.methods), False
    for axes, late in zip(panels, (False, True), strict=False):
        axes.margins(x=0.02)
        ends = [end for method in curves if (end := draw(axes, curves[method], method, looked[method], bounds))]
        ends += _one_shot(axes, once, crossing_only=not comparison.methods)
        axes.set(xlabel="labeled images", ylabel=f"test {name_of(measure)}")
        if late:
            axes.set_xlim(comparison.early_end, axes.get_xlim()[1])
        if zoomed:
            axes.set_title("later part, enlarged" if late else "whole range")
        cut |= limit(axes, shown, ends, bounds, comparison.early_end if late else 0)
        ticks(axes, counts)
        end_labels(axes, ends)
    caption = f"Mean {name_of(measure)} on the test part."
    if curves:
        caption += f" {said(curves.values())}"
    if cut:
        caption += " Bands that leave a panel are cut off."
    if once:
        caption += " Gray: single training runs, without active learning."
    alt = f"Test {name_of(measure)} against labeled images on {comparison.setting} for {', '.join(names)}."
    title = f"{capital(name_of(measure))} against labels"
    return Drawing("learning-curves", title, caption, alt, figure, table_of(curves))


def _one_shot_parts(comparison: Comparison, pool_size: int | None, measure: str) -> list[tuple[str, pd.DataFrame]]:
    """What the one-shot runs are called, and their points: a row a size."""
    if comparison.one_shot.empty or measure not in comparison.one_shot:
        return []
    points = curve(comparison.one_shot, measure)
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


def _one_shot(axes: Axes, parts: Sequence[tuple[str, pd.DataFrame]], crossing_only: bool) -> list[End]:
    ends: list[End] = []
    right = axes.get_xlim()[1]
    for name, points in parts:
        if len(points) == 1:
            mean = float(points["mean"].iloc[0])
            axes.axhline(mean, color=GRAY, linewidth=1.1, linestyle="-" if name.startswith("all") else (0, (4, 2)))
            ends.append(End(np.inf, mean, name, REFERENCE_LOOK))
        else:
            x, y = (points[column].to_numpy(float) for column in ("n_labeled", "mean"))
            axes.plot(x, y, color=GRAY, linewidth=1.5, marker="s", markersize=3)
            ends.append(End(x[-1], y[-1], name, Look(GRAY, "-", "s")))
    if crossing_only and all(np.isinf(end.x) for end in ends):
        axes.set_xlim(0, right)
    return ends


def _is_flat_later(comparison: Comparison, measure: str) -> bool:
    """Whether the later part of the curves is too flat to be read on the scale of the whole."""
    if not comparison.methods:
        return False
    labels, values = (comparison.rounds[name].to_numpy(float) for name in ("n_labeled", measure))
    labels, values = labels[np.isfinite(values)], values[np.isfinite(values)]
    later = values[labels >= comparison.early_end]
    return len(np.unique(labels)) > 6 and len(later) > 2 and bool(np.ptp(later) < 0.4 * np.ptp(values))
