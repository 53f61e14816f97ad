"""Features of a frozen network on CIFAR-10 (JPEG): what they are worth, and what they cost.

Accuracy of the head by number of random labels, against scikit-learn's at the same regularization; seconds of a round;
images a second against a plain loop with a DataLoader; memory of a run. Rewrites its section of RESULTS.md.

    python benchmarks/embedding.py --images data/cifar10-jpeg --weights tf_efficientnet_lite0.safetensors
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from results import machine, write_section
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, TensorDataset

from al_lightning.data.folder import folder
from al_lightning.data.images import ImageData
from al_lightning.embedding import networks
from al_lightning.embedding.shards import BATCH
from al_lightning.models.convex import choose_weight_decay, fit

MODEL = "tf_efficientnet_lite0"
SIZES, SEEDS = (100, 500, 1000), range(5)
THROUGHPUT = 2048  # images
TURNS = 5


def accuracies(features: Sequence[Tensor], labels: Sequence[Tensor]) -> Iterator[str]:
    """Rows of the table: pool and test part, features standardized."""
    (pool, test), (known, truth) = features, labels
    for n in SIZES:
        ours, theirs = [], []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            chosen = torch.from_numpy(rng.choice(len(pool), n, replace=False))
            rows, answers = pool[chosen].double(), known[chosen]
            decay = choose_weight_decay(rows, answers, 10, rng)
            head = fit(rows, answers, 10, decay, 1e-5, 1000)
            ours.append(float(((test @ head.weight.float().T + head.bias.float()).argmax(1) == truth).float().mean()))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other = LogisticRegression(C=1 / (n * decay), tol=1e-6, max_iter=5000).fit(
                    rows.numpy(), answers.numpy()
                )
            theirs.append(float((other.predict(test.double().numpy()) == truth.numpy()).mean()))
        largest = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        each = ", ".join(f"{value:.3f}" for value in ours)
        yield f"| {n} | {statistics.mean(ours):.4f} ({each}) | {statistics.mean(theirs):.4f} | {largest:.4f} |"


def throughput(data: ImageData, weights: Path, side: int) -> tuple[float, float, float]:
    """Images a second here and in a plain loop, turn by turn, and the largest difference of what they return."""
    find = networks.timm(data, model=MODEL, weights=str(weights), image_size=side).find
    extractor = find(Path(), "") if find else None
    assert extractor is not None
    plain: Any = timm.create_model(MODEL, num_classes=0).eval()
    plain.load_state_dict(load_file(weights), strict=False)
    mean, deviation = (torch.tensor(plain.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    mode, images = plain.pretrained_cfg["interpolation"], data.pool.images[:THROUGHPUT]
    loader = DataLoader(TensorDataset(images), batch_size=BATCH["cpu"])

    def by_hand() -> Tensor:
        found = []
        for (batch,) in loader:
            shown = interpolate(batch.float() / 255, (side, side), mode=mode, antialias=True).clamp(0, 1)
            found.append(plain((shown - mean) / deviation))
        return torch.cat(found)

    module: nn.Module = extractor.module

    def here() -> Tensor:
        return torch.cat([module(batch) for batch in images.split(BATCH["cpu"])])

    seconds: dict[str, list[float]] = {"here": [], "by hand": []}
    difference = 0.0
    with torch.inference_mode():
        for turn in range(TURNS + 1):
            made = {}
            for name, compute in (("here", here), ("by hand", by_hand)):
                start = time.perf_counter()
                made[name] = compute()
                if turn:
                    seconds[name].append(time.perf_counter() - start)
            difference = float((made["here"] - made["by hand"]).abs().max())
    ours, theirs = (THROUGHPUT / statistics.median(each) for each in seconds.values())
    return ours, theirs, difference


# The most memory of a process since it began, whatever the one that started it had.
MEASURED = """
import sys
from al_lightning.__main__ import main
code = main()
with open("/proc/self/status", encoding="ascii") as lines:
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


def run(settings: Sequence[str], place: Path) -> tuple[list[dict[str, str]], float, int]:
    """A run in a process of its own: its rows, its seconds, and the most memory that it held, in MiB."""
    line = [sys.executable, "-c", MEASURED, *settings, "logger=none", f"paths.output_root={place}", "overwrite=true"]
    start = time.perf_counter()
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - start
    (file,) = place.glob("*/*-s*-*/rounds.csv")
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened)), seconds, int(done.stderr.split()[-1]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="CIFAR-10 as JPEG files in class folders")
    parser.add_argument("--weights", type=Path, required=True, help=f"those of {MODEL}, in safetensors")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the features are kept")
    parser.add_argument("--side", type=int, default=96)
    arguments = parser.parse_args()
    cache = str(arguments.data / "folder-cache")
    data = folder(str(arguments.images), 32, 3, 0.2, 0, cache=cache)
    embedder = networks.timm(data, model=MODEL, weights=str(arguments.weights), image_size=arguments.side)
    embedding = embedder.embed(data, arguments.data / "embeddings", torch.device("cpu"))
    mean, deviation = embedding.statistics
    features = [(rows.float() - mean) / deviation for rows in (embedding.pool, embedding.test)]
    table = list(accuracies(features, (data.pool.labels, data.test.labels)))
    ours, theirs, difference = throughput(data, arguments.weights, arguments.side)
    del features
    place = arguments.data / "runs-of-the-benchmark"
    settings = [
        *(
            "dataset=folder",
            f"dataset.root={arguments.images}",
            "dataset.image_size=32",
            f"paths.data={arguments.data}",
        ),
        *("embedding=timm", f"embedding.model={MODEL}", f"embedding.weights={arguments.weights}"),
        *(f"embedding.image_size={arguments.side}", "model=linear", "strategy=margin"),
        *("al.initial_size=800", "al.query_size=100", "al.rounds=3"),
    ]
    rows, seconds, memory = run(settings, place / "linear")
    kept = [sum(float(row[f"seconds/{phase}"]) for phase in ("fit", "score", "select")) for row in rows[1:3]]
    chosen = float(rows[0]["seconds/fit"])
    small = [each for each in settings if not each.startswith(("embedding", "model="))] + ["model=cnn", "al.rounds=1"]
    other, seconds_cnn, _ = run(small, place / "cnn")
    whole = [sum(float(row[key]) for key in row if key.startswith("seconds/")) for row in (rows[1], other[0])]
    print(
        json.dumps({"kept": kept, "chosen": chosen, "memory": memory, "rounds": whole, "runs": [seconds, seconds_cnn]})
    )
    write_section(
        "Features of a frozen network",
        f"By `python benchmarks/embedding.py` on {machine()}, {torch.get_num_threads()} threads.",
        f"CIFAR-10 (JPEG), {len(data.pool)} + {len(data.test)} images; {MODEL} at {arguments.side} x {arguments.side}: "
        f"{embedding.n_features} features.",
        "",
        f"Head fitted by L-BFGS to random labels, weight decay by cross-validation on them, {len(SEEDS)} seeds, "
        "accuracy on all test images; scikit-learn's `LogisticRegression` on the same features and labels at the same "
        "regularization.",
        "",
        "| labels | accuracy (each) | scikit-learn | largest difference |",
        "|---|---|---|---|",
        *table,
        "",
        "| | |",
        "|---|---|",
        f"| images a second, embedded here | {ours:.0f} |",
        f"| the same by timm and a DataLoader | {theirs:.0f} ({ours / theirs:.2f} times) |",
        f"| largest difference of a feature | {difference:.1e} |",
        f"| fit, score and choose (margin) with 900 and 1,000 labels, weight decay kept | "
        f"{', '.join(f'{each:.2f} s' for each in kept)} |",
        f"| a fit with 800 labels that chooses the weight decay | {chosen:.2f} s |",
        f"| a whole round with 900 labels, and one of `model=cnn` with 800 | {whole[0]:.2f} s, {whole[1]:.1f} s |",
        f"| most memory of the run | {memory} MiB |",
    )


if __name__ == "__main__":
    main()
