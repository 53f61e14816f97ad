"""Batches by index out of resident images, and by a DataLoader. Rewrites its section of benchmarks/RESULTS.md.

python benchmarks/feeding.py --data data
python benchmarks/feeding.py --data data --images 100 --repeats 1   # to see it work
"""

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
from in_turn import timed, times
from results import machine, write_section
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import MNIST

from al_lightning.data.augment import augment
from al_lightning.data.batches import TrainBatches
from al_lightning.data.images import ImageSet
from al_lightning.data.sources import torchvision_set

BATCH, CROP = 64, 4
MEAN, DEVIATION = 0.1307, 0.3081
RESIDENT = "resident"
WORKERS = (0, 2)


def resident(part: ImageSet, n: int, augmented: bool) -> Callable[[], None]:
    """An epoch of n images as the classifier takes them: by index, normalized and augmented as batches."""
    batches = TrainBatches(part.images, part.labels, torch.arange(n), BATCH, np.random.default_rng(0))
    generator = torch.Generator().manual_seed(0)

    def run() -> None:
        seen = 0
        for images, _ in batches:
            if augmented:
                images = augment(images, CROP, True, generator)
            seen += len((images - 255 * MEAN) / (255 * DEVIATION))
        assert seen == n

    return run


def loaded(data: str, n: int, augmented: bool, workers: int) -> Callable[[], None]:
    """An epoch of n images as torchvision's documentation writes it: image by image, through PIL."""
    steps = [transforms.RandomCrop(28, padding=CROP), transforms.RandomHorizontalFlip()] if augmented else []
    transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize((MEAN,), (DEVIATION,))])
    part = Subset(MNIST(data, transform=transform), range(n))
    batches = DataLoader(part, BATCH, shuffle=True, num_workers=workers)

    def run() -> None:
        assert sum(len(images) for images, _ in batches) == n

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw, or is to hold it")
    parser.add_argument("--images", nargs="+", type=int, default=[600, 10_000], help="of an epoch")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    pool = torchvision_set("mnist", arguments.data, download=True).pool
    rows = []
    for n in arguments.images:
        for augmented in (False, True):
            runs = {RESIDENT: resident(pool, n, augmented)}
            runs |= {f"workers: {count}": loaded(arguments.data, n, augmented, count) for count in WORKERS}
            seconds = timed(runs, arguments.repeats)
            row = f"| {n:,} images{', crop and flip' if augmented else ''} |"
            for name in runs:
                row += f" {n / statistics.median(seconds[name]):,.0f} |"
                if name != RESIDENT:
                    row += f" {times(seconds, name, RESIDENT):.1f} |"
            rows.append(row)
    loaders = "".join(f" DataLoader, workers: {count}, images/s | ratio |" for count in WORKERS)
    write_section(
        "Feeding",
        f"By `python benchmarks/feeding.py` on {machine()}, threads: {torch.get_num_threads()}.",
        f"MNIST in normalized batches of {BATCH}, medians of {arguments.repeats} turns in one process. A ratio is how",
        "many times as fast resident images are: the median of the ratios within a turn. Worker processes start anew",
        "every epoch, as they do by default.",
        "",
        f"| an epoch of | resident, images/s |{loaders}",
        "|---|---|" + "---|---|" * len(WORKERS),
        *rows,
    )


if __name__ == "__main__":
    main()
