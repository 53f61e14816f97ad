"""What keeps a comparison from meaning what it seems to say."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from al_lightning.report.compare import ACCURACY, Comparison
from al_lightning.report.details import Details
from al_lightning.report.measures import MEASURES
from al_lightning.report.runs import leaves, read_config
from al_lightning.runs.learning_curve import learns_nothing
from al_lightning.words import listed

FAILED_FITS = 0.05  # share of a method's fits from which on it is cautioned against
MISLEADING = 0.1  # between accuracy and balanced accuracy
FEW = 4  # runs that are named one by one
VERDICTS = ("better", "worse", "undecided")
_BALANCED = MEASURES["balanced_acc"].column


def cautions(comparison: Comparison, details: Details) -> list[str]:
    """Sentences that belong beside the headline; none where all is well.

    Args:
        comparison: of one setting.
        details: what its runs have left besides their rounds.
    """
    return [
        *_failed_fits(comparison),
        *_nothing_learned(comparison, details),
        *_misleading(comparison, details),
        *_balanced_for_nothing(comparison),
        *_stopped(comparison),
        *_by_control(comparison),
    ]


def _failed_fits(comparison: Comparison) -> list[str]:
    rows = comparison.fits.loc[comparison.fits["failed"] >= np.maximum(1, FAILED_FITS * comparison.fits["fits"])]
    if rows.empty:
        return []
    which = [f"{row['method']} {row['failed']} of {row['fits']}" for row in rows.to_dict("records")]
    return [f"Fits failed: {', '.join(which)} did not learn their labeled images. A fit that failed is not a result."]


def _nothing_learned(comparison: Comparison, details: Details) -> list[str]:
    n_classes, runs, why = len(details.classes), [], ""
    if n_classes < 2 or comparison.rounds.empty:
        return []
    have = _BALANCED in comparison.rounds and comparison.rounds[_BALANCED].notna().to_numpy().all()
    column = _BALANCED if have else ACCURACY.column
    for _, rows in comparison.rounds.groupby("folder", sort=False):
        method, seed = rows["method"].iloc[0], rows["seed"].iloc[0]
        if size := details.test_size(method):
            rows = rows.sort_values("round")
            if reason := learns_nothing(rows["n_labeled"].to_list(), rows[column].to_list(), n_classes, size):
                runs.append(f"{method} seed {seed}")
                why = why or reason
    if not runs:
        return []
    return [f"{_few(runs)} learned nothing ({runs[0]}: {why}). What is said of them is noise."]


def _misleading(comparison: Comparison, details: Details) -> list[str]:
    if comparison.measure != ACCURACY.column or _BALANCED not in comparison.rounds or comparison.rounds.empty:
        return []
    last = comparison.rounds.sort_values("n_labeled").groupby("folder").tail(1)
    plain, balanced = last[[ACCURACY.column, _BALANCED]].to_numpy(float).mean(0)
    if not plain - balanced >= MISLEADING:
        return []
    said = f"Accuracy misleads here: in the end it is {plain:.2f}, balanced over the classes {balanced:.2f}"
    if details.confusion:
        of_class = np.sum([matrix.sum(1) for matrix in details.confusion.values()], axis=0)
        name = details.classes[int(of_class.argmax())] if len(details.classes) == len(of_class) else "one class"
        said += f"; {of_class.max() / of_class.sum():.1%} of the test images are {name}"
    return [f"{said}. Use --measure balanced_acc."]


def _balanced_for_nothing(comparison: Comparison) -> list[str]:
    runs = [*comparison.rounds["folder"][:1], *comparison.one_shot["folder"][:1]]
    try:  # runs of a setting have that in common
        balanced = any(dict(leaves(read_config(Path(run)))).get("al.initial") == "balanced" for run in runs)
    except (OSError, ValueError, TypeError, yaml.YAMLError):  # it was there when the rounds were read
        return []
    said = "The initial set was balanced by labels that nobody paid for (al.initial=balanced)."
    return [said] if balanced else []


def _stopped(comparison: Comparison) -> list[str]:
    """Of every rule, the runs that it has ended, or would have, where they first were so far, and why."""
    rounds = comparison.rounds
    if "stop/reason" not in rounds:
        return []
    found: dict[tuple[str, bool], list[tuple[str, str]]] = {}  # by rule, and whether it acted: runs and reasons
    for _, rows in rounds.dropna(subset=["stop/reason"]).groupby("folder", sort=False):
        first: dict[str, tuple[str, bool, str]] = {}
        for row in rows.sort_values("round").to_dict("records"):
            for each in str(row["stop/reason"]).split("; "):
                rule, _, reason = each.partition(": ")
                where = f"{_run(row)} at {row['n_labeled']} labels"
                first.setdefault(rule, (where, row.get("stop/act") == rule, reason))
        for rule, (where, acted, reason) in first.items():
            found.setdefault((rule, acted), []).append((where, reason))
    return [
        f"{rule} {'stopped' if acted else 'would have stopped'} {_few([where for where, _ in runs])} "
        f"({f'{runs[0][0]}: ' if len(runs) > 1 else ''}{runs[0][1]})."
        for (rule, acted), runs in found.items()
    ]


def _by_control(comparison: Comparison) -> list[str]:
    """The last verdict of every run with `al.control`: of many, how many of each there are."""
    rounds = comparison.rounds
    if "control/verdict" not in rounds:
        return []
    last = rounds.dropna(subset=["control/verdict"]).sort_values("round").groupby("folder", sort=False).tail(1)
    if last.empty:
        return []
    rows = last.sort_values(["method", "seed"]).to_dict("records")
    if len(rows) <= FEW:
        bounds = [f"{100 * row['control/lower']:+.1f} to {100 * row['control/upper']:+.1f} points" for row in rows]
        said = [f"{_run(row)} {row['control/verdict']} ({b})" for row, b in zip(rows, bounds, strict=True)]
    else:
        verdicts = last.groupby("method", sort=True)["control/verdict"]
        said = [
            f"{method} {', '.join(f'{(of == verdict).sum()} {verdict}' for verdict in VERDICTS)}"
            for method, of in verdicts
        ]
    return [
        f"Heads on chosen labels against heads on equally many random ones (al.control): {'; '.join(said)}. "
        "Of each run by itself, at 95%, over the rounds so far."
    ]


def _run(row: dict[Any, Any]) -> str:
    return f"{row['method']} seed {row['seed']}"


def _few(runs: list[str]) -> str:
    """A list of runs; of many the first three."""
    return listed([*runs[:3], f"{len(runs) - 3} more"] if len(runs) > FEW else runs)
