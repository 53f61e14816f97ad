"""The table of the leaderboard's runs: docs/leaderboard/runs.csv, a row a run, added as it ends."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd

KEY = ("setting", "query_size", "strategy", "seed")
COLUMNS = (*KEY, "aubc", "final", "curve", "choose", "seconds", "failed_fits")


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

    def add(self, job: Any, folder: Path, seconds: float) -> None:
        """Add a run that has finished: its accuracies by round, and what a choice took in median.

        Args:
            job: with the attributes of :data:`KEY`.
            folder: of the run.
            seconds: that all of it took.
        """
        rounds = pd.read_csv(folder / "rounds.csv")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        choose = (rounds["seconds/score"] + rounds["seconds/select"]).iloc[:-1].median()
        row = {name: getattr(job, name) for name in KEY} | {
            "aubc": f"{summary['aubc']:.6f}",
            "final": f"{rounds['test/acc'].iloc[-1]:.4f}",
            "curve": " ".join(f"{value:.4f}" for value in rounds["test/acc"]),
            "choose": f"{choose:.4f}",
            "seconds": f"{seconds:.1f}",
            "failed_fits": len(summary["failed_fits"]),
        }
        with self.file.open("a", newline="", encoding="utf-8") as lines:
            csv.DictWriter(lines, COLUMNS).writerow(row)
