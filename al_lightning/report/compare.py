"""What the runs of a setting say when held against each other, by rules that are printed with it."""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from al_lightning.report.pairs import counted, pairs_table, penalty_matrix, verdicts_table
from al_lightning.report.run_curve import RunCurve, curves_of
from al_lightning.report.runs import OF_QUERYING
from al_lightning.report.statistics import area, interval
from al_lightning.report.targets import crossings, labels_table, saved_table

REFERENCE = "random"
TARGETS = (0.90, 0.95, 0.97, 0.99)

RULES: tuple[str, ...] = (
    "Runs are compared within a setting: same data set, and same settings outside of the strategy. A method is a "
    "strategy with those of its own settings that differ. Runs that train once and never query are no method; they are "
    "shown with every setting that differs from theirs only in how it queries.",
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
    "before the median. Where there is no median, > or ≥ gives its lower bound.",
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
    active, single = rounds.loc[~rounds["one_shot"]], rounds.loc[rounds["one_shot"]]
    settings = set(active["setting"])
    # A run that never queries is the baseline of every initial and query size.
    alone = set(single["setting"]) - {_without_queries(setting) for setting in settings}
    return [
        _compare(
            setting,
            active.loc[active["setting"] == setting],
            single.loc[single["setting"] == (setting if setting in alone else _without_queries(setting))],
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
    runs, notes = _once(curves_of(rounds), lambda run: (run.method, run.seed))
    trained_once, _ = _once(curves_of(one_shot), lambda run: (run.n_labeled[0], run.seed))
    names = {run.method for run in runs}
    reference = REFERENCE if REFERENCE in names else None
    methods = tuple(sorted(names, key=lambda name: (name != reference, _natural(name))))
    start, end = _range(runs)
    early_end = start + (end - start) / 4
    part = [run for run in runs if run.n_labeled[-1] >= end >= start]
    areas = _areas(part, start, early_end, end)
    pairs = pairs_table(areas, methods, reference)
    penalty, budgets = penalty_matrix(part, methods, start, end)
    found = crossings(runs, targets)
    notes += _range_notes(runs, methods, start, end) + _seed_notes(part, methods, reference, budgets)
    return Comparison(
        setting=setting,
        rounds=rounds.loc[rounds["folder"].isin([run.folder for run in runs])].reset_index(drop=True),
        one_shot=one_shot.loc[one_shot["folder"].isin([run.folder for run in trained_once])].reset_index(drop=True),
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
        saved=saved_table(found, methods, reference, targets, cost_per_label),
        pairs=pairs,
        penalty=penalty,
        verdicts=verdicts_table(pairs, reference, start, end),
    )


def _once(runs: list[RunCurve], key: Callable[[RunCurve], Hashable]) -> tuple[list[RunCurve], list[str]]:
    """One run a key: the one with most rounds; finished before others, then by path. And what was left out."""
    kept: dict[Hashable, RunCurve] = {}
    notes = []
    for run in sorted(runs, key=lambda run: (-len(run.n_labeled), run.state != "finished", run.folder)):
        if (first := kept.setdefault(key(run), run)) is not run:
            less, more = (counted(len(which.n_labeled), "round") for which in (run, first))
            notes.append(
                f"{run.method}, seed {run.seed}: {run.folder} ({less}) does not count, {first.folder} ({more}) does."
            )
    return sorted(kept.values(), key=lambda run: (run.method, run.seed)), notes


def _range(runs: Sequence[RunCurve]) -> tuple[float, float]:
    """Labels at which the areas begin and end; see :data:`RULES`."""
    if not runs:
        return np.nan, np.nan
    most: dict[str, float] = {}
    for run in [run for run in runs if run.state == "finished"] or runs:
        most[run.method] = max(run.n_labeled[-1], most.get(run.method, 0))
    end = min(most.values())
    return max(run.n_labeled[0] for run in runs if run.n_labeled[-1] >= end), end


def _areas(runs: Sequence[RunCurve], start: float, early_end: float, end: float) -> pd.DataFrame:
    rows = [
        (run.method, run.seed, *(area(run.n_labeled, run.accuracy, start, stop) for stop in (end, early_end)))
        for run in runs
    ]
    return pd.DataFrame(rows, columns=pd.Index(("method", "seed", "whole", "early")))


def _aubc(areas: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    rows = []
    for method in methods:
        of_method = areas.loc[areas["method"] == method]
        whole, early = interval(of_method["whole"]), interval(of_method["early"])
        rows.append((method, whole.n, whole.mean, whole.half_width, early.mean, early.half_width))
    columns = ("method", "seeds", "whole", "whole_half_width", "early", "early_half_width")
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _range_notes(runs: Sequence[RunCurve], methods: Sequence[str], start: float, end: float) -> list[str]:
    if not runs:
        return []
    if start > end:
        late = next(run for run in runs if run.n_labeled[0] == start)
        return [f"{late.method} begins at {start} labels, where others have ended ({end}): nothing can be compared."]
    notes = [f"AUBC from {start} to {end} labels; early: to {start + (end - start) / 4:g}."]
    if (most := max(run.n_labeled[-1] for run in runs)) > end:
        reached = "finished" if any(run.state == "finished" for run in runs) else "reached so far"
        notes.append(
            f"Some runs have up to {most} labels; what they did after {end}, the most that every method has {reached}, "
            "is in the curves only."
        )
    for method in methods:
        short = [run for run in runs if run.method == method and run.n_labeled[-1] < end]
        if short:
            which = ", ".join(f"seed {run.seed} ({run.state} at {run.n_labeled[-1]})" for run in short)
            notes.append(f"{method}: left out of AUBC, pairs, verdicts and penalties, short of {end} labels: {which}.")
    return notes


def _seed_notes(
    part: Sequence[RunCurve], methods: Sequence[str], reference: str | None, budgets: Sequence[int]
) -> list[str]:
    notes = []
    if methods and reference is None:
        notes.append(f"There is no method {REFERENCE}, so no labels saved and no verdict against it.")
    everyone = {run.seed for run in part}
    for method in methods:
        own = {run.seed for run in part if run.method == method}
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


def _without_queries(setting: str) -> str:
    parts = setting.split(", ")
    return ", ".join(part for part in parts if part.partition("=")[0] not in OF_QUERYING)


def _natural(text: str) -> tuple[list[str | float], str]:
    """Sorts `k=9` before `k=10`."""
    return [float(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", text))], text
