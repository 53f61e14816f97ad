"""Studies without training: run folders whose curves are drawn, for tests of the report, and to measure it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from run_writer import DIGITS, write_run

HOSTILE = ("<script>alert(1)</script>", """a & "b" & 'c'""", "$x_1$", "]]>", "漢", "line\n\x1b[31m", *"6789")


@dataclass(frozen=True)
class Run:
    """What tells a run from others; the rest of its files follows from the seed."""

    strategy: str = "random"
    seed: int = 0
    dataset: str = "digits"
    rounds: int = 6  # that are committed
    planned: int | None = None  # as many, unless it says more
    state: str = "finished"
    initial: int = 20
    query: int = 10
    classes: tuple[str, ...] = DIGITS
    pool: int = 1000
    clusters: int = 12
    gain: float = 0.0  # accuracy that the strategy is better by


def study(
    folder: Path, strategies: Iterable[str], seeds: Iterable[int], run: Run = Run(), gains: Sequence[float] = ()
) -> list[Path]:
    """Write a run a strategy and seed; each strategy is better than the one before, unless `gains` says else."""
    seeds = list(seeds)
    return [
        write(folder, replace(run, strategy=strategy, seed=seed, gain=run.gain + (gains[i] if gains else 0.01 * i)))
        for i, strategy in enumerate(strategies)
        for seed in seeds
    ]


def write(folder: Path, run: Run) -> Path:
    """Write a run folder into the folder of its study."""
    rng = np.random.default_rng([run.seed, sum(run.strategy.encode()), run.clusters])
    labels = run.initial + run.query * np.arange(run.rounds)
    own = 0.01 * np.random.default_rng(run.seed).standard_normal()
    noise = 0.004 * rng.standard_normal(run.rounds)
    accuracy = (0.96 - 0.5 * np.exp(-labels / 120) + run.gain + own + noise).clip(0, 1)
    return write_run(
        folder,
        "",
        accuracy.tolist(),
        state=run.state,
        pool=run.pool,
        classes=run.classes,
        seed=run.seed,
        strategy__name=run.strategy,
        dataset__name=run.dataset,
        al__initial_size=run.initial,
        al__query_size=run.query,
        al__rounds=(run.planned or run.rounds) - 1,
        al__n_clusters=run.clusters,
    )
