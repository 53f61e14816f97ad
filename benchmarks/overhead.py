"""What the framework costs over a loop in plain PyTorch that does the same arithmetic: MNIST, 20 rounds of margin.

One side is `al_lightning.loop.run` with its default logger, W&B, offline; the other is bare_loop.py. Both make the same
queries with the same scores and reach the same accuracies, to the bit, or this stops. Fresh processes in turn; imports,
reading MNIST and composing the configuration come before the clock starts. Rewrites its section of RESULTS.md.

    python benchmarks/overhead.py --data data
"""

import argparse
import contextlib
import csv
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bare_loop
import torch
import wandb.sdk.launch  # noqa: F401  (starting W&B imports it; no side is to be measured importing)
from hydra import compose, initialize_config_dir
from in_turn import measured, median, ratio
from matplotlib.figure import Figure  # noqa: F401  (likewise)
from omegaconf import DictConfig
from results import machine, write_section

from al_lightning import backbones, build, config, loop
from al_lightning.clock import Clock
from al_lightning.data.images import ImageData
from al_lightning.data.memory import largest_batch

BACKBONES = {"resnet18": backbones.resnet18, "cnn": backbones.cnn}
PHASES = ("fit", "score", "test", "other")


def configuration(arguments: argparse.Namespace, output: str) -> DictConfig:
    """What the command would compose."""
    settings = {
        "dataset": "mnist",
        "strategy": "margin",
        "model": arguments.models[0],
        "trainer": "cpu",
        "trainer.max_epochs": arguments.epochs,
        "train.min_steps": 0,
        "train.bn_recalibrate": "false",
        "al.rounds": arguments.rounds,
        "al.query_size": arguments.query,
        "al.pool_sample": arguments.sample,
        "seed": arguments.seed,
        "paths.data": arguments.data,
        "paths.output_root": output,
    }
    with initialize_config_dir(str(config.conf_dir()), version_base="1.3"):
        return compose("config", [f"{key}={value}" for key, value in settings.items()])


def framework(cfg: DictConfig, data: ImageData) -> dict[str, Any]:
    """One run: its seconds, in all and by phase, what `other` is of a round, and what it came to."""
    build.load_data = lambda settings: data
    start = time.perf_counter()
    folder = loop.run(cfg).folder
    seconds = time.perf_counter() - start
    with (folder / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rounds = [{name: float(value) for name, value in row.items() if name.startswith("seconds/")} for row in rows]
    for each in rounds:
        each["seconds/score"] += each.pop("seconds/select")
    shares = [each["seconds/other"] / sum(each.values()) for each in rounds[1:]]
    queries: list[list[tuple[int, float]]] = [[] for _ in rows[1:]]
    with (folder / "queries.csv").open(newline="") as file:
        for query in csv.DictReader(file):
            queries[int(query["round"])].append((int(query["index"]), float(query["score"])))
    return {
        "seconds": seconds,
        **{phase: sum(each[f"seconds/{phase}"] for each in rounds) for phase in PHASES},
        "share": statistics.median(shares),
        "largest share": max(shares),
        "queries": queries,
        "accuracies": [float(row["test/acc"]) for row in rows],
    }


def bare(cfg: DictConfig, data: ImageData) -> dict[str, Any]:
    """The same without the framework."""
    protocol = bare_loop.Protocol(
        seed=cfg.seed,
        initial=cfg.al.initial_size,
        query=cfg.al.query_size,
        rounds=cfg.al.rounds,
        epochs=cfg.trainer.max_epochs,
        sample=cfg.al.pool_sample,
        batch=cfg.batch_size,
        eval_batch=largest_batch(data.image_size, torch.device("cpu")),
        dropout=cfg.model.dropout,
        lr=cfg.optimizer.lr,
    )
    clock = Clock()
    start = time.perf_counter()
    queries, accuracies = bare_loop.run(data, BACKBONES[cfg.model.name], protocol, clock)
    seconds = time.perf_counter() - start
    phases = clock.seconds()
    return {
        "seconds": seconds,
        **{phase: phases[phase] for phase in PHASES},
        "queries": queries,
        "accuracies": [float(f"{accuracy:.7g}") for accuracy in accuracies],  # as rounds.csv has them
    }


SIDES = {"framework": framework, "bare": bare}


def run_side(arguments: argparse.Namespace) -> None:
    """One run of one side, as a line of JSON."""
    torch.set_num_threads(arguments.threads)
    build.quiet_lightning()
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as output:
        cfg = configuration(arguments, output)
        done = SIDES[arguments.side](cfg, build.load_data(config.resolved(cfg)))
    done["around"] = max(0.0, done["seconds"] - sum(done[phase] for phase in PHASES))
    print(json.dumps(done))


def compared(model: str, arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Both sides in turn with one model: its row of the ratios, and its rows of the phases."""
    sizes = ("data", "threads", "rounds", "query", "epochs", "sample")
    options = [f"--{name}={getattr(arguments, name)}" for name in sizes]
    sides = {side: [sys.executable, __file__, *options, f"--models={model}", f"--side={side}"] for side in SIDES}
    done = measured(sides, arguments.repeats, WANDB_MODE="offline", OMP_NUM_THREADS=str(arguments.threads))
    ours, bares = done.values()
    for one, other in zip(ours, bares, strict=True):
        for key in ("queries", "accuracies"):
            assert one[key] == other[key], f"{model}: the {key} differ, so the sides did not compute the same"
    row = (
        f"| `{model}` | {median(ours, 'seconds'):.1f} s | {median(bares, 'seconds'):.1f} s "
        f"| {ratio(ours, bares, 'seconds'):.3f} "
        f"| {100 * median(ours, 'share'):.1f}% | {100 * median(ours, 'largest share'):.1f}% |"
    )
    return row, [
        f"| `{model}`, {side} | " + " | ".join(f"{median(done[side], key):.2f}" for key in (*PHASES, "around")) + " |"
        for side in SIDES
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch, on both sides")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--query", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--sample", type=int, default=2048, help="unlabeled images scored a round, a multiple of 64")
    parser.add_argument("--models", choices=BACKBONES, nargs="+", default=list(BACKBONES))
    side = parser.add_argument_group("one run of one side and model, as a line of JSON")
    side.add_argument("--side", choices=SIDES)
    side.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments)
        return
    both = [compared(model, arguments) for model in arguments.models]
    write_section(
        "Framework over a bare loop",
        f"By `python benchmarks/overhead.py` on {machine()}.",
        f"Medians of {arguments.repeats} fresh processes a side, taken in turn, a seed a turn, {arguments.threads} "
        "threads; a ratio is the median of the pairs' ratios.",
        "",
        f"MNIST, margin, {arguments.rounds} queries of {arguments.query}, {arguments.epochs} epochs a fit, "
        f"`al.pool_sample={arguments.sample}`.",
        "Framework: `loop.run` with W&B offline. Bare loop: `benchmarks/bare_loop.py`, PyTorch with the same kernels, "
        "batches and learning rates; accuracy is its only measure.",
        "Both made the same queries with the same scores and reached the same accuracies, to the bit. Not timed on "
        "either side: imports, reading MNIST, composing the configuration.",
        "",
        "| model | framework | bare loop | ratio | `other`, share of a round after the first: median | largest |",
        "|---|---|---|---|---|---|",
        *(row for row, _ in both),
        "",
        "Where the seconds go, all rounds together. `other` is the commit, W&B, and what lies between the phases;",
        "around the rounds are the checks, hashes and files before the first one, and the end of W&B.",
        "",
        "| | fit | score and choose | test | `other` | around the rounds |",
        "|---|---|---|---|---|---|",
        *(part for _, parts in both for part in parts),
    )


if __name__ == "__main__":
    main()
