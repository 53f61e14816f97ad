"""What run folders say about their mirrors in W&B: project, ids, and what has not been uploaded yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from al_lightning.tracking.wandb_mirror import run_ids

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


@dataclass(frozen=True)
class Mirrored:
    """A run and its mirror.

    Attributes:
        study, dataset, setting: as :func:`al_lightning.report.load` has them.
        one_shot: it was planned to train once and never to query.
        run_id: in W&B.
        replaced: ids of the runs that were set aside for it; W&B still has what was uploaded of them.
        project: of W&B; None where it was not mirrored (`logger=none`).
        entity: of W&B; None: the one that was logged in.
        offline: W&B's folders of the run that have not been uploaded.
    """

    study: str
    dataset: str
    setting: str
    one_shot: bool
    run_id: str
    replaced: tuple[str, ...]
    project: str | None
    entity: str | None
    offline: tuple[Path, ...]


def mirrored(rounds: pd.DataFrame) -> list[Mirrored]:
    """The runs of a table of :func:`al_lightning.report.load`, in its order.

    A run may be given twice, from two studies: W&B has both.
    """
    runs = []
    local: dict[Path, list[Path]] = {}
    for _, row in rounds.drop_duplicates("folder").iterrows():
        folder = Path(row["folder"])
        *replaced, run_id = run_ids(folder, row["study"])
        logger = _logger(folder)
        place = folder.parent / "wandb"
        if place not in local:
            local[place] = sorted(place.glob("offline-run-*"))
        offline = [each for each in local[place] if each.name.endswith(f"-{run_id}") and not any(each.glob("*.synced"))]
        names = {key: str(row[key]) for key in ("study", "dataset", "setting")}
        runs.append(
            Mirrored(
                **names,
                one_shot=bool(row["one_shot"]),
                run_id=run_id,
                replaced=tuple(replaced),
                project=logger.get("project"),
                entity=logger.get("entity"),
                offline=tuple(offline),
            )
        )
    return runs


def to_upload(runs: Iterable[Mirrored]) -> list[Path]:
    """The `wandb` folders with runs that have not been uploaded."""
    return sorted({folder.parent for run in runs for folder in run.offline})


def _logger(folder: Path) -> dict[str, Any]:
    with (folder / "config.yaml").open(encoding="utf-8") as file:
        logger = yaml.load(file, _YAML).get("logger")
    return logger if isinstance(logger, dict) else {}
