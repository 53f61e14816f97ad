"""Run folders and tables of rounds for the tests of the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from al_lightning.report.compare import ACCURACY, Comparison, compare
from al_lightning.report.measures import Measure


def write_run(study: Path, name: str, accuracy: Sequence[float], /, *, size: int = 20, **settings: Any) -> Path:
    """Write a run folder with what `load` reads: settings by dotted key with `__` for the dot, others for a default.

    `state`, `images` and `planned` are of its summary.
    """
    summary = {
        "state": settings.pop("state", "finished"),
        "rounds_planned": settings.pop("planned", len(accuracy)),
        "data_fingerprint": settings.pop("images", "03e0552302900bee"),
    }
    flat = {
        "seed": 0,
        "study": study.name,
        "dataset__name": "digits",
        "model__name": "cnn",
        "strategy__name": "random",
        "al__initial_size": size,
        "al__query_size": size,
        "al__rounds": len(accuracy) - 1,
        "trainer__accelerator": "auto",
        "paths__data": "data",
    }
    config: dict[str, Any] = {}
    for key, value in {**flat, **settings}.items():
        *sections, last = key.split("__")
        node = config
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    folder = study / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "summary.json").write_text(json.dumps(summary))
    rows = [
        {"round": i, "n_labeled": size * (i + 1), "n_paid": size * (i + 1), "test/acc": value, "seconds/fit": 1.5}
        for i, value in enumerate(accuracy)
    ]
    pd.DataFrame(rows).to_csv(folder / "rounds.csv", index=False)
    return folder


Curves = Mapping[str, Mapping[int, Mapping[int, float]]]


def table(curves: Curves, states: Mapping[tuple[str, int], str] | None = None, **columns: Any) -> pd.DataFrame:
    """Rounds as `load` gives them: accuracy by method, seed and labels. Runs are finished where `states` is silent."""
    return pd.DataFrame(
        [
            {
                "folder": f"study/{method}-s{seed}",
                "study": "study",
                "dataset": "digits",
                "model": "cnn",
                "strategy": method.split()[0],
                "setting": "digits",
                "method": method,
                "seed": seed,
                "state": (states or {}).get((method, seed), "finished"),
                "one_shot": False,
                "round": number,
                "n_labeled": labels,
                "n_paid": labels,
                "test/acc": accuracy,
                "test/ece": 0.1,
                **columns,
            }
            for method, seeds in curves.items()
            for seed, points in seeds.items()
            for number, (labels, accuracy) in enumerate(points.items())
        ]
    )


def one(
    rounds: pd.DataFrame,
    targets: tuple[float, ...] | None = None,
    cost_per_label: float | None = None,
    measure: Measure = ACCURACY,
) -> Comparison:
    (comparison,) = compare(rounds, targets, cost_per_label, measure)
    return comparison
