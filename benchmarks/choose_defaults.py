"""How the default settings were chosen: on images held out from MNIST's training part, never on its test part.

10,000 of the 60,000 training images, drawn once, take the place of the test part. For every variant and seed a model
is trained on 100 and on 1,000 random labels of the other 50,000 with the command's own code. Writes a CSV.

    python benchmarks/choose_defaults.py --data data --out docs/defaults.csv
"""

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from al_lightning import build, config
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.loop import quiet_lightning
from al_lightning.streams import Stream, torch_seed

HELD_OUT = 10_000
LABELS = (100, 1000)
SEEDS = (100, 101, 102)  # not those of the results
VARIANTS = [{"train.schedule": schedule, "train.min_steps": 150} for schedule in ("constant", "linear", "cosine")]
VARIANTS += [{"train.schedule": "cosine", "train.min_steps": steps} for steps in (75, 300)]


def hold_out(data: ImageData) -> ImageData:
    """The pool less the held-out images, and these in place of the test part."""
    order = torch.from_numpy(np.random.default_rng(2026).permutation(len(data.pool)))

    def part(indices: torch.Tensor) -> ImageSet:
        pool = data.pool
        return ImageSet(pool.images[indices], pool.labels[indices], tuple(pool.ids[i] for i in indices.tolist()))

    return replace(data, pool=part(order[HELD_OUT:]), test=part(order[:HELD_OUT]))


def main() -> None:
    """Run all variants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw")
    parser.add_argument("--out", default="docs/defaults.csv", type=Path)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    arguments = parser.parse_args()
    quiet_lightning()
    with initialize_config_dir(str(config.conf_dir()), version_base="1.3"), arguments.out.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["schedule", "min_steps", "labels", "seed", "acc", "nll"])
        for seed in arguments.seeds:
            for variant in VARIANTS:
                for labels in LABELS:
                    overrides = [f"{key}={value}" for key, value in variant.items()]
                    common = ["dataset=mnist", f"paths.data={arguments.data}", f"seed={seed}"]
                    cfg = compose("config", [*common, f"al.initial_size={labels}", *overrides])
                    measures = train(config.resolved(cfg), labels)
                    row = [*variant.values(), labels, seed, measures["test/acc"], measures["test/nll"]]
                    out.writerow(row)
                    file.flush()
                    print(*row, file=sys.stderr)


def train(settings: build.Settings, labels: int) -> dict[str, float]:
    """One fit on random labels, measured on the held-out images."""
    data = hold_out(build.load_data(settings))
    pool = PoolDataModule(data, settings["batch_size"], settings["al"]["pool_batch_size"], settings["seed"])
    initial = torch.from_numpy(np.random.default_rng(settings["seed"]).choice(len(data.pool), labels, replace=False))
    pool.label(initial, data.pool.labels[initial], since=0)
    model = build.make_classifier(settings, data, 0, labels)
    trainer = build.make_trainer(settings, build.fit_length(settings, labels)[0], [])
    torch.manual_seed(torch_seed(settings["seed"], Stream.DROPOUT, 0))
    trainer.fit(model, datamodule=pool)
    return dict(trainer.test(model, datamodule=pool, verbose=False)[0])


if __name__ == "__main__":
    main()
