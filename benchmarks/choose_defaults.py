"""How the default settings were chosen: on images held out from the training part, never on the test part.

A share of the training images (10,000 of MNIST, 287 of digits), drawn once, takes the place of the test part. For every
variant and seed a model is trained on random labels of the others with the command's own code. Appends to a CSV.

    python benchmarks/choose_defaults.py mnist --data data
    python benchmarks/choose_defaults.py digits
    python benchmarks/choose_defaults.py mnist-cnn
    python benchmarks/choose_defaults.py mnist-quick
    python benchmarks/choose_defaults.py digits-quick
"""

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from al_lightning import build
from al_lightning.config import schema
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.models.classifier import Classifier
from al_lightning.models.fit_check import FitCheck
from al_lightning.streams import Stream, torch_seed
from al_lightning.trainer import make_trainer, quiet_lightning

SEEDS = (100, 101, 102)  # not those of the results
SCHEDULES = ["train.schedule=constant", "train.schedule=linear", "train.schedule=cosine"]
STEPS = ["train.min_steps=75", "train.min_steps=300"]
QUICK = [
    f"experiment=quick optimizer.lr={lr} model.width={width} model.dropout={dropout}"
    for lr in (0.001, 0.002, 0.005, 0.01)
    for width, dropout in ((16, 0.25), (32, 0.25), (32, 0.5))
]
STUDIES = {
    # data set: (images held out, numbers of labels, variants of the settings)
    "mnist": (
        10_000,
        (100, 1000),
        [f"{schedule} train.min_steps=150" for schedule in SCHEDULES]
        + [f"train.schedule=cosine {steps}" for steps in STEPS],
    ),
    "mnist-cnn": (  # of experiment=paper_small
        2_000,
        (180, 1020),
        [f"model=cnn model.width=16 optimizer.lr={lr}" for lr in (0.001, 0.002, 0.005, 0.01)]
        + [f"model=cnn model.width=16 optimizer.lr={lr} model.dropout=0.25" for lr in (0.002, 0.005, 0.01)],
    ),
    # of experiment=quick
    "mnist-quick": (2_000, (100, 500, 1000), QUICK),
    "digits-quick": (287, (20, 100, 200), QUICK),
    "digits": (287, (50, 200, 500), ["model.stem=imagenet", "model.stem=small"]),
}


def hold_out(data: ImageData, n: int) -> ImageData:
    """The pool less n held-out images, and these in place of the test part."""
    order = torch.from_numpy(np.random.default_rng(2026).permutation(len(data.pool)))

    def part(indices: torch.Tensor) -> ImageSet:
        pool = data.pool
        return ImageSet(pool.images[indices], pool.labels[indices], tuple(str(pool.ids[i]) for i in indices.tolist()))

    return replace(data, pool=part(order[n:]), test=part(order[:n]))


def main() -> None:
    """Run all variants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw")
    parser.add_argument("--out", default="docs/defaults.csv", type=Path)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    arguments = parser.parse_args()
    quiet_lightning()
    held_out, sizes, variants = STUDIES[arguments.study]
    with (
        initialize_config_dir(str(schema.conf_dir()), version_base="1.3"),
        arguments.out.open("a", newline="", encoding="utf-8") as file,
    ):
        out = csv.writer(file, lineterminator="\n")
        if not file.tell():
            out.writerow(["dataset", "settings", "labels", "seed", "acc", "nll"])
        for seed in arguments.seeds:
            for variant in variants:
                for labels in sizes:
                    common = [
                        f"dataset={arguments.study.partition('-')[0]}",
                        f"paths.data={arguments.data}",
                        f"seed={seed}",
                    ]
                    measures = train(schema.resolved(compose("config", [*common, *variant.split()])), labels, held_out)
                    row = [arguments.study, variant, labels, seed]
                    row += [f"{measures[name]:.4f}" for name in ("test/acc", "test/nll")]
                    out.writerow(row)
                    file.flush()
                    print(*row, file=sys.stderr)


def train(settings: build.Settings, labels: int, held_out: int) -> dict[str, float]:
    """One fit on random labels, measured on the held-out images."""
    data = hold_out(build.load_data(settings), held_out)
    initial = np.random.default_rng(settings["seed"]).choice(len(data.pool), labels, replace=False)
    trainer, model, pool = fit(settings, data, torch.from_numpy(initial))
    return dict(trainer.test(model, datamodule=pool, verbose=False)[0])


def fit(settings: build.Settings, data: ImageData, labeled: Tensor) -> tuple[pl.Trainer, Classifier, PoolDataModule]:
    """One fit on the images of these indices."""
    pool = PoolDataModule(data, settings["batch_size"], 256, settings["seed"], whole_epochs=True)
    pool.label(labeled, data.pool.labels[labeled], since=0)
    model = build.make_classifier(settings, data, 0, len(labeled))
    epochs = build.fit_length(settings, len(labeled))[0]
    trainer = make_trainer(settings, epochs, [FitCheck(pool, build.fit_rule(settings), epochs)])
    torch.manual_seed(torch_seed(settings["seed"], Stream.DROPOUT, 0))
    trainer.fit(model, datamodule=pool)
    return trainer, model, pool


if __name__ == "__main__":
    main()
