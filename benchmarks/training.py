"""A training step in its variants, and what an engine adds to a step. Rewrites its section of benchmarks/RESULTS.md.

python benchmarks/training.py
python benchmarks/training.py --threads 1 --repeats 1 --steps 20   # to see it work
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from classifiers import classifier, fitted, random_images, settings
from in_turn import Seconds, timed, times, with_threads
from results import machine, write_section
from torch.nn.functional import cross_entropy

from al_lightning import build
from al_lightning.data.batches import TrainBatches
from al_lightning.data.images import ImageData
from al_lightning.trainer import quiet_lightning

BATCH = 64


@dataclass(frozen=True)
class Network:
    """What is trained: channels and side of the images, settings, and steps a turn."""

    channels: int
    side: int
    model: str
    steps: int


@dataclass(frozen=True)
class Variant:
    """How a step is run; the default is as anyone would write it."""

    fused: bool = False
    channels_last: bool = False
    live_taps: bool = False
    bf16: bool = False


NETWORKS = {
    "ResNet-18, 7×7 stem, 28×28×1": Network(1, 28, "resnet18", 5),
    "ResNet-18, 3×3 stem, 32×32×3": Network(3, 32, "resnet18", 1),
    "`model=cnn`, 28×28×1": Network(1, 28, "cnn", 20),
}
PLAIN = "plain: eager, fp32, Adam without `fused`"
VARIANTS = {
    PLAIN: Variant(),
    "fused Adam alone": Variant(fused=True),
    "channels_last alone": Variant(channels_last=True),
    "live taps alone": Variant(live_taps=True),
    "all three: the default": Variant(fused=True, channels_last=True, live_taps=True),
    "the default with bf16 autocast": Variant(fused=True, channels_last=True, live_taps=True, bf16=True),
}
SMALL = ("dataset=digits", "model=cnn", "model.width=4", "train.min_steps=0")
BARE, ENGINES = "bare loop", ("plain", "fast")
STEPS_AN_EPOCH = (2, 20)


def stepper(network: Network, variant: Variant) -> Callable[[], None]:
    """Runs the steps of a turn on one resident batch."""
    data = random_images(BATCH, network.channels, network.side)
    model = classifier(
        data,
        f"model={network.model}",
        f"model.live_taps={str(variant.live_taps).lower()}",
        f"optimizer.fused={str(variant.fused).lower()}",
    )
    if not variant.channels_last:
        model.backbone.to(memory_format=torch.contiguous_format)
    optimizer = model.configure_optimizers()["optimizer"]

    def run() -> None:
        for _ in range(network.steps):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16):
                loss = cross_entropy(model(data.pool.images), data.pool.labels)
            loss.backward()
            optimizer.step()

    return run


def steps(network: Network, repeats: int) -> Seconds:
    """Seconds a turn of every variant."""
    return timed({name: stepper(network, variant) for name, variant in VARIANTS.items()}, repeats)


def engines(steps_an_epoch: int, epochs: int, repeats: int) -> Seconds:
    """Seconds of fits of a network so small that what is around its steps shows."""
    quiet_lightning()
    made = {engine: settings(*SMALL, f"trainer.max_epochs={epochs}", f"train.engine={engine}") for engine in ENGINES}
    data, n = build.load_data(made["plain"]), BATCH * steps_an_epoch
    runs: dict[str, Callable[[], object]] = {BARE: partial(bare_loop, data, n, made["plain"])}
    runs |= {engine: partial(fitted, data, n, made[engine]) for engine in ENGINES}
    return timed(runs, repeats)


def bare_loop(data: ImageData, n: int, made: build.Settings) -> None:
    """A fit with the same network, batches, optimizer and schedule, and nothing else."""
    batches = TrainBatches(data.pool.images, data.pool.labels, torch.arange(n), BATCH, np.random.default_rng(0))
    model = build.make_classifier(made, data, 0, n)
    parts = model.configure_optimizers()
    optimizer, scheduler = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    for _ in range(made["trainer"]["max_epochs"]):
        for images, labels in batches:
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
            scheduler.step()


def step_table(threads: list[int], repeats: int) -> list[str]:
    """Images a second of every network and variant, for every thread count."""
    columns = "".join(f" images/s, threads: {count} | ratio |" for count in threads)
    rows = [f"| a step of {BATCH} images |{columns}", "|---|" + "---|---|" * len(threads)]
    for title, network in NETWORKS.items():
        taken = [with_threads(count, steps, network, repeats) for count in threads]
        rows.append(f"| **{title}** |" + " | |" * len(threads))
        for name in VARIANTS:
            row = f"| {name} |"
            for seconds in taken:
                speed = BATCH * network.steps / statistics.median(seconds[name])
                row += f" {speed:,.0f} | {times(seconds, PLAIN, name):.2f} |"
            rows.append(row)
    return rows


def engine_table(n_steps: int, repeats: int) -> list[str]:
    """Microseconds that every engine adds to a step, with short and with long epochs."""
    columns = " | ".join(f"`train.engine={name}` adds, µs" for name in ENGINES)
    rows = [f"| steps an epoch | {BARE}, µs a step | {columns} |", "|---|---|" + "---|" * len(ENGINES)]
    for steps_an_epoch in STEPS_AN_EPOCH:
        epochs = -(-n_steps // steps_an_epoch)
        seconds = with_threads(1, engines, steps_an_epoch, epochs, repeats)
        a_step = 1e6 / (epochs * steps_an_epoch)
        row = f"| {steps_an_epoch} | {a_step * statistics.median(seconds[BARE]):.0f} |"
        for name in ENGINES:
            added = [engine - bare for engine, bare in zip(seconds[name], seconds[BARE], strict=True)]
            row += f" {a_step * statistics.median(added):.0f} |"
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000, help="of a fit that the engines are measured on")
    arguments = parser.parse_args()
    write_section(
        "A training step",
        f"By `python benchmarks/training.py` on {machine()}.",
        f"Medians of {arguments.repeats} turns of all variants in one process, a process a thread count; a ratio is",
        "the median of the ratios within a turn. A step: normalizing a resident batch, forward, backward, Adam.",
        "",
        *step_table(arguments.threads, arguments.repeats),
        "",
        f"Fits of {arguments.steps:,} steps, their start included, against a bare loop over the same network, batches,",
        "optimizer and schedule: `model=cnn model.width=4` on digits, one thread, medians as above.",
        "",
        *engine_table(arguments.steps, arguments.repeats),
    )


if __name__ == "__main__":
    main()
