"""Run folders as a study leaves them, written in milliseconds: for tests of the report, and to measure it.

The numbers are drawn; every file is of the form that a run gives it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

PHASES = {"fit": 1.2, "score": 0.31, "select": 0.012, "test": 0.14, "other": 0.05}
DIGITS = tuple("0123456789")
HOSTILE = ("<script>alert(1)</script>", """a & "b" & 'c'""", "$x_1$", "]]>", "漢", "line\n\x1b[31m\udcff", *"6789")


@dataclass(frozen=True)
class Run:
    """What tells a run from others; the rest of its files follows from the seed."""

    strategy: str = "random"
    seed: int = 0
    dataset: str = "digits"
    model: str = "cnn"
    rounds: int = 6  # that are committed
    planned: int | None = None  # as many, unless it says more
    state: str = "finished"
    initial: int = 20
    query: int = 10
    classes: tuple[str, ...] = DIGITS
    pool: int = 1000
    clusters: int = 12
    gain: float = 0.0  # accuracy that the strategy is better by
    sided: bool = True  # with the files of this version: pool.npz, reliability, scores, strips

    @property
    def name(self) -> str:
        key = f"{self.clusters:04x}{self.initial:04x}"
        return f"{self.dataset}-{self.model}-{self.strategy}-s{self.seed}-{key}"


def study(
    folder: Path, strategies: Iterable[str], seeds: Iterable[int], run: Run = Run(), gains: Sequence[float] = ()
) -> list[Path]:
    """Write a run a strategy and seed; each strategy is better than the one before, unless `gains` says else."""
    seeds = list(seeds)
    return [
        write(folder, replace(run, strategy=strategy, seed=seed, gain=run.gain + (gains[i] if gains else 0.01 * i)))
        for i, strategy in enumerate(strategies)
        for seed in seeds
    ]


def write(folder: Path, run: Run) -> Path:
    """Write a run folder into the folder of its study."""
    path = folder / run.name
    path.mkdir(parents=True)
    planned = run.planned or run.rounds
    (path / "config.yaml").write_text(config(run, folder.name, planned - 1))
    rng = np.random.default_rng([run.seed, sum(run.strategy.encode()), run.clusters])
    labels = run.initial + run.query * np.arange(run.rounds)
    own = 0.01 * np.random.default_rng(run.seed).standard_normal()
    noise = 0.004 * rng.standard_normal(run.rounds)
    accuracy = (0.96 - 0.5 * np.exp(-labels / 120) + run.gain + own + noise).clip(0, 1)
    rows = [_row(i, int(n), float(a)) for i, (n, a) in enumerate(zip(labels, accuracy, strict=True))]
    _csv(path / "rounds.csv", list(rows[0]), [row.values() for row in rows])
    order = rng.permutation(run.pool)[: run.query * run.rounds]
    queries = [_query(run, i, order) for i in range(run.rounds - 1)]
    columns = ("round", "rank", "index", "id", "score", "label", "predicted")
    _csv(path / "queries.csv", columns, [row for rows in queries for row in rows])
    for i, row in enumerate(rows):
        _round(path / "rounds" / f"{i:03d}", run, row, queries[i] if i < len(queries) else [], i + 1 == planned)
    if run.sided:
        (path / "pool.npz").write_bytes(_pool(run.pool, len(run.classes)))
    (path / "summary.json").write_text(json.dumps(summary(run, folder.name, planned, rows), indent=2))
    return path


def config(run: Run, study: str, rounds: int) -> str:
    """A configuration as Hydra resolves it."""
    scored = {
        "random": "{}",
        "kmeans": f"{{_target_: al_lightning.acquisition.kmeans.boundary, n_clusters: {run.clusters}}}",
    }
    name = json.dumps(run.strategy)
    score = scored.get(run.strategy, "{_target_: al_lightning.acquisition.scores.margin, _partial_: true}")
    return f"""\
seed: {run.seed}
study: {study}
experiment: null
batch_size: 64
debug: false
dry_run: false
resume: null
overwrite: false
al: {{initial_size: {run.initial}, query_size: {run.query}, rounds: {rounds}, budget: null, val_size: 0, \
n_clusters: {run.clusters}, mc_samples: 100}}
train: {{min_steps: 150, schedule: cosine}}
dataset: {{name: {run.dataset}, _target_: al_lightning.data.digits, augment: none}}
strategy: {{name: {name}, _target_: al_lightning.acquisition.select.top, _partial_: true, score: {score}}}
model: {{name: {run.model}, _target_: al_lightning.models.backbones.cnn, width: 16, dropout: 0.5}}
optimizer: {{name: adam, _target_: torch.optim.Adam, lr: 0.0005, weight_decay: 0.0}}
trainer: {{name: default, max_epochs: 10, accelerator: auto, devices: 1, precision: 32-true}}
logger: {{name: none}}
paths: {{output_root: multirun_outputs, data: data}}
"""


def summary(run: Run, study: str, planned: int, rows: Sequence[dict[str, float]]) -> dict[str, object]:
    """What `summary.json` holds, as far as the report looks at it."""
    return {
        "state": run.state,
        "finished": run.state == "finished",
        "name": run.name,
        "study": study,
        "rounds_done": run.rounds,
        "rounds_planned": planned,
        "pool_size": run.pool,
        "classes": list(run.classes),
        "image_shape": [1, 8, 8],
        "n_labeled": rows[-1]["n_labeled"],
        "data_fingerprint": run.dataset,
        "threads": 1,
        "device": "cpu",
        "hardware": {"processor": "a processor", "cores": 2, "gpu": None},
        "versions": {"al_lightning": "0.1.0", "python": "3.11.9", "torch": "2.11.0"},
    }


def _row(number: int, labels: int, accuracy: float) -> dict[str, float]:
    measures = (accuracy, accuracy - 0.004, accuracy - 0.006, 1 - (1 - accuracy) / 8, 3 * (1 - accuracy), 0.02)
    names = ("acc", "balanced_acc", "f1", "auroc", "nll", "ece")
    return {
        "round": number,
        "n_labeled": labels,
        "n_paid": labels,
        **{f"test/{name}": value for name, value in zip(names, measures, strict=True)},
        **{f"seconds/{phase}": seconds + 0.001 * number for phase, seconds in PHASES.items()},
    }


def _query(run: Run, number: int, order: np.ndarray) -> list[tuple[object, ...]]:
    asked = order[run.query * number : run.query * (number + 1)]
    label = _labels(run.pool, len(run.classes))[asked]
    score = "" if run.strategy == "random" else 0.5
    return [
        (number, rank, index, f"{run.dataset}/{index}", score, klass, klass)
        for rank, (index, klass) in enumerate(zip(asked.tolist(), label.tolist(), strict=True))
    ]


def _round(folder: Path, run: Run, row: dict[str, float], queries: list[tuple[object, ...]], is_last: bool) -> None:
    folder.mkdir(parents=True)
    (folder / "measures.json").write_text(json.dumps(row, indent=2))
    (folder / "environment.json").write_text('{"threads": 1}')
    (folder / "SHA256SUMS").write_text("")
    (folder / "masks.npz").write_bytes(b"")  # of no use to the report
    (folder / "confusion.csv").write_text(_confusion(len(run.classes)))
    if run.sided:
        (folder / "reliability.csv").write_text(_reliability())
        if not is_last:
            (folder / "queries.png").write_bytes(_strip(min(10, run.query), run.seed % 5))
            if run.strategy != "random":
                (folder / "scores.csv").write_text(_scores())
    if queries:
        _csv(folder / "queries.csv", ("round", "rank", "index", "id", "score", "label", "predicted"), queries)


def _csv(file: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@cache
def _labels(pool: int, classes: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, classes, pool)


@cache
def _pool(pool: int, classes: int) -> bytes:
    label, buffer = _labels(pool, classes), BytesIO()
    rng = np.random.default_rng(2)
    angle = 2 * np.pi * label / classes
    position = np.stack((np.cos(angle), np.sin(angle)), 1) + 0.3 * rng.standard_normal((pool, 2))
    explained = np.array([0.148, 0.136], np.float32)
    np.savez_compressed(buffer, position=position.astype(np.float16), explained=explained, label=label.astype(np.int16))
    return buffer.getvalue()


@cache
def _confusion(classes: int) -> str:
    matrix = np.random.default_rng(3).poisson(1.2, (classes, classes)) + 90 * np.eye(classes, dtype=int)
    lines = [range(classes), *matrix.tolist()]
    return "\n".join(",".join(map(str, line)) for line in lines) + "\n"


@cache
def _reliability() -> str:
    lines = ["bin,n,confidence,accuracy", *(f"{i},0,," for i in range(3))]
    lines += [f"{i},{int(1.6**i)},{(i + 0.5) / 15:.6f},{((i + 0.5) / 15) ** 1.2:.6f}" for i in range(3, 15)]
    return "\n".join(lines) + "\n"


@cache
def _scores() -> str:
    edges = np.linspace(-1, 0, 41)
    pool = (900 * np.exp(3 * edges[:-1])).astype(int)
    lines = [
        f"{low},{high},{n},{10 if i == 39 else 0}"
        for i, (low, high, n) in enumerate(zip(edges[:-1], edges[1:], pool, strict=True))
    ]
    return "\n".join(["low,high,pool,queried", *lines]) + "\n"


@cache
def _strip(tiles: int, kind: int) -> bytes:
    pixels = np.random.default_rng(kind).integers(0, 255, (8, 8 * tiles), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).resize((64 * tiles, 64), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
