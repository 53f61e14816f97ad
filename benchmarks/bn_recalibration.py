"""Whether BatchNorm's statistics should be taken anew after a fit: each fit is measured without and with it.

On images held out from the training part: of random labels, and of the labels that the runs of a study have queried.
The rule, fixed beforehand: `train.bn_recalibrate` is on by default if in no setting the 95% interval of the mean
difference lies below 0, and the worst fit of no setting gets worse. Rewrites its section of benchmarks/RESULTS.md.

    python benchmarks/bn_recalibration.py --data data --runs multirun_outputs/paper_small
"""

import argparse
import statistics
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from choose_defaults import fit, hold_out
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from results import machine, write_section
from scipy.stats import t
from torch import Tensor

from al_lightning import build, config, rounds
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.recalibration import Recalibration

SEEDS = range(100, 110)  # not those of the results
STUDIES = {
    # settings: (images held out, numbers of labels, seeds)
    "dataset=digits": (287, (20, 50, 200, 500), SEEDS[:5]),
    "dataset=digits model=cnn": (287, (20, 50, 200, 500), SEEDS[:5]),
    "dataset=mnist": (5_000, (100, 300, 600, 1000), SEEDS[:3]),
    "dataset=mnist experiment=paper": (5_000, (60, 300), SEEDS[:3]),
    "dataset=mnist experiment=paper_small": (5_000, (60, 300, 780, 1500), SEEDS),
}
ROUNDS = (4, 8, 12)  # of the runs whose queries are looked at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw")
    parser.add_argument("--runs", type=Path, help="a study's folder, of experiment=paper_small")
    arguments = parser.parse_args()
    build.quiet_lightning()
    rows = []
    for study, (held_out, sizes, seeds) in STUDIES.items():
        for labels in sizes:
            pairs = [of_random_labels(study, arguments.data, held_out, labels, seed) for seed in seeds]
            rows.append(row(f"`{study}`, random", labels, pairs))
    if arguments.runs:
        queried = defaultdict(list)
        for folder in sorted(arguments.runs.glob("*-s*-*")):
            for number in ROUNDS if (folder / "rounds" / f"{ROUNDS[-1]:03}").exists() else ():  # no one-shot baseline
                strategy, labels, pair = of_queried_labels(folder, number, arguments.data)
                queried[strategy, labels].append(pair)
        rows += [row(f"labels queried by {strategy}", labels, pairs) for (strategy, labels), pairs in queried.items()]
    write_section(
        "BatchNorm recalibration",
        f"By `python benchmarks/bn_recalibration.py` on {machine()}.",
        "Accuracy on held-out training images of the same fits, without and with `train.bn_recalibrate`. The queried",
        "labels are those of `experiment=paper_small`, seeds 0 to 4.",
        "",
        "| what | labels | fits | mean without | mean with | difference, 95% interval | worst without | with |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    )


def of_random_labels(study: str, root: str, held_out: int, labels: int, seed: int) -> tuple[float, float]:
    """Accuracies of one fit on random labels."""
    with initialize_config_dir(str(config.conf_dir()), version_base="1.3"):
        settings = config.resolved(compose("config", [*study.split(), f"paths.data={root}", f"seed={seed}"]))
    data = hold_out(build.load_data(settings), held_out)
    return both(settings, data, torch.from_numpy(np.random.default_rng(seed).choice(len(data.pool), labels, False)))


def of_queried_labels(folder: Path, number: int, root: str) -> tuple[str, int, tuple[float, float]]:
    """Strategy, number of labels, and accuracies of one fit on what a round of a run was trained on."""
    stored = OmegaConf.load(folder / "config.yaml")
    assert isinstance(stored, DictConfig)
    with initialize_config_dir(str(config.conf_dir()), version_base="1.3"):
        overrides = [f"experiment={stored.experiment}", f"seed={stored.seed}", f"paths.data={root}"]
        settings = config.resolved(compose("config", overrides))
    data = build.load_data(settings)
    since = torch.from_numpy(rounds.read_masks(folder / "rounds" / f"{number:03}" / "masks.npz").labeled_since)
    labeled = ((since >= 0) & (since <= number)).nonzero().squeeze(1)
    rest = (since < 0).nonzero().squeeze(1).numpy()
    part = torch.from_numpy(np.random.default_rng(2026).choice(rest, 5_000, False))
    held_out = ImageSet(data.pool.images[part], data.pool.labels[part], [str(i) for i in part.tolist()])
    return stored.strategy.name, len(labeled), both(settings, replace(data, test=held_out), labeled)


def both(settings: build.Settings, data: ImageData, labeled: Tensor) -> tuple[float, float]:
    """Accuracy of one fit, before and after recalibration."""
    trainer, model, pool = fit(settings, data, labeled)
    before = trainer.test(model, datamodule=pool, verbose=False)[0]["test/acc"]
    Recalibration(pool).on_train_end(trainer, model)
    after = trainer.test(model, datamodule=pool, verbose=False)[0]["test/acc"]
    print(settings["strategy"]["name"], len(labeled), f"{before:.4f} {after:.4f}", file=sys.stderr)
    return before, after


def row(what: str, labels: int, pairs: list[tuple[float, float]]) -> str:
    """A row of the table."""
    without, with_ = zip(*pairs, strict=True)
    differences = [after - before for before, after in pairs]
    mean = statistics.mean(differences)
    half = t.ppf(0.975, len(pairs) - 1) * statistics.stdev(differences) / len(pairs) ** 0.5
    means = " | ".join(f"{statistics.mean(values):.4f}" for values in (without, with_))
    text = (
        f"| {what} | {labels} | {len(pairs)} | {means} | {mean:+.4f}, {mean - half:+.4f} to {mean + half:+.4f} "
        f"| {min(without):.4f} | {min(with_):.4f} |"
    )
    print(text, file=sys.stderr)
    return text


if __name__ == "__main__":
    main()
