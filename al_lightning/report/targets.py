"""Labels that a target takes, and labels saved against the reference; never reached is never a number."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report.measures import Measure
from al_lightning.report.run_curve import RunCurve
from al_lightning.report.statistics import interval
from al_lightning.runs.learning_curve import labels_to

# Of one run: the label count that reached the target, or None; and the last label count.
Crossing = tuple[float | None, float]
# By method and target, the crossings by seed.
Crossings = Mapping[tuple[str, float], Mapping[int, Crossing]]

LABELS_COLUMNS = ("method", "target", "seeds", "reached", "mean", "half_width", "median", "last", "text")
SAVED_COLUMNS = ("method", "target", "seeds", "saved", "half_width", "share", "bound", "cost", "text")


# Round numbers, in the order in which a curve passes them.
_RISING = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
_FALLING = (5.0, 3.0, 2.0, 1.5, 1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
_STEPS = (0.1, 0.01, 0.001)  # where a curve passes none of them
_CHOSEN = 3


def round_targets(runs: Sequence[RunCurve], end: float, measure: Measure) -> tuple[float, ...]:
    """The last round numbers that some runs pass in mean, from their first label count to the end.

    Args:
        runs: of the reference; without runs there are no targets.
        end: label count, beyond which nothing counts; nan: the runs' own last ones.
        measure: that the curves are of.

    Returns:
        At most three, in rising order: of 10% to 99%, or 5 to 0.01 where less is better; where none of them is
        passed, of tenths, hundredths or thousandths.
    """
    if not runs:
        return ()
    last = [run.n_labeled[-1] if np.isnan(end) else min(end, run.n_labeled[-1]) for run in runs]
    at_end = np.mean([np.interp(x, run.n_labeled, run.values) for run, x in zip(runs, last, strict=True)])
    at_start = float(np.mean([run.values[0] for run in runs]))
    sign = -1 if measure.lower_is_better else 1
    for numbers in (_FALLING if measure.lower_is_better else _RISING, *(_multiples(step, at_start) for step in _STEPS)):
        passed = sorted((t for t in numbers if sign * at_start < sign * t <= sign * at_end), key=lambda t: sign * t)
        if passed:
            return tuple(sorted(passed[-_CHOSEN:]))
    return ()


def _multiples(step: float, near: float) -> list[float]:
    """Round numbers around a value, far enough for what the steps before have left."""
    first = round(near / step)
    return [round(step * (first + i), 3) for i in range(-101, 102)]


def crossings(runs: Sequence[RunCurve], targets: Sequence[float], measure: Measure) -> Crossings:
    """When each run first reaches each target; no two runs share method and seed."""
    sign = -1 if measure.lower_is_better else 1
    found: dict[tuple[str, float], dict[int, Crossing]] = {}
    for run in runs:
        signed = [sign * value for value in run.values]
        for target in targets:
            crossing = (labels_to(sign * target, run.n_labeled, signed), float(run.n_labeled[-1]))
            found.setdefault((run.method, target), {})[run.seed] = crossing
    return found


def labels_table(found: Crossings, methods: Sequence[str], targets: Sequence[float]) -> pd.DataFrame:
    """Labels to reach each target: a row a method and target.

    Columns: `seeds`, and how many of them `reached` it; `mean` and `half_width` of the 95% t interval where all did;
    `median` where more than half did and no other seed ended before it; `last`, the most labels of a seed that did
    not; `text` says it in words, or gives a lower bound of the median.
    """
    rows = [{"method": m, "target": t, **_labels(found[m, t].values())} for m in methods for t in targets]
    return pd.DataFrame(rows, columns=pd.Index(LABELS_COLUMNS))


def saved_table(
    found: Crossings,
    methods: Sequence[str],
    reference: str | None,
    targets: Sequence[float],
    cost_per_label: float | None,
) -> pd.DataFrame:
    """Labels saved against the reference by seed: a row a method (but not the reference) and target.

    Without a reference there are no rows.

    Columns: `seeds` that both have; mean of labels `saved` and `half_width` of its 95% t interval; `share` of the
    labels of the reference; `bound`: empty, or `at least`, `at most`, `unknown` where a run did not reach the
    target; `cost` of the labels saved; `text` says it in words.
    """
    rows = [
        {"method": m, "target": t, **_saved(found[m, t], found[reference, t], cost_per_label)}
        for m in methods
        if reference is not None and m != reference
        for t in targets
    ]
    return pd.DataFrame(rows, columns=pd.Index(SAVED_COLUMNS))


def _labels(runs: Collection[Crossing]) -> dict[str, Any]:
    reached = [labels for labels, _ in runs if labels is not None]
    ended = [last for labels, last in runs if labels is None]
    row = {"seeds": len(runs), "reached": len(reached), "mean": np.nan, "half_width": np.nan}
    # A seed that ended short of the median could still have been on either side of it.
    median = float(np.median([*reached, *[np.inf] * len(ended)]))
    known = bool(np.isfinite(median)) and all(last >= median for last in ended)
    row |= {"median": median if known else np.nan, "last": max(ended, default=np.nan)}
    count = f"{len(reached)} of {len(runs)} reached"
    if not ended:
        mean = interval(reached)
        return row | {"mean": mean.mean, "half_width": mean.half_width, "text": _plus_minus(mean.mean, mean.half_width)}
    if known:
        return row | {"text": f"median {median:.0f} ({count})"}
    bound = float(np.median([*reached, *ended]))
    return row | {"text": f"{'≥' if any(labels >= bound for labels in reached) else '>'} {bound:.0f} ({count})"}


def _saved(method: Mapping[int, Crossing], reference: Mapping[int, Crossing], price: float | None) -> dict[str, Any]:
    common = sorted(method.keys() & reference.keys())
    row = {"seeds": len(common), "saved": np.nan, "half_width": np.nan, "share": np.nan, "cost": np.nan}
    pairs = [(method[seed], reference[seed]) for seed in common]
    bounds = {_bound(ours[0], theirs[0]) for ours, theirs in pairs} - {""}
    if not common or "unknown" in bounds or len(bounds) > 1:
        return row | {"bound": "unknown", "text": "unknown" if common else "no common seed"}
    # A run that did not reach the target enters with its last count, which makes the difference a bound.
    ours, theirs = np.array([[last if labels is None else labels for labels, last in pair] for pair in pairs]).T
    saved, bound = interval(theirs - ours), "".join(bounds)
    half_width = np.nan if bound else saved.half_width
    share = saved.mean / float(theirs.mean())
    text = f"{bound} {_plus_minus(saved.mean, half_width)} ({share:.0%})".strip().replace("-", "−")
    cost = np.nan if price is None else saved.mean * price
    return row | {
        "saved": saved.mean,
        "half_width": half_width,
        "share": share,
        "bound": bound,
        "cost": cost,
        "text": text,
    }


def _bound(ours: float | None, theirs: float | None) -> str:
    if ours is None:
        return "unknown" if theirs is None else "at most"
    return "at least" if theirs is None else ""


def _plus_minus(mean: float, half_width: float) -> str:
    return f"{mean:.0f}" if np.isnan(half_width) else f"{mean:.0f} ± {half_width:.0f}"
