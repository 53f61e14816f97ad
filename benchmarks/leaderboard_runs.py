"""The table of the leaderboard's runs, docs/leaderboard/runs.csv: a row a run, added as it ends, and read again."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

KEY = ("setting", "query_size", "strategy", "seed")
COLUMNS = (*KEY, "aubc", "final", "curve", "choose", "seconds", "failed_fits")
EARLY = 1 / 3  # of the labels


class Table:
    """The rows of the file, and how one is added.

    Args:
        file: is made where there is none.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
        with file.open(newline="", encoding="utf-8") as lines:
            self.rows = [*csv.DictReader(lines)]
        self._there = {tuple(row[name] for name in KEY) for row in self.rows}

    def has(self, job: Any) -> bool:
        """Whether the run is in the table."""
        return tuple(str(getattr(job, name)) for name in KEY) in self._there

    def forget(self, jobs: Sequence[Any]) -> None:
        """Take runs out of the table and its file."""
        gone = {tuple(str(getattr(job, name)) for name in KEY) for job in jobs}
        self.rows = [row for row in self.rows if tuple(row[name] for name in KEY) not in gone]
        self._there -= gone
        with self.file.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, [*COLUMNS], lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, job: Any, folder: Path) -> None:
        """Add a run that has finished: its accuracies by round, and what a choice took in median.

        Args:
            job: with the attributes of :data:`KEY`.
            folder: of the run.
        """
        rounds = pd.read_csv(folder / "rounds.csv")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        choose = (rounds["seconds/score"] + rounds["seconds/select"]).iloc[:-1].median()
        row = {name: getattr(job, name) for name in KEY} | {
            "aubc": f"{summary['aubc']:.6f}",
            "final": f"{rounds['test/acc'].iloc[-1]:.4f}",
            "curve": " ".join(f"{value:.4f}" for value in rounds["test/acc"]),
            "choose": f"{choose:.4f}",
            "seconds": f"{sum(summary['seconds'].values()):.1f}",  # also of a run that was skipped now
            "failed_fits": len(summary["failed_fits"]),
        }
        with self.file.open("a", newline="", encoding="utf-8") as lines:
            csv.writer(lines, lineterminator="\n").writerow(row[name] for name in COLUMNS)


@dataclass(frozen=True)
class Run:
    """A row of runs.csv.

    Attributes:
        setting: its name.
        query_size: labels a query, and of the initial set.
        strategy: or variant.
        seed: of the run.
        aubc: of the test accuracy.
        curve: test accuracy by round.
        choose: seconds of a choice, median over rounds.
        seconds: of the whole run.
        failed_fits: how many.
    """

    setting: str
    query_size: int
    strategy: str
    seed: int
    aubc: float
    curve: tuple[float, ...]
    choose: float
    seconds: float
    failed_fits: int

    @property
    def cell(self) -> tuple[str, int]:
        """Of the run."""
        return self.setting, self.query_size

    @property
    def n_labeled(self) -> tuple[int, ...]:
        """Labels by round."""
        return tuple(self.query_size * i for i in range(1, len(self.curve) + 1))

    @property
    def early(self) -> float:
        """Accuracy with a third of the labels."""
        return float(np.interp(EARLY * self.n_labeled[-1], self.n_labeled, self.curve))

    @property
    def final(self) -> float:
        """Accuracy with all labels."""
        return self.curve[-1]


def load(file: Path) -> list[Run]:
    """The runs of a file.

    Raises:
        ValueError: the runs of a cell differ in the number of their rounds.
    """
    runs = {}
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            run = Run(
                row["setting"],
                int(row["query_size"]),
                row["strategy"],
                int(row["seed"]),
                float(row["aubc"]),
                tuple(float(value) for value in row["curve"].split()),
                float(row["choose"]),
                float(row["seconds"]),
                int(row["failed_fits"]),
            )
            runs[run.cell, run.strategy, run.seed] = run
    lengths = {run.cell: len(run.curve) for run in runs.values()}
    if odd := sorted({run.cell for run in runs.values() if len(run.curve) != lengths[run.cell]}):
        raise ValueError(f"{file}: runs of different lengths in {odd}; remove those of one length")
    return [*runs.values()]
