"""The curve of one run as plain numbers."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class RunCurve:
    """Accuracy of one run against its labels, both by round."""

    method: str
    seed: int
    folder: str
    state: str
    n_labeled: list[int]
    accuracy: list[float]


def curves_of(rounds: pd.DataFrame) -> list[RunCurve]:
    """The curve of every run in a table as :func:`al_lightning.report.load` gives it, in order of their folders."""
    return [
        RunCurve(
            method=rows["method"].iloc[0],
            seed=rows["seed"].iloc[0],
            folder=rows["folder"].iloc[0],
            state=rows["state"].iloc[0],
            n_labeled=rows["n_labeled"].to_list(),
            accuracy=rows["test/acc"].to_list(),
        )
        for _, rows in rounds.sort_values("round").groupby("folder")
    ]
