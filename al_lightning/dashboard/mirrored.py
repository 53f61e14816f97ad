"""What run folders say about their mirrors in W&B: project, ids, and what has not been uploaded yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from al_lightning.config.loggers import wandb_node
from al_lightning.report.runs import read_config
from al_lightning.tracking.wandb_account import place as place_of
from al_lightning.tracking.wandb_account import project, run_ids


@dataclass(frozen=True)
class Mirrored:
    """A run and its mirror.

    Attributes:
        folder: of the run.
        study: as :func:`al_lightning.report.load` has it.
        dataset: likewise.
        run_id: in W&B.
        replaced: ids of the runs that were set aside for it; W&B still has what was uploaded of them.
        project: of W&B; None where it was not mirrored (`logger=none`).
        entity: of W&B; None: the one that was logged in.
        offline: W&B's folders of the run that have not been uploaded.
    """

    folder: str
    study: str
    dataset: str
    run_id: str
    replaced: tuple[str, ...]
    project: str | None
    entity: str | None
    offline: tuple[Path, ...]


def mirrored(rounds: pd.DataFrame) -> list[Mirrored]:
    """The runs of a table of :func:`al_lightning.report.load`, in its order."""
    runs = []
    local: dict[Path, list[Path]] = {}
    heads = rounds.drop_duplicates("folder")
    for name, study, dataset in zip(heads["folder"], heads["study"], heads["dataset"], strict=True):
        folder = Path(name).resolve()  # the id is made of its name, which `.` has not
        *replaced, run_id = run_ids(folder, study)
        logger = _logger(folder)
        place = place_of(folder) / "wandb"
        if place not in local:
            local[place] = sorted(place.glob("offline-run-*"))
        offline = [each for each in local[place] if each.name.endswith(f"-{run_id}") and not any(each.glob("*.synced"))]
        runs.append(
            Mirrored(
                folder=name,
                study=study,
                dataset=dataset,
                run_id=run_id,
                replaced=tuple(replaced),
                project=project(logger["project"]) if "project" in logger else None,
                entity=logger.get("entity"),
                offline=tuple(offline),
            )
        )
    return runs


def to_upload(runs: Iterable[Mirrored]) -> list[Path]:
    """The `wandb` folders with runs that have not been uploaded."""
    return sorted({folder.parent for run in runs for folder in run.offline})


def _logger(folder: Path) -> dict[str, Any]:
    logger = read_config(folder).get("logger")
    return (wandb_node(logger) or logger) if isinstance(logger, dict) else {}
