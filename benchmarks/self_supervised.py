"""Features learned from the pool itself, without labels: `embedding=patches` against SimCLR, by what they cost.

CIFAR-10 (JPEG); 10,000 images of the pool, drawn once, are held out to be measured on. SimCLR (Chen et al. 2020) trains
a small convolutional network for so many minutes. Rewrites its section of RESULTS.md.

    python benchmarks/self_supervised.py --images data/cifar10-jpeg --minutes 1 10
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from results import machine, write_section
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, normalize

from al_lightning.data.folder import folder
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.embedding.patches import patches
from al_lightning.embedding.pixels import pixels
from al_lightning.models.convex import choose_weight_decay, fit

HELD_OUT, SIZES, SEEDS = 10_000, (100, 500, 1000), range(3)
BATCH, TEMPERATURE, RATE = 256, 0.5, 1e-3


def split(data: ImageData) -> ImageData:
    """The pool, a part of it held out in place of the test part."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data.pool)))
    parts = [
        ImageSet(data.pool.images[rows], data.pool.labels[rows], [data.pool.ids[int(row)] for row in rows])
        for rows in (order[HELD_OUT:], order[:HELD_OUT])
    ]
    return ImageData(parts[0], parts[1], data.classes)


def accuracies(pool: Tensor, held_out: Tensor, data: ImageData) -> list[float]:
    """Of logistic regression on standardized features, in mean over random labels, a figure a number of them."""
    mean, deviation = pool.float().mean(0), pool.float().std(0).clamp(min=1e-4)
    rows, test = ((part.float() - mean) / deviation for part in (pool, held_out))
    found = []
    for n in SIZES:
        each = []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            chosen = torch.from_numpy(rng.choice(len(rows), n, replace=False))
            some, labels = rows[chosen].double(), data.pool.labels[chosen]
            decay = choose_weight_decay(some, labels, len(data.classes), rng)
            head = fit(some, labels, len(data.classes), decay, 1e-4, 1000)
            predicted = (test @ head.weight.float().T + head.bias.float()).argmax(1)
            each.append(float((predicted == data.test.labels).float().mean()))
        found.append(statistics.mean(each))
    return found


def views(images: Tensor) -> Tensor:
    """Random crops with their mirror images, colors changed, some gray: `[B, 3, H, W]`, values about 0."""
    n = len(images)
    scale, ratio = torch.empty(n).uniform_(0.2, 1).sqrt(), torch.empty(n).uniform_(-0.29, 0.29).exp().sqrt()
    width, height = (scale * ratio).clamp(max=1), (scale / ratio).clamp(max=1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = width * ((torch.rand(n) < 0.5) * 2.0 - 1)
    theta[:, 1, 1] = height
    theta[:, 0, 2], theta[:, 1, 2] = ((torch.rand(n) * 2 - 1) * (1 - side) for side in (width, height))
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    shown = grid_sample(images, grid, align_corners=False)
    on = (torch.rand(n, 1, 1, 1) < 0.8).float()
    brightness, contrast, saturation = (1 + (torch.rand(n, 1, 1, 1) - 0.5) * 0.8 * on for _ in range(3))
    shown = shown * brightness
    shown = (shown - (mean := shown.mean((1, 2, 3), keepdim=True))) * contrast + mean
    shown = (
        (shown - (gray := shown.mean(1, keepdim=True))) * saturation + gray + (torch.rand(n, 3, 1, 1) - 0.5) * 0.2 * on
    )
    is_gray = (torch.rand(n, 1, 1, 1) < 0.2).float()
    return shown * (1 - is_gray) + shown.mean(1, keepdim=True) * is_gray


def simclr(data: ImageData, minutes: float, width: int = 32) -> tuple[Tensor, Tensor, float]:
    """Features of pool and held-out images by a network that was trained for so long, and the epochs that it had."""
    torch.manual_seed(0)

    def layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )

    network = nn.Sequential(
        layer(3, width, 1),
        layer(width, 2 * width, 2),
        layer(2 * width, 4 * width, 2),
        layer(4 * width, 8 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).to(memory_format=torch.channels_last)
    head = nn.Sequential(nn.Linear(8 * width, 8 * width), nn.ReLU(), nn.Linear(8 * width, 64))
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=RATE)
    start, seen, images = time.perf_counter(), 0, data.pool.images
    partner = torch.cat([torch.arange(BATCH) + BATCH, torch.arange(BATCH)])
    while (done := (time.perf_counter() - start) / (60 * minutes)) < 1:
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * done))
        batch = images[torch.randint(len(images), (BATCH,))].float() / 255 - 0.5
        both = views(torch.cat([batch, batch])).contiguous(memory_format=torch.channels_last)
        z = normalize(head(network(both)), dim=1)
        similarity = (z @ z.T / TEMPERATURE).fill_diagonal_(float("-inf"))
        optimizer.zero_grad()
        cross_entropy(similarity, partner).backward()
        optimizer.step()
        seen += BATCH
    network.eval()
    with torch.inference_mode():
        pool, test = (
            torch.cat([network(some.float() / 255 - 0.5) for some in part.images.split(500)])
            for part in (data.pool, data.test)
        )
    return pool, test, seen / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="CIFAR-10 as JPEG files in class folders")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where decoded images are kept")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    arguments = parser.parse_args()
    data = split(folder(str(arguments.images), 32, 3, 0.2, 0, cache=str(arguments.data / "folder-cache")))
    rows = []
    for name, embedder in {"pixels": pixels(data), "`embedding=patches`": patches(data)}.items():
        with tempfile.TemporaryDirectory() as place:
            start = time.perf_counter()
            found = embedder.embed(data, Path(place), torch.device("cpu"))
            seconds = time.perf_counter() - start
            rows.append((name, seconds, found.n_features, accuracies(found.pool, found.test, data)))
    for minutes in arguments.minutes:
        start = time.perf_counter()
        pool, test, epochs = simclr(data, minutes)
        name, seconds = f"SimCLR, {minutes:g} min, {epochs:.1f} epochs", time.perf_counter() - start
        rows.append((name, seconds, pool.shape[1], accuracies(pool, test, data)))
    write_section(
        "Features learned from the pool",
        f"By `python benchmarks/self_supervised.py` on {machine()}, {torch.get_num_threads()} threads.",
        f"CIFAR-10 (JPEG), {len(data.pool)} images of the pool to learn from, {HELD_OUT} others of it to measure on; "
        f"logistic regression on random labels, weight decay by cross-validation, mean of {len(SEEDS)} seeds. SimCLR "
        "trains four convolutions of 32 to 256 channels with batches of 256; seconds are of learning and of the "
        "features of all 50,000.",
        "",
        "| features | seconds | features an image | " + " | ".join(f"{n} labels" for n in SIZES) + " |",
        "|---|---|---|" + "---|" * len(SIZES),
        *(
            f"| {name} | {seconds:.0f} | {n} | " + " | ".join(f"{each:.3f}" for each in found) + " |"
            for name, seconds, n, found in rows
        ),
    )


if __name__ == "__main__":
    main()
