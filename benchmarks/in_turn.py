"""Sides of a comparison, turn by turn: whatever else the machine does meets all of them.

Each in a fresh process (:func:`measured`), or all in this one (:func:`timed`).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Seconds = Mapping[str, list[float]]


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


def timed(variants: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> Seconds:
    """Seconds that every variant took, in `repeats` turns after `warm_up` turns that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warm_up + repeats):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def times(seconds: Seconds, slow: str, fast: str) -> float:
    """How many times as long as `fast` the variant `slow` took: the median over the turns."""
    return statistics.median(one / other for one, other in zip(seconds[slow], seconds[fast], strict=True))


def with_threads(
    count: int, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """What a function of a module returns in a fresh process that computes with so many threads."""
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (count,)) as process:
        return process.submit(work, *args, **kwargs).result()
