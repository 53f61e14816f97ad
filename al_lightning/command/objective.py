"""What a job of a sweep tells of its run, and what a sweeper that optimizes is told: a validation measure."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from al_lightning.config import limits
from al_lightning.config.schema import ActiveLearning
from al_lightning.errors import ConfigError, UserError

AUBC = "aubc"  # of val/acc


def is_lower_better(objective: str) -> bool:
    """Whether the best of an objective is its least value."""
    return objective in ("val/nll", "val/ece")


def of_sweep(cfg: DictConfig) -> str | None:
    """The objective of a sweep, None where it has none.

    Args:
        cfg: as composed for the sweep, with Hydra's own settings.

    Raises:
        ConfigError: a sweeper that optimizes without one, or in the wrong direction.
    """
    objective, sweeper = cfg.al.objective, cfg.hydra.sweeper
    if str(sweeper._target_).endswith(".BasicSweeper"):
        return objective
    chosen = f"hydra/sweeper={cfg.hydra.runtime.choices['hydra/sweeper']}"
    if objective is None:
        raise ConfigError(
            f"{chosen}: it optimizes what the jobs return, which is a measure on validation labels: "
            "add al.objective=val/acc al.val_size=100"
        )
    if cfg.dry_run:
        raise ConfigError(
            f"{chosen} dry_run=true: it chooses jobs by what those before came to, and these come to nothing; "
            "type the values of a job without --multirun to see what it takes"
        )
    if not any("al.val_size" in each for each in (*cfg.hydra.overrides.task, *(sweeper.get("params") or {}))):
        limits.check_objective(objective, cfg.al.val_size)  # now, and not in every job
    direction, wanted = sweeper.get("direction"), "minimize" if is_lower_better(objective) else "maximize"
    if direction is not None and getattr(direction, "name", direction) != wanted:
        raise ConfigError(
            f"{chosen}: hydra.sweeper.direction={getattr(direction, 'name', direction)}, but of {objective} "
            f"{'less' if wanted == 'minimize' else 'more'} is better: add hydra.sweeper.direction={wanted}"
        )
    return objective


def figures(path: Path, al: ActiveLearning) -> dict[str, Any]:
    """What a run has at the length that a job asks for: it may be longer, after another job of the sweep.

    Args:
        path: the run folder.
        al: of the job.

    Returns:
        `n_labeled`, `accuracy`, `aubc` and `objective`, as `sweep.Job` has them; nothing where no round is committed.
    """
    from al_lightning.runs.learning_curve import aubc  # these take seconds, which other command lines do not need
    from al_lightning.runs.rounds import read_json
    from al_lightning.runs.summary import covers, plan_of

    summary = read_json(path / "summary.json")
    try:
        with (path / "rounds.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[: plan_of(al, summary or {}).rounds + 1]
        labels, accuracy = _curve(rows, "test/acc")
        told = None
        if al.objective and covers(summary, al):
            validated = _curve(rows, "val/acc" if al.objective == AUBC else al.objective)
            told = aubc(*validated) if al.objective == AUBC else validated[1][-1]
            told = told if math.isfinite(told) else None  # val/auroc of a single class
        return {
            "n_labeled": int(rows[-1]["n_labeled"]),
            "accuracy": accuracy[-1] if accuracy else None,
            "aubc": aubc(labels, accuracy) if accuracy else None,
            "objective": told,
        }
    except (OSError, ValueError, LookupError, UserError):  # not begun, or damaged, which its next process mends
        return {}


def _curve(rows: Sequence[Mapping[str, str]], column: str) -> tuple[list[int], list[float]]:
    """Labels and a measure, of the rounds that have it."""
    there = [row for row in rows if row[column]]
    return [int(row["n_labeled"]) for row in there], [float(row[column]) for row in there]
