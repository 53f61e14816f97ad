"""What the runs of a setting say when held against each other, by :data:`al_lightning.report.rules.RULES`."""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from al_lightning.errors import DataError
from al_lightning.report.bounds import REFERENCE, bounds_table, ceilings, left_to_win
from al_lightning.report.measures import BY_COLUMN, MEASURES, Measure
from al_lightning.report.notes import range_notes, seed_notes
from al_lightning.report.pairs import all_pairs, pairs_table, penalty_matrix
from al_lightning.report.run_curve import RunCurve, curves_of
from al_lightning.report.runs import OF_QUERYING
from al_lightning.report.statistics import area, interval
from al_lightning.report.targets import crossings, labels_table, round_targets, saved_table
from al_lightning.report.verdict import headline, verdicts_table
from al_lightning.words import counted

ACCURACY = MEASURES["acc"]


@dataclass(frozen=True)
class Comparison:
    """The runs of one setting held against each other. Numbers that cannot be had are nan.

    Attributes:
        setting: what the runs have in common.
        rounds: rows of the active learning runs as :func:`al_lightning.report.load` gives them, each run once.
        one_shot: rows of the runs that trained once, each size and seed once.
        methods: the reference first, then by name, those that are not attainable last.
        beyond: those that are not attainable: they take no part in verdicts, pairs and penalties, nor in the range.
        reference: `random` where there is such a method.
        measure: the column of `rounds` that areas, targets and verdicts are of.
        start: labels at which the areas begin; nan where no run takes part, likewise the next two.
        early_end: labels at which the early areas end.
        end: labels at which the whole areas end.
        targets: values of the measure, each reached by some run.
        cost_per_label: money, in any currency.
        notes: how the rules applied here, in sentences.
        headline: the answer in a sentence or three.
        areas: `method, seed, whole, early`, a row a run that takes part.
        aubc: `method, seeds, whole, whole_half_width, early, early_half_width`, a row a method.
        labels_to: see :func:`al_lightning.report.targets.labels_table`.
        saved: see :func:`al_lightning.report.targets.saved_table`; empty without a reference.
        verdicts: a row a method but the reference, see :func:`al_lightning.report.verdict.verdicts_table`; `verdict`
            is `better`, `worse`, `not distinguishable` or `unknown`.
        pairs: every two methods, see :func:`al_lightning.report.pairs.pairs_table`.
        penalty: see :func:`al_lightning.report.pairs.penalty_matrix`.
        bounds: see :func:`al_lightning.report.bounds.bounds_table`; empty without a ceiling.
        fits: `method, failed, fits`, a row a method: fits that are said to have failed, of those that say.
    """

    setting: str
    rounds: pd.DataFrame
    one_shot: pd.DataFrame
    methods: tuple[str, ...]
    beyond: tuple[str, ...]
    reference: str | None
    measure: str
    start: float
    early_end: float
    end: float
    targets: tuple[float, ...]
    cost_per_label: float | None
    notes: tuple[str, ...]
    headline: str
    areas: pd.DataFrame
    aubc: pd.DataFrame
    labels_to: pd.DataFrame
    saved: pd.DataFrame
    verdicts: pd.DataFrame
    pairs: pd.DataFrame
    penalty: pd.DataFrame
    bounds: pd.DataFrame
    fits: pd.DataFrame

    @property
    def lower_is_better(self) -> bool:
        """Whether less of the measure is better."""
        return BY_COLUMN[self.measure].lower_is_better

    @property
    def ranked(self) -> tuple[str, ...]:
        """The methods by result, best first; those without one last, and behind them those that are not attainable."""
        ranked = self.aubc.sort_values("whole", ascending=self.lower_is_better, kind="stable", na_position="last")
        return tuple(sorted(ranked["method"], key=self.beyond.__contains__))


def compare(
    rounds: pd.DataFrame,
    targets: Sequence[float] | None = None,
    cost_per_label: float | None = None,
    measure: Measure = ACCURACY,
) -> list[Comparison]:
    """Compare the methods of every setting by :data:`al_lightning.report.rules.RULES`.

    Args:
        rounds: as :func:`al_lightning.report.load` gives them, in any order.
        targets: values of the measure, for labels to a target and labels saved; None: what follows from the reference.
        cost_per_label: money that a label costs.
        measure: what areas, targets and verdicts are of.

    Returns:
        One a setting, in order of their names. A setting that has only runs which trained once has no methods.

    Raises:
        DataError: no run has the measure.
    """
    if measure.column not in rounds or rounds[measure.column].isna().to_numpy().all():
        have = [
            name
            for name, each in MEASURES.items()
            if each.column in rounds and rounds[each.column].notna().to_numpy().any()
        ]
        raise DataError(f"no run has {measure.column} in its rounds.csv; choose --measure among {', '.join(have)}")
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
            targets,
            cost_per_label,
            measure,
        )
        for setting in sorted(settings | alone, key=_natural)
    ]


def _compare(
    setting: str,
    rounds: pd.DataFrame,
    one_shot: pd.DataFrame,
    targets: Sequence[float] | None,
    cost_per_label: float | None,
    measure: Measure,
) -> Comparison:
    runs, notes = _once(curves_of(rounds, measure.column), lambda run: (run.method, run.seed))
    trained_once, _ = _once(curves_of(one_shot, measure.column), lambda run: (run.n_labeled[0], run.seed))
    if without := sorted(set(rounds["folder"]) - set(rounds.dropna(subset=[measure.column])["folder"])):
        notes.append(f"{', '.join(without)}: left out: no {measure.column}.")
    names = {run.method for run in runs}
    reference = REFERENCE if REFERENCE in names else None
    beyond = ceilings(rounds)
    methods = tuple(sorted(names, key=lambda name: (name in beyond, name != reference, _natural(name))))
    rivals = [method for method in methods if method not in beyond]
    racing = [run for run in runs if run.method in rivals] or runs
    start, end = _range(racing)
    early_end = start + (end - start) / 4
    part = [run for run in runs if run.n_labeled[-1] >= end >= start >= run.n_labeled[0]]
    areas = _areas(part, start, early_end, end)
    aubc = _aubc(areas, methods)
    against = pairs_table(areas, [(method, reference) for method in rivals if reference and method != reference])
    mean = float(aubc["whole"].iloc[0]) if reference else np.nan
    verdicts = verdicts_table(against, measure, mean, f"{start:,.0f} to {end:,.0f}")
    bounds = bounds_table(areas, methods, reference, beyond, measure)
    penalty, budgets = penalty_matrix(part, rivals, start, end, measure.lower_is_better)
    if targets is None:
        targets = round_targets([run for run in racing if reference in (None, run.method)], end, measure)
    found = crossings(runs, targets, measure)
    reached = tuple(
        t for t in targets if any(labels is not None for m in methods for labels, _ in found[m, t].values())
    )
    notes += range_notes(runs, methods, start, end) + seed_notes(part, methods, reference, budgets)
    if runs and (missed := [measure.text(target) for target in targets if target not in reached]):
        notes.append(f"No run reached {', '.join(missed)}.")
    kept = rounds.loc[rounds["folder"].isin([run.folder for run in runs])].reset_index(drop=True)
    return Comparison(
        setting=setting,
        rounds=kept,
        one_shot=one_shot.loc[one_shot["folder"].isin([run.folder for run in trained_once])].reset_index(drop=True),
        methods=methods,
        beyond=tuple(method for method in methods if method in beyond),
        reference=reference,
        measure=measure.column,
        start=start,
        early_end=early_end,
        end=end,
        targets=reached,
        cost_per_label=cost_per_label,
        notes=tuple(notes),
        headline=f"{headline(verdicts, reference, len(methods), measure)} {left_to_win(bounds, reference)}".strip(),
        areas=areas,
        aubc=aubc,
        labels_to=labels_table(found, methods, reached),
        saved=saved_table(found, methods, reference, reached, cost_per_label),
        verdicts=verdicts,
        pairs=pairs_table(areas, all_pairs(rivals, reference)),
        penalty=penalty,
        bounds=bounds,
        fits=_fits(kept, methods),
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
    """Labels at which the areas begin and end; see the rules."""
    if not runs:
        return np.nan, np.nan
    most: dict[str, float] = {}
    for run in [run for run in runs if run.state == "finished"] or runs:
        most[run.method] = max(run.n_labeled[-1], most.get(run.method, 0))
    end = min(most.values())
    return max(run.n_labeled[0] for run in runs if run.n_labeled[-1] >= end), end


def _areas(runs: Sequence[RunCurve], start: float, early_end: float, end: float) -> pd.DataFrame:
    rows = [
        (run.method, run.seed, *(area(run.n_labeled, run.values, start, stop) for stop in (end, early_end)))
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


def _fits(rounds: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """How many fits failed, of those that say; runs of an older version do not."""
    said = rounds.dropna(subset=["fit/ok"]) if "fit/ok" in rounds else rounds.iloc[:0].assign(**{"fit/ok": True})
    rows = []
    for method in methods:
        own = said.loc[said["method"] == method]
        fine = own["fit/ok"].to_numpy(bool)
        if "fit/members_failed" in own:  # of a committee, whose samples chose
            fine &= own["fit/members_failed"].fillna(0).to_numpy(float) == 0
        rows.append((method, int((~fine).sum()), len(fine)))
    return pd.DataFrame(rows, columns=pd.Index(("method", "failed", "fits")))


def _without_queries(setting: str) -> str:
    parts = setting.split(", ")
    return ", ".join(part for part in parts if part.partition("=")[0] not in OF_QUERYING)


def _natural(text: str) -> tuple[list[str | float], str]:
    """Sorts `k=9` before `k=10`."""
    return [float(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", text))], text
