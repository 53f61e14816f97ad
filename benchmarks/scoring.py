"""The pass over the pool, and scores from its features. Rewrites its section of benchmarks/RESULTS.md.

python benchmarks/scoring.py
python benchmarks/scoring.py --images 128 64 --repeats 1   # to see it work
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from classifiers import classifier, random_images
from in_turn import timed, times
from results import machine, write_section
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.scores import bald, margin
from al_lightning.acquisition.select import top
from al_lightning.clock import Clock
from al_lightning.models.classifier import Classifier
from al_lightning.models.inference import evaluating, for_scoring
from al_lightning.models.learner import Learner, Scoring

Network = Callable[[Tensor], Tensor]
BATCHES = (64, 256, 1024)
DEFAULT_BATCH = 256
SAMPLES = (20, 100, 200)
QUERY = 60
TRAINED = "as trained"


def folded(network: nn.Module, dtype: torch.dtype | None) -> Network:
    """BatchNorm folded, channels first."""
    return fuse(network).to(memory_format=torch.contiguous_format)


# What the pass makes of the network that was trained.
VARIANTS: dict[str, Callable[[nn.Module, torch.dtype | None], Network]] = {
    TRAINED: lambda network, dtype: network,
    "BatchNorm folded": folded,
    "folded, channels_last: the default": for_scoring,
    "the same in bf16": lambda network, dtype: for_scoring(network, torch.bfloat16),
}


def unlabeled(model: Classifier, images: Tensor, batch_size: int) -> Candidates:
    """All of the images as a strategy gets them."""
    return Candidates(
        Learner(model, images, Scoring(batch_size, Clock())), torch.arange(len(images)), np.random.default_rng(0)
    )


def look(variant: str, model: Classifier, images: Tensor, batch_size: int) -> None:
    """One pass."""
    model.train()  # or it would have the frozen backbone of the last time
    with patch("al_lightning.models.classifier.for_scoring", VARIANTS[variant]), evaluating(model):
        assert unlabeled(model, images, batch_size).inputs.isfinite().all()


def pass_table(models: dict[str, tuple[Classifier, Tensor]], repeats: int) -> list[str]:
    """Images a second of every network, variant and batch size."""
    rows = ["| the pass |" + "".join(f" images/s, batch {size:,} | ratio |" for size in BATCHES)]
    rows.append("|---|" + "---|---|" * len(BATCHES))
    for title, (model, images) in models.items():
        taken = []
        for size in BATCHES:
            runs = {name: partial(look, name, model, images, size) for name in VARIANTS}
            taken.append(timed(runs, repeats, warm_up=0))  # long enough to need none
        rows.append(f"| **{title}**, {len(images):,} images |" + " | |" * len(BATCHES))
        for name in VARIANTS:
            row = f"| {name} |"
            for seconds in taken:
                speed = len(images) / statistics.median(seconds[name])
                row += f" {speed:,.0f} | {times(seconds, TRAINED, name):.2f} |"
            rows.append(row)
    return rows


def choose(model: Classifier, images: Tensor, score: Callable[[Candidates], Tensor], inputs: Tensor | None) -> None:
    """What a strategy does, with a pass of its own or with what one has returned."""
    with evaluating(model):
        pool = unlabeled(model, images, DEFAULT_BATCH)
        if inputs is not None:
            pool.predictions.inputs = inputs
        assert len(top(pool, QUERY, score=score).indices) == QUERY


def score_table(model: Classifier, images: Tensor, repeats: int) -> list[str]:
    """Seconds of strategies, with the pass and without."""
    scores = {"margin": margin} | {f"BALD, T = {count}": partial(bald, mc_samples=count) for count in SAMPLES}
    with evaluating(model):
        inputs = unlabeled(model, images, DEFAULT_BATCH).inputs
    whole, given = (
        timed({name: partial(choose, model, images, score, known) for name, score in scores.items()}, repeats)
        for known in (None, inputs)
    )
    base = f"BALD, T = {SAMPLES[0]}"
    rows = [
        f"| choosing {QUERY} of {len(images):,} images | on given features, s | with the pass, s | ratio to {base} |"
    ]
    rows.append("|---|---|---|---|")
    for name in scores:
        figures = f"{statistics.median(given[name]):.3f} | {statistics.median(whole[name]):.2f}"
        rows.append(f"| {name} | {figures} | {times(whole, name, base):.2f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = [10_000, 1024]
    parser.add_argument("--images", nargs=2, type=int, default=sizes, metavar=("GRAY", "COLOR"), help=f"{sizes}")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    shapes = {"ResNet-18, 7×7 stem, 28×28×1": (1, 28), "ResNet-18, 3×3 stem, 32×32×3": (3, 32)}
    models: dict[str, tuple[Classifier, Tensor]] = {}
    for (title, shape), n in zip(shapes.items(), arguments.images, strict=True):
        data = random_images(n, *shape)
        models[title] = classifier(data, "model=resnet18"), data.pool.images
    gray = next(iter(models.values()))
    write_section(
        "Scoring the pool",
        f"By `python benchmarks/scoring.py` on {machine()}, threads: {torch.get_num_threads()}.",
        f"Medians of {arguments.repeats} turns of all variants in one process; a ratio is the median of the ratios",
        "within a turn. As trained, a network is in channels_last and has its live taps only.",
        "",
        *pass_table(models, arguments.repeats),
        "",
        *score_table(*gray, arguments.repeats),
    )


if __name__ == "__main__":
    main()
