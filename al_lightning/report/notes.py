"""How the rules applied to the runs of a comparison, in sentences."""

from collections.abc import Sequence

from al_lightning.report.bounds import REFERENCE
from al_lightning.report.run_curve import RunCurve


def range_notes(runs: Sequence[RunCurve], methods: Sequence[str], start: float, end: float) -> list[str]:
    """Over which labels the areas are, and which runs they leave out."""
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
            notes.append(f"{method}: left out of AUBC, verdicts, pairs and penalties, short of {end} labels: {which}.")
    return notes


def seed_notes(
    part: Sequence[RunCurve], methods: Sequence[str], reference: str | None, budgets: Sequence[int]
) -> list[str]:
    """Which seeds are missing, and how many budgets the penalty matrix has."""
    notes = []
    if methods and reference is None:
        notes.append(f"There are no runs of {REFERENCE}, so no labels saved and no verdict.")
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
