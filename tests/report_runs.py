"""Tables of rounds for the tests of the report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from al_lightning.report.compare import ACCURACY, Comparison, compare
from al_lightning.report.measures import Measure

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
