"""How often the page's interval of the accuracy covers, and the confidence sequence misses: simulated projects.

A project is a pool of 5,000 images of CIFAR-10, logistic regression on 64 principal components of their stored
features, and 500 answers, 10 at a time, 2 of them of images drawn at random and 8 of those that `--mode` chooses: the
smallest margins, the surest predictions (as one who only works in the grid), random ones, or half margins and half
surest. Without `--embedding` the pool is scikit-learn's 1,797 digits. A project is a row of OUT; those that are there
are not computed again.

    python benchmarks/labeling.py out.csv --embedding data/embeddings/KEY --images cifar10-jpeg/train --jobs 2
    python benchmarks/labeling.py digits.csv --projects 20
"""

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from statsmodels.stats.proportion import proportion_confint
from threadpoolctl import threadpool_limits

from al_lightning.label.estimate import MORE, Trials, accuracy, expected, sequences
from al_lightning.stopping.anytime import ALPHA

POOL, DIMENSIONS, FIRST, STEP, RANDOM, LAST = 5000, 64, 10, 10, 2, 500
LOOKS = (200, 500)
SEED = 10_000  # of the first project; on seeds below, the rule was chosen
MODES = ("margin", "grid", "random", "half")
INVERSE_DECAYS, FOLDS = [1e-4, 1e-3, 1e-2, 1e-1, 1.0], 3
FIT: dict[str, Any] = {"max_iter": 300, "tol": 1e-3}
Floats = npt.NDArray[np.floating]
Rows = tuple[Floats, npt.NDArray[np.integer]]


@cache
def data(embedding: Path | None, images: Path | None) -> Rows:
    """Features of unit variance `[N, D]` and labels `[N]`."""
    if embedding is None or images is None:
        from sklearn.datasets import load_digits

        rows, labels = map(np.asarray, load_digits(return_X_y=True))
    else:
        rows, labels = stored(embedding, images)
    rows = (rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-6)
    _, vectors = np.linalg.eigh(rows.T @ rows)
    reduced = rows @ vectors[:, ::-1][:, :DIMENSIONS]
    return reduced / np.maximum(reduced.std(0), 1e-6), labels


def stored(embedding: Path, images: Path) -> Rows:
    """Rows of an embedding's folder, of the images of class folders, which are known there by their pixels."""
    import json

    import torch
    from PIL import Image

    from al_lightning.embedding.store import DIGEST, DIGESTS, MANIFEST, ROWS, digests

    width = json.loads((embedding / MANIFEST).read_text(encoding="utf-8"))["n_features"]
    known = np.frombuffer((embedding / DIGESTS).read_bytes(), DIGEST)
    place = {digest.tobytes(): i for i, digest in enumerate(known)}
    files = [(label, file) for label, each in enumerate(sorted(images.iterdir())) for file in sorted(each.glob("*"))]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for _, file in files]).transpose(0, 3, 1, 2)
    at = [place[digest.tobytes()] for digest in digests(torch.from_numpy(pixels))]
    rows = np.memmap(embedding / ROWS, np.float16, "r", shape=(len(known), width))
    return np.asarray(rows[at], np.float32), np.array([label for label, _ in files])


def chosen(mode: str, probabilities: Floats, n: int, rng: np.random.Generator) -> npt.NDArray[np.integer]:
    """Places of n images, by their probabilities `[U, C]`."""
    ordered = np.sort(probabilities, axis=1)
    margin, surest = np.argsort(ordered[:, -1] - ordered[:, -2]), np.argsort(-ordered[:, -1])
    if mode == "half":
        smallest = margin[: n // 2]
        return np.concatenate([smallest, surest[~np.isin(surest, smallest)][: n - n // 2]])
    return {"margin": margin, "grid": surest, "random": rng.permutation(len(ordered))}[mode][:n]


def decay(rows: Floats, labels: npt.NDArray[np.integer], seed: int) -> float:
    """Inverse weight decay by cross-validation, of the classes that are in every fold."""
    enough = np.isin(labels, np.flatnonzero(np.bincount(labels) >= FOLDS))
    if len(np.unique(labels[enough])) < 2:
        return INVERSE_DECAYS[len(INVERSE_DECAYS) // 2]
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    search = GridSearchCV(LogisticRegression(**FIT), {"C": INVERSE_DECAYS}, cv=folds, refit=False)
    return search.fit(rows[enough], labels[enough]).best_params_["C"]


def models(rows: Floats, labels: npt.NDArray[np.integer], mode: str, seed: int) -> Iterator[dict[str, Any]]:
    """A project, model by model: its labels, and of the unlabeled images what it says and the draws among them."""
    rng = np.random.default_rng(seed)
    mine = rng.permutation(len(labels))[:POOL]
    rows, labels = rows[mine], labels[mine]
    known = np.arange(len(mine)) < FIRST
    power, again = 0.0, 0
    while known.sum() <= LAST + MORE:
        n = int(known.sum())
        if n >= again:  # as the learner does: when the labels have doubled
            power, again = decay(rows[known], labels[known], seed), 2 * n
        model = LogisticRegression(C=power, **FIT).fit(rows[known], labels[known])
        left = np.flatnonzero(~known)
        probabilities = model.predict_proba(rows[left])
        drawn = rng.choice(len(left), RANDOM, replace=False)
        correct = model.classes_[probabilities.argmax(1)] == labels[left]
        yield {"n": n, "probability": probabilities.max(1), "correct": correct, "drawn": drawn, "label": labels[left]}
        rest = np.setdiff1d(np.arange(len(left)), drawn)
        also = rest[chosen(mode, probabilities[rest], STEP - RANDOM, rng)]
        known[left[np.concatenate([drawn, also])]] = True


def project(seed: int, mode: str, embedding: Path | None, images: Path | None) -> dict[str, float]:
    """A row of the table: what was said at every look, and what was true."""
    with threadpool_limits(1):
        steps = [*models(*data(embedding, images), mode, seed)]
    found: dict[str, float] = {"seed": seed}
    true = {step["n"]: step["correct"].mean() for step in steps}
    drawn = trials([step for step in steps if step["n"] < LAST])
    for look in LOOKS:
        now = next(step for step in steps if step["n"] == look)
        known = drawn.where(drawn.n_labeled < look)
        share = accuracy(known, now["probability"], look)
        gain = expected(known, look, price=1, seconds=None)
        assert share is not None and gain is not None
        plain = known.correct[2 * known.n_labeled >= look]
        low, high = np.asarray(proportion_confint(plain.sum(), len(plain), ALPHA, method="wilson"), dtype=float)
        values = (
            *zip(("true", "gain_true"), (true[look], true[look + MORE] - true[look]), strict=True),
            *zip(("estimate", "low", "high"), (share.accuracy, share.low, share.high), strict=True),
            *zip(("plain", "plain_low", "plain_high"), (plain.mean(), low, high), strict=True),
            *zip(("gain", "gain_low", "gain_high"), (gain.gain, gain.low, gain.high), strict=True),
        )
        found |= {f"{key}_{look}": float(value) for key, value in values}
    return found | {"missed": float(missed(drawn, [step for step in steps if step["n"] < LAST]))}


def trials(steps: list[dict[str, Any]]) -> Trials:
    """The draws of models."""
    columns = (
        np.concatenate([step[key][step["drawn"]] for step in steps]) for key in ("probability", "correct", "label")
    )
    return Trials(np.repeat([step["n"] for step in steps], RANDOM), *columns)


def missed(known: Trials, steps: list[dict[str, Any]]) -> bool:
    """Whether a confidence sequence, looked at after every draw, is ever wrong."""
    chance = []  # of the draws of a model, a later one is from what the earlier ones have left
    for step in steps:
        here = step["correct"][step["drawn"]].astype(float)
        chance += [*((step["correct"].sum() - here.cumsum() + here) / (len(step["correct"]) - np.arange(RANDOM)))]
    place = np.arange(len(chance))
    for n in place + 1:
        for each in sequences(known.where(place < n)):
            mean = np.mean(np.array(chance[:n])[known.n_labeled[:n] >= each.start])
            if not each.low - 1e-9 <= mean <= each.high + 1e-9:
                return True
    return False


def report(file: Path) -> None:
    """Print the table of what is in a file."""
    with file.open(encoding="utf-8", newline="") as lines:
        read = [*csv.DictReader(lines)]
    rows = {key: np.array([float(row[key]) for row in read]) for key in read[0]}
    n = len(read)

    def share(mask: npt.NDArray[np.bool_]) -> str:
        low, high = np.asarray(proportion_confint(mask.sum(), n, ALPHA, method="beta"), dtype=float)
        return f"{mask.mean():.1%} ({low:.1%} to {high:.1%})"

    print(f"{n:,} projects. In brackets: 95% interval of a share (Clopper and Pearson).\n")
    print("| labels | rule | true value, mean | covers | width, mean | bias | root mean square error |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    kinds = (
        ("the page's", "true", "estimate", "low", "high"),
        ("draws since half of the labels, as they are, Wilson", "true", "plain", "plain_low", "plain_high"),
        ("expected gain of 100 labels", "gain_true", "gain", "gain_low", "gain_high"),
    )
    for look in LOOKS:
        for name, *keys in kinds:
            truth, said, low, high = (rows[f"{key}_{look}"] for key in keys)
            covers, error = (low - 1e-9 <= truth) & (truth <= high + 1e-9), said - truth
            numbers = (f"{(high - low).mean():.3f}", f"{error.mean():+.4f}", f"{np.sqrt((error**2).mean()):.4f}")
            print(f"| {look} | {name} | {truth.mean():.4f} | {share(covers)} | {' | '.join(numbers)} |")
    print(f"\nA confidence sequence ever missed in {share(rows['missed'] > 0)}, looked at after every draw.")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="table of the projects, a CSV file")
    parser.add_argument("--embedding", type=Path, help="a folder of paths.data/embeddings")
    parser.add_argument("--images", type=Path, help="the images it is of, in class folders")
    parser.add_argument("--mode", choices=MODES, default="margin")
    parser.add_argument("--projects", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    there: set[int] = set()
    if given.out.exists():
        with given.out.open(encoding="utf-8", newline="") as lines:
            there = {int(float(row["seed"])) for row in csv.DictReader(lines)}
    seeds = [seed for seed in range(SEED, SEED + given.projects) if seed not in there]
    one = partial(project, mode=given.mode, embedding=given.embedding, images=given.images)
    with ProcessPoolExecutor(given.jobs) as workers, given.out.open("a", encoding="utf-8", newline="") as lines:
        table = None
        for row in workers.map(one, seeds):
            table = table or csv.DictWriter(lines, row)
            if not lines.tell():
                table.writeheader()
            table.writerow({key: f"{value:.6g}" for key, value in row.items()})
            lines.flush()
    report(given.out)


if __name__ == "__main__":
    main()
