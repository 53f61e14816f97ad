"""K-means on the features of a pool. Rewrites its section of benchmarks/RESULTS.md.

python benchmarks/clustering.py --data data
python benchmarks/clustering.py --data data --images 500 --labels 50 --repeats 1   # to see it work
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from classifiers import fitted, settings
from in_turn import timed, times
from results import machine, write_section
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.kmeans import cluster, lloyd
from al_lightning.clock import Clock
from al_lightning.data.sources import torchvision_set
from al_lightning.models.inference import evaluating
from al_lightning.models.learner import Learner, Scoring
from al_lightning.trainer import quiet_lightning

CLUSTERS = 12
SKLEARN, TORCH = (
    "scikit-learn, as the strategy calls it on a CPU: one thread",
    "`lloyd` in PyTorch, as it runs on a GPU: the best of four starts",
)


def pool_features(data: str, n: int, n_labels: int) -> Tensor:
    """Features `[n, 512]` of MNIST, by a ResNet-18 that has been fitted on some labels."""
    quiet_lightning()
    images = torchvision_set("mnist", data, download=True)
    made = settings("dataset=mnist", "model=resnet18", "trainer.max_epochs=1", "train.min_steps=0")
    model = fitted(images, n_labels, made)
    with evaluating(model):
        return Candidates(
            Learner(model, images.pool.images, Scoring(256, Clock())), torch.arange(n), np.random.default_rng(0)
        ).features


def inertia(features: Tensor, centroids: Tensor) -> float:
    """Sum of the squared distances to the closest centroid."""
    return torch.cdist(features, centroids).amin(1).double().square().sum().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw, or is to hold it")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--labels", type=int, default=5_000, help="that the network is fitted on, once")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    features = pool_features(arguments.data, arguments.images, arguments.labels)
    found: dict[str, list[Tensor]] = {SKLEARN: [], TORCH: []}

    def run(name: str, means: Callable[[Tensor, int, np.random.Generator], Tensor], rng: np.random.Generator) -> None:
        found[name].append(means(features, CLUSTERS, rng))  # seeds of its own in every turn

    runs = {
        name: partial(run, name, means, np.random.default_rng(0))
        for name, means in ((SKLEARN, cluster), (TORCH, lloyd))
    }
    seconds = timed(runs, arguments.repeats)
    inertias = {name: statistics.median(inertia(features, each) for each in found[name]) for name in runs}
    rows = [
        f"| {name} | {statistics.median(seconds[name]):.2f} | {times(seconds, name, SKLEARN):.2f} "
        f"| {inertias[name] / inertias[SKLEARN]:.4f} |"
        for name in runs
    ]
    write_section(
        "K-means",
        f"By `python benchmarks/clustering.py` on {machine()}, threads: {torch.get_num_threads()}.",
        f"{len(features):,} × {features.shape[1]} features of MNIST, by a ResNet-18 fitted on {arguments.labels:,}",
        f"labels; k = {CLUSTERS}. Medians of {arguments.repeats} turns, each with other seeds; a ratio is the median",
        "of the ratios within a turn.",
        "",
        "| by | seconds | ratio | inertia, ratio |",
        "|---|---|---|---|",
        *rows,
    )


if __name__ == "__main__":
    main()
