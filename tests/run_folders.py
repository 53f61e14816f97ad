"""What tests look at in a run folder, and when two of them hold the same results."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

from wandb.util import get_core_path

# They hold seconds, or paths and versions; everything else is the same to the byte.
TIMED = ("rounds.csv", "measures.json", "SHA256SUMS", "summary.json", "config.yaml", "environment.json", "ledger.jsonl")


def only_run(cwd: Path) -> Path:
    """The one run folder below a folder in which the command was started."""
    (folder,) = (cwd / "multirun_outputs" / "default").glob("*-s*-*")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """The files by their paths in the folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as written."""
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def untimed(folder: Path) -> list[dict[str, str]]:
    """The rows of `rounds.csv` as written, without the seconds."""
    rows = table(folder / "rounds.csv")
    return [{name: value for name, value in row.items() if not name.startswith("seconds/")} for row in rows]


def differences(one: Path, other: Path) -> list[str]:
    """The files of two finished runs that differ, times aside; what was set aside does not count."""
    left, right = (
        {name: data for name, data in contents(folder).items() if not name.startswith("set-aside/")}
        for folder in (one, other)
    )
    assert any(name.endswith("model.safetensors") for name in left), f"{one}: not finished"
    names = set(left.keys() ^ right.keys())
    names |= {name for name in left.keys() & right.keys() if left[name] != right[name] and not name.endswith(TIMED)}
    return sorted(names | ({"rounds.csv"} if untimed(one) != untimed(other) else set()))


def mirrored_rounds(study: Path) -> list[int]:
    """The rounds in the one W&B log of a study that has not been set aside, in the order they were logged."""
    (log,) = (study / "wandb").glob("*run-*/run-*.wandb")
    return [record["history"]["step"]["num"] for record in inspected(log) if record["type"] == "history"]


def inspected(log: Path) -> list[dict[str, Any]]:
    """The records of a log of W&B's, as `wandb leet inspect --json` prints them."""
    line = [get_core_path(), "leet", "inspect", "--no-observability", "--json", "--run-file", log, log.parent]
    return [*map(json.loads, subprocess.check_output(line, text=True).splitlines())]
