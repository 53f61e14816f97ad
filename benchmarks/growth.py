"""Growth of a round's time with the pool and with the labels, and of memory with the rounds, in runs of the command.

Rewrites its section of benchmarks/RESULTS.md.

    python benchmarks/growth.py --data data
    python benchmarks/growth.py --data data --width 2 --pools 64 128 --labels 16 32 --rounds 6   # to see it work
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf
from results import machine, write_section

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from soak import SETTLED, growth, soak

STRATEGIES = ("margin", "bald", "kmeans")
QUERIES = 3  # rounds that a median is taken over
EPOCHS = 10


def swept(*arguments: str) -> pd.DataFrame:
    """The rounds of a sweep on MNIST, a row a round, with the settings that are swept over here."""
    common = ("dataset=mnist", "model=cnn", "trainer=cpu", "logger=none")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "al_lightning", "--multirun", *common, *arguments]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        tables = []
        for file in sorted(Path(folder).glob("multirun_outputs/*/*/rounds.csv")):
            made = OmegaConf.load(file.with_name("config.yaml"))
            swept_over = {"strategy": made.strategy.name, "pool": made.al.pool_sample, "labels": made.al.initial_size}
            tables.append(pd.read_csv(file).assign(**swept_over))
    return pd.concat(tables)


def joined(sizes: list[int]) -> str:
    return ",".join(map(str, sizes))


def pool_seconds(sizes: list[int], *common: str) -> pd.DataFrame:
    """Median seconds of scoring and choosing, a row a strategy and a column a number of images looked at."""
    rounds = swept(
        *common,
        f"strategy={','.join(STRATEGIES)}",
        f"al.pool_sample={joined(sizes)}",
        f"al.rounds={QUERIES}",
        "al.query_size=10",
        "train.min_steps=20",
        "train.max_cycles=1",
        "trainer.max_epochs=1",
    )
    asking = rounds[rounds["round"] < QUERIES]  # the last round asks for nothing
    asking = asking.assign(seconds=asking["seconds/score"] + asking["seconds/select"])
    return asking.pivot_table("seconds", "strategy", "pool", "median").loc[list(STRATEGIES)]


def label_seconds(sizes: list[int], *common: str) -> pd.DataFrame:
    """Median seconds of a fit, a column a number of labels."""
    rounds = swept(
        *common,
        "strategy=random",
        f"al.initial_size={joined(sizes)}",
        f"al.rounds={QUERIES - 1}",
        "al.query_size=1",
        "train.min_steps=0",
        "train.max_cycles=1",
        f"trainer.max_epochs={EPOCHS}",
    )
    return rounds.groupby("labels")["seconds/fit"].median().to_frame("fit").T


def table(title: str, seconds: pd.DataFrame) -> list[str]:
    """Seconds by size; those of 1,000 at the largest size; the slope of a line through them in log-log."""
    sizes = seconds.columns.to_numpy(float)
    rows = [f"| {title} | " + " | ".join(f"{size:,.0f}" for size in sizes) + " | s per 1,000 | exponent |"]
    rows.append("|---|" + "---|" * (len(sizes) + 2))
    for name, row in seconds.iterrows():
        exponent = np.polyfit(np.log(sizes), np.log(row.to_numpy(float)), 1)[0]
        figures = " | ".join(f"{value:.2f}" for value in row)
        rows.append(f"| {name} | {figures} | {1000 * row.iloc[-1] / sizes[-1]:.3f} | {exponent:.2f} |")
    return rows


def memory_table(rounds: int) -> list[str]:
    """Resident set of small runs on digits when they have settled, and at their end."""
    rows = [f"| memory of a run on digits | round {SETTLED}, MiB | round {rounds}, MiB | growth |", "|---|---|---|---|"]
    for name, arguments in {"default batches": (), "`batch_size=8`": ("batch_size=8",)}.items():
        with tempfile.TemporaryDirectory() as folder:
            held = soak(Path(folder), rounds, "trainer=cpu", *arguments)
        first, last = (held[number]["memory"] / 1024 for number in (SETTLED, rounds))
        rows.append(f"| {name} | {first:.0f} | {last:.0f} | {growth(held, 'memory'):+.1%} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw, or is to hold it")
    parser.add_argument("--pools", nargs="+", type=int, default=[1000 * 2**k for k in range(6)])
    parser.add_argument("--labels", nargs="+", type=int, default=[100 * 2**k for k in range(6)])
    parser.add_argument("--rounds", type=int, default=150, help="of the run whose memory is watched")
    parser.add_argument("--width", type=int, default=16, help="`model.width` on MNIST")
    arguments = parser.parse_args()
    common = (f"paths.data={Path(arguments.data).resolve()}", f"model.width={arguments.width}")
    write_section(
        "Growth",
        f"By `python benchmarks/growth.py` on {machine()}, threads: {torch.get_num_threads()}.",
        f"Runs of the command on MNIST, `model=cnn model.width={arguments.width}`; medians of {QUERIES} rounds, from",
        "`rounds.csv`. `s per 1,000` is of the largest size, the exponent the slope of a straight line in log-log.",
        "",
        *table("seconds to score and choose, by images", pool_seconds(arguments.pools, *common)),
        "",
        *table(f"seconds to fit {EPOCHS} epochs, by labels", label_seconds(arguments.labels, *common)),
        "",
        *memory_table(arguments.rounds),
    )


if __name__ == "__main__":
    main()
