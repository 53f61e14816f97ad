"""Every two methods against each other, seed by seed; and what that says of each method against the reference."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report.run_curve import RunCurve
from al_lightning.report.statistics import ALPHA, Paired, detectable, holm, paired, paired_columns, seeds_needed

PAIRS_COLUMNS = (
    *("a", "b", "seeds", "difference", "low", "high"),
    *("p", "p_holm", "detectable", "more_seeds"),
)
MOST_SEEDS = 1000  # more than that nobody will run


def pairs_table(areas: pd.DataFrame, methods: Sequence[str], reference: str | None) -> pd.DataFrame:
    """Paired t-tests on the whole area of every two methods, over the seeds that both have.

    Args:
        areas: `method, seed, whole`, a row a run.
        methods: in the order of the pairs.
        reference: the second of every pair that it is in.

    Returns:
        A row a pair: `a, b, seeds`; mean `difference` a - b with its 95% t interval `low` to `high`; `p`, and `p_holm`
        over all pairs that have a p; `detectable`, the smallest true difference that so many seeds find with 80%
        power at the strictest of Holm's levels, if the spread is the one seen; `more_seeds` that would find the
        difference seen, None above 1,000. nan where there are too few seeds.
    """
    by_seed = {str(method): rows.set_index("seed")["whole"] for method, rows in areas.groupby("method")}
    nothing = pd.Series(dtype=float)
    named: list[tuple[str, str]] = []
    tests: list[Paired] = []
    for first, second in combinations(methods, 2):
        a, b = (second, first) if first == reference else (first, second)
        ours, theirs = by_seed.get(a, nothing), by_seed.get(b, nothing)
        common = ours.index.intersection(theirs.index).sort_values()
        named.append((a, b))
        tests.append(paired(ours[common], theirs[common]))
    level = ALPHA / max(1, sum(test.n > 1 for test in tests))
    table = pd.DataFrame(
        [
            {
                "a": a,
                "b": b,
                "seeds": test.n,
                "difference": test.difference,
                "low": test.difference - test.half_width,
                "high": test.difference + test.half_width,
                "p": test.p,
                "p_holm": p_holm,
                "detectable": detectable(test.n, level) * test.spread if test.n > 1 else np.nan,
            }
            for (a, b), test, p_holm in zip(named, tests, holm([test.p for test in tests]), strict=True)
        ],
        columns=pd.Index(PAIRS_COLUMNS[:-1]),
    )
    table["more_seeds"] = pd.Series([_more_seeds(test, level) for test in tests], dtype=object)
    return table


def penalty_matrix(
    runs: Sequence[RunCurve], methods: Sequence[str], start: float, end: float
) -> tuple[pd.DataFrame, list[int]]:
    """Count the budgets at which one method beats another: paired t-test at 0.05, not corrected for their number.

    (The pairwise penalty matrix of Ash et al. 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
    Bounds".)

    Args:
        runs: that take part; no two share method and seed.
        methods: rows and columns, in order.
        start: labels of the first budget that may count.
        end: labels of the last.

    Returns:
        How often the row's method beats the column's; and for every pair with two common seeds the number of
        budgets, which are the label counts that all of its runs have.
    """
    points = {
        method: {
            run.seed: {x: y for x, y in zip(run.n_labeled, run.accuracy, strict=True) if start <= x <= end}
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
        difference, p = paired_columns(ours - theirs)
        wins.loc[a, b] = int(((p < ALPHA) & (difference > 0)).sum())
        wins.loc[b, a] = int(((p < ALPHA) & (difference < 0)).sum())
        budgets.append(len(labels))
    return wins, budgets


def verdicts_table(pairs: pd.DataFrame, reference: str | None, start: float, end: float) -> pd.DataFrame:
    """What the pairs say of each method against the reference: a row a method, `method, verdict, sentence`.

    Args:
        pairs: see :func:`pairs_table`.
        reference: its name; None: nothing can be said.
        start: labels at which the areas begin.
        end: labels at which they end.
    """
    tested = len(pairs.dropna(subset=["p"]))
    rows = [
        dict(zip(("method", "verdict", "sentence"), _verdict(row, tested, f"{start:.0f} to {end:.0f}"), strict=True))
        for row in pairs.to_dict("records")
        if row["b"] == reference
    ]
    return pd.DataFrame(rows, columns=pd.Index(("method", "verdict", "sentence")))


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _verdict(row: Mapping[Any, Any], tested: int, span: str) -> tuple[str, str, str]:
    method, reference, seeds = row["a"], row["b"], row["seeds"]
    if seeds == 0:
        why = f"no seed whose runs cover {span} labels is also one of {reference}'s, so no verdict."
        return method, "unknown", f"{method}: {why}"
    if seeds == 1:
        why = f"one seed, so no interval and no verdict: AUBC {row['difference']:+.4f} against {reference}."
        return method, "unknown", f"{method}: {why}"
    figures = (
        f"AUBC {row['difference']:+.4f} (95% interval {row['low']:.4f} to {row['high']:.4f}; {_p(row['p_holm'])} "
        f"after Holm over {counted(tested, 'pair')}; {counted(seeds, 'seed')})."
    )
    if row["p_holm"] < ALPHA:
        verdict = "better" if row["difference"] > 0 else "worse"
        return method, verdict, f"{method}: {verdict} than {reference}: {figures}"
    sentence = f"{method}: not distinguishable from {reference}: {figures}"
    if row["detectable"] > 0:  # else the runs of every seed have the same area
        sentence += (
            f" With {counted(seeds, 'seed')} a difference of {row['detectable']:.2g} would have been found "
            f"(80% power); {_more(row['more_seeds'])} would find one of the size seen."
        )
    return method, "not distinguishable", sentence


def _more_seeds(test: Paired, level: float) -> int | None:
    if test.n < 2:
        return None
    if test.spread == 0:
        return 0 if test.p < ALPHA else None
    needed = seeds_needed(test.difference / test.spread, level, test.n + MOST_SEEDS)
    return None if needed is None else max(0, needed - test.n)


def _more(seeds: int | None) -> str:
    return f"not even {MOST_SEEDS:,} more seeds" if seeds is None else f"about {counted(seeds, 'more seed')}"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3g}"
