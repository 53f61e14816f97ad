"""Every two methods against each other, seed by seed."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from al_lightning.report.run_curve import RunCurve
from al_lightning.report.statistics import ALPHA, holm, paired_all, paired_columns

PAIRS_COLUMNS = ("a", "b", "seeds", "difference", "low", "high", "p", "p_holm", "spread")


def pairs_table(areas: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Paired t-tests on the whole area of two methods each, over the seeds that both have.

    Args:
        areas: `method, seed, whole`, a row a run.
        pairs: of methods, the family of tests that Holm's method adjusts for.

    Returns:
        A row a pair: `a, b, seeds`; mean `difference` a - b with its 95% t interval `low` to `high`, which is not
        adjusted; `p`, and `p_holm` over all pairs that have a p; `spread` of the difference by seed. nan where there
        are too few seeds, see :class:`al_lightning.report.statistics.Paired`.
    """
    by_seed = {str(method): rows.set_index("seed")["whole"] for method, rows in areas.groupby("method")}
    nothing = pd.Series(dtype=float)
    differences = []
    for a, b in pairs:
        ours, theirs = by_seed.get(a, nothing), by_seed.get(b, nothing)
        common = ours.index.intersection(theirs.index).sort_values()
        differences.append(np.asarray(ours[common], dtype=float) - np.asarray(theirs[common], dtype=float))
    tests = paired_all(differences)
    rows = [
        (a, b, t.n, t.difference, t.difference - t.half_width, t.difference + t.half_width, t.p, p_holm, t.spread)
        for (a, b), t, p_holm in zip(pairs, tests, holm([test.p for test in tests]), strict=True)
    ]
    return pd.DataFrame(rows, columns=pd.Index(PAIRS_COLUMNS))


def all_pairs(methods: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    """Every two methods, in their order; the reference is the second of every pair that it is in."""
    return [(b, a) if a == reference else (a, b) for a, b in combinations(methods, 2)]


def penalty_matrix(
    runs: Sequence[RunCurve], methods: Sequence[str], start: float, end: float, lower_is_better: bool
) -> tuple[pd.DataFrame, list[int]]:
    """Count the budgets at which one method beats another: paired t-test at 0.05, not adjusted for their number.

    (The pairwise penalty matrix of Ash et al. 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
    Bounds".)

    Args:
        runs: that take part; no two share method and seed.
        methods: rows and columns, in order.
        start: labels of the first budget that may count.
        end: labels of the last.
        lower_is_better: of the measure that the curves are of.

    Returns:
        How often the row's method beats the column's; and for every pair with two common seeds the number of
        budgets, which are the label counts that all of its runs have.
    """
    points = {
        method: {
            run.seed: {x: y for x, y in zip(run.n_labeled, run.values, strict=True) if start <= x <= end}
            for run in runs
            if run.method == method
        }
        for method in methods
    }
    shared = {
        method: set.intersection(*(set(curve) for curve in curves.values())) if curves else set()
        for method, curves in points.items()
    }
    wins = pd.DataFrame(0, index=pd.Index(methods), columns=pd.Index(methods))
    budgets = []
    for a, b in combinations(methods, 2):
        seeds, labels = points[a].keys() & points[b].keys(), sorted(shared[a] & shared[b])
        if len(seeds) < 2:
            continue
        ours, theirs = (np.array([[points[m][s][x] for x in labels] for s in sorted(seeds)]) for m in (a, b))
        gain, p = paired_columns(theirs - ours if lower_is_better else ours - theirs)
        wins.loc[a, b] = int(((p < ALPHA) & (gain > 0)).sum())
        wins.loc[b, a] = int(((p < ALPHA) & (gain < 0)).sum())
        budgets.append(len(labels))
    return wins, budgets
