"""Run folders as a table."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd
from omegaconf import OmegaConf

from al_lightning.errors import DataError
from al_lightning.rounds import read_json
from al_lightning.run_folder import SET_ASIDE

# Settings that say where and how long a run runs, or that have a column of their own.
_NOT_A_VARIANT = (
    "seed",
    "study",
    "logger.",
    "paths.",
    "al.",
    "dataset.",
    "strategy.name",
    "dry_run",
    "debug",
    "resume",
    "overwrite",
    "experiment",
)


def find(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Run folders in some folders, at any depth, in order of their paths; those set aside are left out."""
    for folder in folders:
        for table in sorted(Path(folder).rglob("rounds.csv")):
            if SET_ASIDE not in table.relative_to(folder).parts:
                yield table.parent


def load(*folders: str | Path) -> pd.DataFrame:
    """Load the rounds of all runs in some folders, finished or not.

    Args:
        *folders: run folders, studies, or folders of studies.

    Returns:
        A row a round: `folder, study, dataset, model, strategy, variant, seed, finished`, then the columns of
        `rounds.csv`. `variant` tells runs of a data set and a strategy apart whose settings differ:
        `key=value` of what differs, empty where nothing does.

    Raises:
        DataError: there is no run with a round.
    """
    tables, settings = [], []
    for folder in find(folders):
        rows = pd.read_csv(folder / "rounds.csv")
        if rows.empty:
            continue
        config = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(folder / "config.yaml")))
        names = {group: config[group]["name"] for group in ("dataset", "model", "strategy")}
        finished = (read_json(folder / "summary.json") or {}).get("finished", False)
        head = {"folder": str(folder), "study": config["study"], **names, "variant": "", "seed": config["seed"]}
        for position, (column, value) in enumerate({**head, "finished": finished}.items()):
            rows.insert(position, column, value)
        tables.append(rows)
        settings.append(dict(_leaves(config)))
    if not tables:
        raise DataError(f"{', '.join(map(str, folders))}: no run with a committed round in there")
    _name_variants(tables, settings)
    return pd.concat(tables, ignore_index=True)


def _name_variants(tables: list[pd.DataFrame], settings: list[dict[str, Any]]) -> None:
    groups: dict[str, list[int]] = {}
    for position, table in enumerate(tables):
        key = f"{table['dataset'].iloc[0]}/{table['strategy'].iloc[0]}"
        groups.setdefault(key, []).append(position)
    for positions in groups.values():
        keys = sorted({key for position in positions for key in settings[position]})
        for key in keys:
            values = [settings[position].get(key) for position in positions]
            if not key.startswith(_NOT_A_VARIANT) and any(value != values[0] for value in values):
                for position, value in zip(positions, values, strict=True):
                    tables[position]["variant"] += f" {key.rpartition('.')[2]}={value}"


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node
