"""Sides of a comparison, each in a fresh process, turn by turn: whatever else the machine does meets all of them."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def measured(sides: Mapping[str, Sequence[str]], turns: int, **environment: str) -> dict[str, list[dict[str, Any]]]:
    """Run every side once a turn.

    Args:
        sides: command lines by name; each takes --seed, which is the number of the turn, and prints a line of JSON.
        turns: how often.
        **environment: variables that all sides see.

    Returns:
        What each side printed, turn by turn.
    """
    printed: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for turn in range(turns):
        for name, command in sides.items():
            line = [*command, f"--seed={turn}"]
            done = subprocess.run(line, capture_output=True, text=True, env=os.environ | environment)
            if done.returncode:
                sys.exit(f"{' '.join(line)} failed:\n{done.stderr}")
            printed[name].append(json.loads(done.stdout))
            figures = {key: value for key, value in printed[name][-1].items() if isinstance(value, float)}
            print(f"turn {turn + 1} of {turns}, {name}: {figures}", file=sys.stderr)
    return printed


def median(side: Sequence[Mapping[str, float]], key: str) -> float:
    """Of a figure over the turns."""
    return statistics.median(each[key] for each in side)


def ratio(side: Sequence[Mapping[str, float]], other: Sequence[Mapping[str, float]], key: str) -> float:
    """How many times the other's a figure is: the median of the turns' ratios."""
    return statistics.median(one[key] / two[key] for one, two in zip(side, other, strict=True))
