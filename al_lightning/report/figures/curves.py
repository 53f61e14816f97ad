"""Learning curves: a measure against labels."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from al_lightning.report.compare import Comparison
from al_lightning.report.figures.labels import End, end_labels, labels_width, wrapped
from al_lightning.report.figures.lines import Curve, curve_of, draw, limit, said, table_of, ticks
from al_lightning.report.figures.measures import bounds_of, capital, name_of
from al_lightning.report.figures.style import GRAY, Drawing, Look, grid, looks

REFERENCE_LOOK = Look(GRAY, "-", "")


def learning_curves(comparison: Comparison, pool_size: int | None, measure: str = "test/acc") -> Drawing:
    """A measure against labels, with what a single training run gives on random labels and on all of them.

    Args:
        comparison: with methods, with one-shot runs, or both.
        pool_size: images in the whole pool, where it is known.
        measure: a column of the rounds.
    """
    once = _one_shot_parts(comparison, pool_size, measure)
    names = [*comparison.methods, *once]
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
        across=0.75,
    )
    bounds = bounds_of(measure)
    curves = {
        method: curve_of(comparison.rounds.loc[comparison.rounds["method"] == method], measure)
        for method in comparison.methods
    }
    lines = [*curves.values(), *filter(_is_line, once.values())]
    counts = {count for each in (*curves.values(), *once.values()) for count in each.mean["n_labeled"]}
    looked, cut = looks(comparison.methods), False
    for axes, late in zip(panels, (False, True), strict=False):
        axes.margins(x=0.02)
        ends = [end for method in curves if (end := draw(axes, curves[method], method, looked[method], bounds))]
        ends += _one_shot(axes, once, bounds, crossing_only=not comparison.methods)
        axes.set(xlabel="labeled images", ylabel=f"test {name_of(measure)}")
        if late:
            axes.set_xlim(comparison.early_end, axes.get_xlim()[1])
        if zoomed:
            axes.set_title("later part, enlarged" if late else "whole range")
        cut |= limit(axes, lines, ends, bounds, comparison.early_end if late else 0)
        ticks(axes, counts)
        if axes is panels[-1]:  # the lines of both end at the same labels
            end_labels(axes, ends)
    caption = f"Mean {name_of(measure)} on the test part."
    if lines:
        caption += f" {said(lines, cut)}"
    if once:
        caption += " Gray: single training runs, without active learning."
    alt = f"Test {name_of(measure)} against labeled images on {comparison.setting} for {', '.join(names)}."
    title = f"{capital(name_of(measure))} against labels"
    return Drawing("learning-curves", title, caption, alt, figure, table_of({**curves, **once}))


def _one_shot_parts(comparison: Comparison, pool_size: int | None, measure: str) -> dict[str, Curve]:
    """The one-shot runs by what they are called: those on the whole pool, and those on random labels."""
    if comparison.one_shot.empty or measure not in comparison.one_shot:
        return {}
    is_whole = comparison.one_shot["n_labeled"] == pool_size
    whole, some = (curve_of(comparison.one_shot.loc[rows], measure) for rows in (is_whole, ~is_whole))
    parts = {}
    if len(whole.mean):
        parts[f"all {pool_size:,} labels: {whole.mean['mean'].iloc[0]:.4f}"] = whole
    if _is_line(some):
        parts["one training run each, random labels"] = some
    elif len(some.mean):
        labels, mean = some.mean["n_labeled"].iloc[0], some.mean["mean"].iloc[0]
        parts[f"baseline, {labels:,.0f} random labels: {mean:.4f}"] = some
    return parts


def _is_line(part: Curve) -> bool:
    return len(part.mean) > 1


def _one_shot(axes: Axes, parts: Mapping[str, Curve], bounds: tuple[float, float], crossing_only: bool) -> list[End]:
    ends: list[End] = []
    right = axes.get_xlim()[1]
    for name, part in parts.items():
        if _is_line(part):
            ends += [end for end in [draw(axes, part, name, Look(GRAY, "-", "s"), bounds)] if end]
        else:
            mean = float(part.mean["mean"].iloc[0])
            axes.axhline(mean, color=GRAY, linewidth=1.1, linestyle="-" if name.startswith("all") else (0, (4, 2)))
            ends.append(End(np.inf, mean, name, REFERENCE_LOOK))
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
