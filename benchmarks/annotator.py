"""A scripted annotator at the page's server: what the labels are worth that it is asked for, against random ones.

It answers as the class folders of the images say, as fast as the learner takes answers in, and one answer at a time. Of
each run the accuracy of the last model on the images that have no label is written down, and what the page says of it.

    python benchmarks/annotator.py --images cifar10-jpeg/train --weights tf_efficientnet_lite0.safetensors
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pandas as pd
from results import machine, write_section
from scipy import stats

from al_lightning.label.project import LIVE
from al_lightning.people.answers import Answers
from al_lightning.people.store import STORE, Store

N_IMAGES, N_ANSWERS = 5000, 500
LOOKS = (100, 200, 300, 400, 500)
AHEAD = 10  # answers that the learner may lack
WAIT = 120.0  # seconds
COLUMNS: tuple[str, ...] = (
    "strategy",
    "seed",
    "n_answers",
    "n_labeled",
    "accuracy",
    "stated",
    "low",
    "high",
    "n_random",
    "seconds",
)


def photos(images: Path, folder: Path, seed: int) -> dict[str, str]:
    """Copy some images into one folder under names that say nothing; returns their classes by name."""
    files = sorted(file for file in images.glob("*/*") if file.is_file())
    chosen = random.Random(seed).sample(files, N_IMAGES)
    folder.mkdir()
    names = {f"{number:05d}{file.suffix}": file for number, file in enumerate(chosen)}
    for name, file in names.items():
        shutil.copyfile(file, folder / name)
    return {name: file.parent.name for name, file in names.items()}


def settings(weights: str) -> list[str]:
    """What is typed for the features of EfficientNet-Lite0; of weights that are empty: they are downloaded."""
    typed = ["embedding.model=tf_efficientnet_lite0", "embedding.image_size=96"]
    return [*typed, "dataset.image_size=32", *([f"embedding.weights={weights}"] if weights else [])]


def run(images: Path, strategy: str, seed: int, features: Sequence[str], data: Path) -> list[dict[str, Any]]:
    """One project from its first answer to its last; a row a look."""
    with TemporaryDirectory() as temporary:
        root, project = Path(temporary, "photos"), Path(temporary, "project")
        truth = photos(images, root, seed)
        classes = sorted({*truth.values()})
        arguments = [str(root), "--project", str(project), "--classes", ",".join(classes), "--strategy", strategy]
        arguments += ["--embedding", "timm"]
        typed = [f"paths.data={data}", f"seed={seed}", *features]
        process = subprocess.Popen(
            [sys.executable, "-m", "al_lightning.label", *arguments, "--no-browser", *typed],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            return answered(process, project, truth, {"strategy": strategy, "seed": seed})
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT)


def answered(
    process: subprocess.Popen[str], project: Path, truth: dict[str, str], about: dict[str, Any]
) -> list[dict[str, Any]]:
    """Answer what is asked for."""
    assert process.stdout is not None
    address = next(line.partition(" ")[2].strip() for line in process.stdout if line.startswith("address:"))
    client = httpx.Client(base_url=address.partition("?")[0], timeout=WAIT)
    client.get(address, follow_redirects=True).raise_for_status()
    annotator = client.post("/api/annotators", json={"name": "script"}).raise_for_status().json()["id"]
    state = when(client, lambda state: state["learner"]["phase"] == "waiting")
    number = {each["name"]: each["id"] for each in state["classes"]}
    rows, start, last = [], time.perf_counter(), 0
    for n in range(1, N_ANSWERS + 1):
        (item,) = client.get("/api/next", params={"annotator": annotator, "n": 1, "have": ""}).json()["items"]
        said = {"item": item["item"], "kind": "label", "class": number[truth[item["name"]]]}
        body = {
            "annotator": annotator,
            "action": f"answer-{n:05d}",
            "seconds": 1.0,
            "answers": [said],
            "source": "page",
        }
        last = client.post("/api/answers", json=body).raise_for_status().json()["event"]
        if n % AHEAD == 0:
            state = when(client, partial(has_learned, event=last))
        if n in LOOKS:
            stated = state["estimate"] or {"accuracy": "", "low": "", "high": "", "n": 0}
            accuracy, n_labeled = measured(project, truth)
            row = about | {"n_answers": n, "n_labeled": n_labeled, "accuracy": round(accuracy, 4)}
            row |= {"stated": stated["accuracy"], "low": stated["low"], "high": stated["high"], "n_random": stated["n"]}
            rows.append(row | {"seconds": round(time.perf_counter() - start, 1)})
            print(*rows[-1].values(), flush=True)
    return rows


def when(client: httpx.Client, holds: Callable[[dict[str, Any]], Any], patience: float = WAIT) -> dict[str, Any]:
    """The state, as soon as something holds of it; `patience` in seconds."""
    end = time.monotonic() + patience
    while not holds(state := client.get("/api/state").raise_for_status().json()):
        if state["learner"]["phase"] == "failed" or time.monotonic() > end:
            raise SystemExit(f"error: the learner is not there: {state['learner']}")
        time.sleep(0.1)
    return state


def has_learned(state: dict[str, Any], event: int) -> bool:
    """Whether the model in use was fitted to all answers up to an event."""
    return state["model"] is not None and state["model"]["event"] >= event


def measured(project: Path, truth: dict[str, str]) -> tuple[float, int]:
    """Accuracy of the last model on the images that have no answer, and how many labels it has."""
    store, answers = Store(project / STORE), Answers()
    answers.add(store.events())
    files = {state.item: path for path, state in store.files().items()}
    newest = max((project / LIVE).glob("predictions-*.npz"), key=lambda file: int(file.stem.partition("-")[2]))
    found, names = np.load(newest), store.classes()
    right = [
        names[first] == truth[files[item]]
        for item, first in zip(found["item"].tolist(), found["first"].tolist(), strict=True)
        if item not in answers.labels
    ]
    return float(np.mean(right)), int(found["n_labeled"])


def report(runs: Path) -> None:
    """Write what the runs have come to: strategies against random labels, and how often the stated interval covers."""
    rows = pd.read_csv(runs)
    by_look = rows.pivot_table(index=["n_answers", "seed"], columns="strategy", values="accuracy")
    low, high, accuracy = (rows[name].to_numpy() for name in ("low", "high", "accuracy"))
    n_covered = np.sum((low <= accuracy) & (accuracy <= high))
    lines = []
    for look in LOOKS:
        table = by_look.loc[look]
        for strategy in table.columns.drop("random"):
            gain = table[strategy] - table["random"]
            half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
            means = f"{table[strategy].mean():.3f} | {table['random'].mean():.3f} | {gain.mean():+.3f} ± {half:.3f}"
            lines.append(f"| {look} | {strategy} | {means} |")
    n_seeds, seconds = rows["seed"].nunique(), rows["seconds"].to_numpy()[rows["n_answers"] == LOOKS[-1]]
    write_section(
        "A scripted annotator at the page",
        f"By `benchmarks/annotator.py`, on {machine()}, beside other work. {N_IMAGES:,} photos of CIFAR-10's training "
        f"part in one folder, others for each seed; features of EfficientNet-Lite0 at 96 x 96; a script answers "
        f"{N_ANSWERS} times through the server, one image at a time, and waits for the learner after every "
        f"{AHEAD}. Accuracy of the last model on the images without an answer, mean of {n_seeds} seeds; the difference "
        "is paired, with a 95% t interval. A fifth of the images is drawn at random in either case.",
        "",
        "| answers | strategy | accuracy | of random labels | difference |",
        "|---:|---|---:|---:|---:|",
        *lines,
        "",
        f"The stated 95% interval had the true accuracy in {n_covered} of {len(rows)} looks. {N_ANSWERS} "
        f"answers took {np.median(seconds):.0f} s (median), the waiting for the learner included.",
    )


def main() -> None:
    """Run what the table lacks, and report."""
    parser = argparse.ArgumentParser(description="Label through the server as a script, and measure what it is worth.")
    parser.add_argument("--images", type=Path, required=True, help="class folders of images")
    parser.add_argument("--weights", default="", help="of EfficientNet-Lite0; else they are downloaded")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where features are kept")
    parser.add_argument("--out", type=Path, required=True, help="table that is made, or gone on with")
    parser.add_argument("--strategies", nargs="+", default=["margin", "random"])
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    done = {(row["strategy"], row["seed"]) for row in csv.DictReader(args.out.open())} if args.out.exists() else set()
    for seed in range(args.seeds):
        for strategy in args.strategies:
            if (strategy, str(seed)) in done:
                continue
            rows = run(args.images, strategy, seed, settings(args.weights), args.data.resolve())
            with args.out.open("a", newline="") as file:
                table = csv.DictWriter(file, COLUMNS)
                if not file.tell():
                    table.writeheader()
                table.writerows(rows)
    report(args.out)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
