"""What the runs of a setting say when held against each other, by rules that are printed with it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from al_lightning.report.pairs import pairs_table, penalty_matrix, verdicts_table
from al_lightning.report.statistics import area, interval
from al_lightning.report.targets import SAVED_COLUMNS, crossings, labels_table, saved_table

REFERENCE = "random"
TARGETS = (0.90, 0.95, 0.97, 0.99)

RULES: tuple[str, ...] = (
    "Runs are compared within a setting: same data set, and same settings outside of the strategy. A method is a "
    "strategy with those of its own settings that differ.",
    "A run given twice counts once. Of two runs of one method and seed, the one with more rounds counts.",
    "AUBC is the area under the curve of test accuracy against labels (trapezoids) divided by its range of labels. The "
    "range begins at the largest first label count of the runs that take part and ends at the smallest, over methods, "
    "of the most labels that a finished run of the method has; methods without a finished run do not bind it, and "
    "where no run has finished all runs count. Early is its first quarter. Curves are cut there by straight lines.",
    "Runs that have not reached the end of the range are left out of AUBC, pairs, verdicts and penalties, and named. "
    "Curves and labels to a target use all runs.",
    "± and intervals are 95% t intervals over seeds, each for itself: they are not widened for the number of pairs. "
    "One seed has no interval, no p and no verdict.",
    "Two methods are compared over the seeds that both have.",
    "Labels to a target: the first crossing of each run's curve, straight between rounds; a run that starts above the "
    "target counts with its first label count. A run that never reached it is censored at its last label count: then "
    "there is no mean, and a median only where more than half of the seeds reached the target and no other seed ended "
    "before the median.",
    "Labels saved: labels of the reference less those of the method, by seed. Where the reference did not reach the "
    "target its last label count stands for it and the figure is a lower bound (at least), where the method did not "
    "an upper one (at most); where both happened it is unknown. Bounds have no interval. The share is of the labels "
    "of the reference.",
    "Verdict: two-sided paired t-test on AUBC by seed, p adjusted by Holm for all pairs of the setting, level 0.05. "
    "Without any spread p is 1 for a difference of zero, else 0.",
    "The difference that would have been found is the smallest true one that so many seeds find with 80% power at the "
    "strictest of Holm's levels (0.05 / pairs). It, and the number of more seeds, take the spread seen for the true "
    "one, which few seeds know only roughly.",
    "Penalty matrix: the number of label counts, of those that all runs of two methods have in the range, at which the "
    "row's method beats the column's (paired t-test at 0.05, not corrected for their number; at least 2 common seeds).",
)


@dataclass(frozen=True)
class Comparison:
    """The runs of one setting held against each other. Numbers that cannot be had are nan.

    Attributes:
        setting: what the runs have in common.
        rounds: rows of the active learning runs as :func:`al_lightning.report.load` gives them, each run once.
        one_shot: rows of the runs that trained once, each size and seed once.
        methods: the reference first, then by name.
        reference: `random` where there is such a method.
        start: labels at which the areas begin; nan where no run takes part, likewise the next two.
        early_end: labels at which the early areas end.
        end: labels at which the whole areas end.
        targets: accuracies.
        cost_per_label: money, in any currency.
        notes: how the rules applied here, in sentences.
        areas: `method, seed, whole, early`, a row a run that takes part.
        aubc: `method, seeds, whole, whole_half_width, early, early_half_width`, a row a method.
        labels_to: see :func:`al_lightning.report.targets.labels_table`.
        saved: see :func:`al_lightning.report.targets.saved_table`; empty without a reference.
        pairs: see :func:`al_lightning.report.pairs.pairs_table`.
        penalty: see :func:`al_lightning.report.pairs.penalty_matrix`.
        verdicts: `method, verdict, sentence`, a row a method but the reference; `verdict` is `better`, `worse`,
            `not distinguishable` or `unknown`.
    """

    setting: str
    rounds: pd.DataFrame
    one_shot: pd.DataFrame
    methods: tuple[str, ...]
    reference: str | None
    start: float
    early_end: float
    end: float
    targets: tuple[float, ...]
    cost_per_label: float | None
    notes: tuple[str, ...]
    areas: pd.DataFrame
    aubc: pd.DataFrame
    labels_to: pd.DataFrame
    saved: pd.DataFrame
    pairs: pd.DataFrame
    penalty: pd.DataFrame
    verdicts: pd.DataFrame


def compare(
    rounds: pd.DataFrame, targets: Sequence[float] = TARGETS, cost_per_label: float | None = None
) -> list[Comparison]:
    """Compare the methods of every setting by :data:`RULES`.

    Args:
        rounds: as :func:`al_lightning.report.load` gives them, in any order.
        targets: accuracies, for labels to a target and labels saved.
        cost_per_label: money that a label costs.

    Returns:
        One a setting, in order of their names. A setting that has only runs which trained once has no methods.
    """
    rounds = rounds.drop_duplicates(["folder", "round"]).sort_values(["folder", "round"])
    active, single = rounds[~rounds["one_shot"]], rounds[rounds["one_shot"]]
    settings = set(active["setting"])
    # A run that never queries is the baseline of every initial and query size.
    alone = set(single["setting"]) - {_without_sizes(setting) for setting in settings}
    return [
        _compare(
            setting,
            active[active["setting"] == setting],
            single[single["setting"] == (setting if setting in alone else _without_sizes(setting))],
            tuple(targets),
            cost_per_label,
        )
        for setting in sorted(settings | alone, key=_natural)
    ]


def _compare(
    setting: str,
    rounds: pd.DataFrame,
    one_shot: pd.DataFrame,
    targets: tuple[float, ...],
    cost_per_label: float | None,
) -> Comparison:
    rounds, notes = _once(rounds, ["method", "seed"])
    one_shot, _ = _once(one_shot, ["n_labeled", "seed"])
    reference = REFERENCE if (rounds["method"] == REFERENCE).any() else None
    methods = tuple(sorted(rounds["method"].unique(), key=lambda name: (name != reference, _natural(name))))
    runs = rounds.groupby(["method", "seed"], as_index=False).agg(
        folder=("folder", "first"), state=("state", "first"), first=("n_labeled", "min"), last=("n_labeled", "max")
    )
    end = _end(runs)
    part = runs[runs["last"] >= end]
    start = float(part["first"].max()) if len(part) else np.nan
    notes += _range_notes(runs, methods, start, end)
    if start > end:
        part = part.iloc[:0]
    early_end = start + (end - start) / 4
    taking_part = rounds[rounds["folder"].isin(part["folder"])]
    areas = _areas(taking_part, start, early_end, end)
    pairs = pairs_table(areas, methods, reference)
    penalty, budgets = penalty_matrix(taking_part[taking_part["n_labeled"].between(start, end)], methods)
    notes += _seed_notes(part, methods, reference, budgets)
    found = crossings(rounds, targets)
    return Comparison(
        setting=setting,
        rounds=rounds.reset_index(drop=True),
        one_shot=one_shot.reset_index(drop=True),
        methods=methods,
        reference=reference,
        start=start,
        early_end=early_end,
        end=end,
        targets=targets,
        cost_per_label=cost_per_label,
        notes=tuple(notes),
        areas=areas,
        aubc=_aubc(areas, methods),
        labels_to=labels_table(found, methods, targets),
        saved=saved_table(found, methods, reference, targets, cost_per_label)
        if reference
        else pd.DataFrame(columns=pd.Index(SAVED_COLUMNS)),
        pairs=pairs,
        penalty=penalty,
        verdicts=verdicts_table(pairs, reference, start, end),
    )


def _once(rounds: pd.DataFrame, key: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows of one run a key: the one with most rounds; finished before others, then by path. And notes."""
    runs = rounds.groupby("folder", as_index=False).agg(
        method=("method", "first"),
        seed=("seed", "first"),
        n_labeled=("n_labeled", "first"),
        rounds=("round", "size"),
        unfinished=("state", lambda state: state.iloc[0] != "finished"),
    )
    runs = runs.sort_values(["rounds", "unfinished", "folder"], ascending=[False, True, True])
    kept = runs.drop_duplicates(key)
    notes = [
        f"{row.method}, seed {row.seed}: {row.folder} does not count, another run of it has as many rounds or more."
        for row in runs.drop(kept.index).itertuples()
    ]
    return rounds[rounds["folder"].isin(kept["folder"])], notes


def _end(runs: pd.DataFrame) -> float:
    finished = runs[runs["state"] == "finished"]
    return float((finished if len(finished) else runs).groupby("method")["last"].max().min())


def _areas(rounds: pd.DataFrame, start: float, early_end: float, end: float) -> pd.DataFrame:
    rows = []
    for (method, seed), run in rounds.groupby(["method", "seed"]):
        labels, accuracy = run["n_labeled"].to_list(), run["test/acc"].to_list()
        whole, early = (area(labels, accuracy, start, stop) for stop in (end, early_end))
        rows.append({"method": method, "seed": seed, "whole": whole, "early": early})
    return pd.DataFrame(rows, columns=pd.Index(("method", "seed", "whole", "early")))


def _aubc(areas: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    rows = []
    for method in methods:
        of_method = areas[areas["method"] == method]
        row: dict[str, object] = {"method": method, "seeds": len(of_method)}
        for name in ("whole", "early"):
            mean = interval(of_method[name])
            row |= {name: mean.mean, f"{name}_half_width": mean.half_width}
        rows.append(row)
    columns = ("method", "seeds", "whole", "whole_half_width", "early", "early_half_width")
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _range_notes(runs: pd.DataFrame, methods: Sequence[str], start: float, end: float) -> list[str]:
    if runs.empty:
        return []
    if start > end:
        first = runs.loc[runs["first"] == start, "method"].iloc[0]
        return [f"{first} begins at {start:.0f} labels, where others have ended ({end:.0f}): nothing can be compared."]
    notes = [f"AUBC from {start:.0f} to {end:.0f} labels; early: to {start + (end - start) / 4:.0f}."]
    if runs["last"].max() > end:
        finished = (runs["state"] == "finished").any()
        notes.append(
            f"Some runs have up to {runs['last'].max():.0f} labels; what they did after {end:.0f}, the most that every "
            f"method has {'finished' if finished else 'reached so far'}, is in the curves only."
        )
    short = runs[runs["last"] < end]
    for method in methods:
        rows = short[short["method"] == method]
        if len(rows):
            which = ", ".join(f"seed {row.seed} ({row.state} at {row.last} labels)" for row in rows.itertuples())
            notes.append(
                f"{method}: left out of AUBC, pairs, verdicts and penalties, short of {end:.0f} labels: {which}."
            )
    return notes


def _seed_notes(part: pd.DataFrame, methods: Sequence[str], reference: str | None, budgets: list[int]) -> list[str]:
    notes = []
    if methods and reference is None:
        notes.append(f"There is no method {REFERENCE}, so no labels saved and no verdict against it.")
    seeds = {method: set(part.loc[part["method"] == method, "seed"]) for method in methods}
    everyone = set().union(*seeds.values())
    for method, own in seeds.items():
        if lacking := sorted(everyone - own):
            notes.append(f"{method}: no AUBC for {_seeds(lacking)}, which others have; pairs go by the seeds of both.")
        if len(own) == 1:
            notes.append(f"{method}: one seed, so no interval.")
    if budgets:
        least, most = min(budgets), max(budgets)
        notes.append(f"Penalty matrix: {least if least == most else f'{least} to {most}'} budgets a pair.")
    return notes


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def _without_sizes(setting: str) -> str:
    parts = setting.split(", ")
    return ", ".join(part for part in parts if not part.startswith(("al.initial_size=", "al.query_size=")))


def _natural(text: str) -> list[str | float]:
    """Sorts `k=9` before `k=10`."""
    return [float(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", text))]
