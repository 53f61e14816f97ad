"""What the framework costs over a loop in plain PyTorch that does the same arithmetic: MNIST, 20 rounds of margin.

One side is `al_lightning.loop.run` with its default logger, W&B, offline; the other is bare_loop.py. They take turns in
one process, round by round, because machines are busier in one minute than in the next. Both make the same queries
with the same scores and reach the same accuracies, to the bit, or this stops. Imports, reading MNIST and composing the
configuration come before the clock starts. Rewrites its section of RESULTS.md.

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bare_loop
import torch
import wandb.sdk.launch  # noqa: F401  (starting W&B imports it; no side is to be measured importing)
from hydra import compose, initialize_config_dir
from in_turn import measured, median
from omegaconf import DictConfig
from results import machine, write_section

from al_lightning import build, loop
from al_lightning.clock import Clock
from al_lightning.config import schema
from al_lightning.data.images import ImageData
from al_lightning.data.memory import largest_batch
from al_lightning.models import backbones
from al_lightning.runs.rounds import Round
from al_lightning.tracking.console import ConsoleReporter
from al_lightning.trainer import quiet_lightning

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
        "train.max_cycles": 1,
        "al.rounds": arguments.rounds,
        "al.query_size": arguments.query,
        "al.pool_sample": arguments.sample,
        "seed": arguments.seed,
        "paths.data": arguments.data,
        "paths.output_root": output,
    }
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return compose("config", [f"{key}={value}" for key, value in settings.items()])


def bare_rounds(cfg: DictConfig, data: ImageData, clock: Clock) -> Iterator[bare_loop.Done]:
    """The rounds of the bare loop."""
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
    return bare_loop.rounds(data, BACKBONES[cfg.model.name], protocol, clock)


def run_both(cfg: DictConfig, data: ImageData) -> dict[str, Any]:
    """One run, and after each of its rounds that round of the bare loop.

    Returns:
        Seconds of both sides in all and by phase, and what `other` is of a round of the framework.
    """
    clock = Clock()
    bare, pauses = bare_rounds(cfg, data, clock), []
    turns: list[bare_loop.Done] = []

    class TakingTurns(ConsoleReporter):
        def round(self, done: Round) -> None:
            super().round(done)
            start = time.perf_counter()
            clock.restart()
            turns.append(next(bare))
            pauses.append({"seconds": time.perf_counter() - start, **clock.seconds()})

    build.load_whole = lambda settings: data
    loop.ConsoleReporter = TakingTurns
    start = time.perf_counter()
    folder = loop.run(cfg).folder
    seconds = time.perf_counter() - start - sum(pause["seconds"] for pause in pauses)
    with (folder / "rounds.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "queries.csv").open(newline="", encoding="utf-8") as file:
        chosen = [query for query in csv.DictReader(file) if int(query["round"]) >= 0]
    queries = [(int(query["index"]), float(query["score"])) for query in chosen]
    assert queries == [image for turn in turns for image in turn.query], "the sides did not ask for the same"
    for name, accuracies in {
        "test/acc": [turn.accuracy for turn in turns],
        "fit/acc": [turn.fitted for turn in turns],
    }.items():
        assert [float(row[name]) for row in rows] == [float(f"{accuracy:.7g}") for accuracy in accuracies], name
    rounds = [{phase: float(row[f"seconds/{phase}"]) for phase in (*PHASES, "select")} for row in rows]
    for each, pause in zip(rounds[1:], pauses, strict=False):
        each["other"] -= pause["seconds"]  # the bare round was between two of the framework's
    shares = [each["other"] / sum(each.values()) for each in rounds[1:]]
    for each in rounds:
        each["score"] += each.pop("select")
    ours = {phase: sum(each[phase] for each in rounds) for phase in PHASES}
    theirs = {f"bare {name}": sum(pause[name] for pause in pauses) for name in ("seconds", *PHASES)}
    return {
        "seconds": seconds,
        **ours,
        "around": seconds - sum(ours.values()),
        **theirs,
        "bare around": 0.0,
        "bare fitted": sum(turn.seconds_fitted for turn in turns),
        "ratio": seconds / theirs["bare seconds"],
        "share": statistics.median(shares),
        "largest share": max(shares),
    }


def run_side(arguments: argparse.Namespace) -> None:
    """One process, as a line of JSON."""
    torch.set_num_threads(arguments.threads)
    quiet_lightning()
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as output:
        cfg = configuration(arguments, output)
        done = run_both(cfg, build.load_data(schema.resolved(cfg)))
    print(json.dumps(done))


def compared(model: str, arguments: argparse.Namespace) -> tuple[str, list[str], float]:
    """Both sides with one model: its row of the ratios, its rows of the phases, and seconds of looking at fits."""
    sizes = ("data", "threads", "rounds", "query", "epochs", "sample")
    options = [f"--{name}={getattr(arguments, name)}" for name in sizes]
    command = [sys.executable, __file__, *options, f"--models={model}", "--one"]
    environment = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": str(arguments.threads)}
    done = measured({model: command}, arguments.repeats, **environment)[model]
    ratios = ", ".join(f"{each['ratio']:.3f}" for each in done)
    row = (
        f"| `{model}` | {median(done, 'seconds'):.1f} s | {median(done, 'bare seconds'):.1f} s "
        f"| {median(done, 'ratio'):.3f} ({ratios}) "
        f"| {100 * median(done, 'share'):.1f}% | {100 * median(done, 'largest share'):.1f}% |"
    )
    phases = [
        f"| `{model}`, {side} | "
        + " | ".join(f"{median(done, f'{prefix}{key}'):.2f}" for key in (*PHASES, "around"))
        + " |"
        for side, prefix in (("framework", ""), ("bare", "bare "))
    ]
    return row, phases, median(done, "bare fitted")


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
    one = parser.add_argument_group("one process with one model, as a line of JSON")
    one.add_argument("--one", action="store_true")
    one.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.one:
        run_side(arguments)
        return
    both = [compared(model, arguments) for model in arguments.models]
    looks = [(model, seconds) for model, (_, _, seconds) in zip(arguments.models, both, strict=True)]
    write_section(
        "Framework over a bare loop",
        f"By `python benchmarks/overhead.py` on {machine()}.",
        f"Medians of {arguments.repeats} processes, a seed each, {arguments.threads} threads; in each, the rounds of "
        "both sides take turns.",
        "",
        f"MNIST, margin, {arguments.rounds} queries of {arguments.query}, {arguments.epochs} epochs a fit, "
        f"`al.pool_sample={arguments.sample}`.",
        "Framework: `loop.run` with W&B offline. Bare loop: `benchmarks/bare_loop.py`, PyTorch with the same kernels, "
        "batches and learning rates; accuracy is its only measure, on the test part and, without dropout, on the "
        "labels trained on, which shows a fit that has failed (of `fit` below, "
        + ", ".join(f"{seconds:.2f} s with `{model}`" for model, seconds in looks)
        + ").",
        "Both made the same queries with the same scores and reached the same accuracies, to the bit. Not timed on "
        "either side: imports, reading MNIST, composing the configuration.",
        "",
        "| model | framework | bare loop | ratio (each) | `other`, share of a later round: median | largest |",
        "|---|---|---|---|---|---|",
        *(row for row, _, _ in both),
        "",
        "Where the seconds go, all rounds together. `other` is the commit, W&B, and what lies between the phases;",
        "around the rounds are the checks, hashes and files before the first one, and the end of W&B.",
        "",
        "| | fit | score and choose | test | `other` | around the rounds |",
        "|---|---|---|---|---|---|",
        *(part for _, parts, _ in both for part in parts),
    )


if __name__ == "__main__":
    main()
