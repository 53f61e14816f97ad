"""The curve of one run as plain numbers."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class RunCurve:
    """A measure of one run against its labels, both by round."""

    method: str
    seed: int
    folder: str
    state: str
    n_labeled: list[int]
    values: list[float]


def curves_of(rounds: pd.DataFrame, measure: str) -> list[RunCurve]:
    """The curve of every run in a table as :func:`al_lightning.report.load` gives it, in order of their folders.

    Rounds in which the measure is nan do not count; a run that has no other has no curve.
    """
    return [
        RunCurve(
            method=rows["method"].iloc[0],
            seed=rows["seed"].iloc[0],
            folder=rows["folder"].iloc[0],
            state=rows["state"].iloc[0],
            n_labeled=rows["n_labeled"].to_list(),
            values=rows[measure].to_list(),
        )
        for _, rows in rounds.dropna(subset=[measure]).sort_values("round").groupby("folder")
    ]
