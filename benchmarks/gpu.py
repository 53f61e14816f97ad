"""Steps, rounds and sweeps on a GPU. Rewrites benchmarks/RESULTS-GPU.md.

python benchmarks/gpu.py --data data
python benchmarks/gpu.py --parts steps --steps 1 --repeats 1 --device cpu   # to see it work; writes nothing
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from classifiers import random_images, settings
from in_turn import timed, times
from results import RESULTS_GPU, machine, write_section
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from al_lightning import build
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData
from al_lightning.runs import environment
from al_lightning.trainer import make_trainer, quiet_lightning

BATCH = 64
NETWORKS = {
    "7×7 stem, 28×28×1, live taps": (1, 28, ("model.stem=imagenet",)),
    "7×7 stem, 28×28×1": (1, 28, ("model.stem=imagenet", "model.live_taps=false")),
    "3×3 stem, 32×32×3": (3, 32, ("model.stem=small",)),
}
ENGINES = ("plain", "fast", "graph")
PRECISIONS = {"fp32": (), "TF32": ("train.tf32=true",), "bf16": ("trainer.precision=bf16-mixed",)}
PHASES = ("fit", "score", "select", "test", "other")
AT = (0.001, 0.02, 0.05, 0.1, 0.149)  # of the pool labeled: rounds of the paper's protocol that are measured


class Fits:
    """Fits of a ResNet-18 on one pool of noise, one after the other."""

    def __init__(self, data: ImageData, made: build.Settings, device: torch.device) -> None:
        self.made, self.device, self.n = made, device, len(data.pool)
        self.pool = PoolDataModule(data, BATCH, 256, seed=0, whole_epochs=made["train"]["engine"] != "plain")
        self.pool.label(torch.arange(self.n), data.pool.labels, since=0)
        self.classifier = build.classifiers(made, data, device)

    def __call__(self) -> None:
        """One fit, waited for."""
        model = self.classifier(0, self.n)
        with environment.tf32(self.made["train"]["tf32"]):
            make_trainer(self.made, self.made["trainer"]["max_epochs"], []).fit(model, datamodule=self.pool)
        synchronize(self.device)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(work: Callable[[], object], amount: float, device: torch.device) -> float:
    """Amount a second of something done again and again; the best of five."""
    best = 0.0
    for _ in range(6):
        synchronize(device)
        start = perf_counter()
        for _ in range(10):
            work()
        synchronize(device)
        best = max(best, 10 * amount / (perf_counter() - start))
    return best


def limits(device: torch.device) -> tuple[dict[str, float], float]:
    """What a large matrix product reaches in every precision, in operations a second, and a copy, in bytes a second."""
    side, n_bytes = (8192, 2**30) if device.type == "cuda" else (512, 2**24)
    products = {}
    for name in PRECISIONS:
        dtype = torch.bfloat16 if name == "bf16" else torch.float32
        left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        with environment.tf32(name == "TF32"):
            products[name] = rate(partial(torch.mm, left, right), 2 * side**3, device)
    source = torch.empty(n_bytes, dtype=torch.uint8, device=device)
    return products, rate(partial(torch.empty_like(source).copy_, source), 2 * n_bytes, device)


def least(data: ImageData, made: build.Settings, product: float, copy: float) -> float:
    """Seconds that a step takes at least: its multiplications, or the bytes of parameters, gradients and Adam."""
    model = build.make_classifier(made, data, 0, len(data.pool))
    with FlopCounterMode(display=False) as counter:
        cross_entropy(model(data.pool.images[:BATCH]), data.pool.labels[:BATCH]).backward()
    n_bytes = 8 * 4 * sum(parameter.numel() for parameter in model.parameters())
    return max(counter.get_total_flops() / product, n_bytes / copy)


def step_table(device: torch.device, steps: int, repeats: int) -> Iterator[str]:
    """Milliseconds a step for every network, precision and engine."""
    quiet_lightning()
    products, copy = limits(device)
    batches = min(16, steps)
    epochs = -(-steps // batches)
    yield f"| ms a step | {' | '.join(ENGINES)} | plain : graph | share of the limit |"
    yield "|---|" + "---|" * (len(ENGINES) + 2)
    for title, (channels, side, overrides) in NETWORKS.items():
        data = random_images(batches * BATCH, channels, side)
        yield f"| **{title}** |" + " |" * (len(ENGINES) + 2)
        for precision, options in PRECISIONS.items():
            common = ("model=resnet18", *overrides, *options, f"trainer.max_epochs={epochs}", "train.min_steps=0")
            common += ("train.schedule=constant", f"trainer.accelerator={'gpu' if device.type == 'cuda' else 'cpu'}")
            made = {engine: settings(*common, f"train.engine={engine}") for engine in ENGINES}
            with redirect_stderr(StringIO()) as said:
                seconds = timed({engine: Fits(data, made[engine], device) for engine in ENGINES}, repeats)
            if device.type == "cuda" and said.getvalue():
                sys.exit(f"{title}, {precision}:\n{said.getvalue()}")
            a_step = {engine: statistics.median(seconds[engine]) / (batches * epochs) for engine in ENGINES}
            share = least(data, made["plain"], products[precision], copy) / a_step["graph"]
            figures = " | ".join(f"{1e3 * a_step[engine]:.3f}" for engine in ENGINES)
            yield f"| {precision} | {figures} | {times(seconds, 'plain', 'graph'):.1f} | {share:.0%} |"
    yield ""
    reached = ", ".join(f"{name} {flops / 1e12:.0f}" for name, flops in products.items())
    yield f"The limit: its multiplications at the rate of a large matrix product here (Tflop/s: {reached}),"
    yield f"or parameters, gradients and Adam's state through memory at the rate of a copy ({copy / 1e12:.2f} TB/s),"
    yield "whichever takes longer."


@contextmanager
def command(*arguments: str) -> Iterator[Path]:
    """Run the command, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "al_lightning", *arguments, "logger=none", "trainer=gpu"]
        done = subprocess.run(line, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode or "train.engine=graph" in done.stderr:
            sys.exit(f"{' '.join(line)}:\n{done.stderr}")
        yield Path(folder)


def measured_rounds(whole: bool, *arguments: str) -> pd.DataFrame:
    """Rounds of the paper's protocol with `round`, `n_labeled` and `seconds/*`: all, or one at every size of `AT`."""
    if whole:
        with command(*arguments) as folder:
            return pd.read_csv(next(folder.glob("multirun_outputs/*/*/rounds.csv")))
    rows = []
    for size in AT:
        # The first of three rounds captures the graphs, the last asks for nothing.
        with command(*arguments, f"al.initial_size={size}", "al.rounds=2") as folder:
            rows.append(pd.read_csv(next(folder.glob("multirun_outputs/*/*/rounds.csv"))).iloc[1])
    return pd.DataFrame(rows)


def round_table(data_sets: list[str], engine: str, whole: bool, *common: str) -> Iterator[str]:
    """Seconds of every phase, and of all 150 rounds."""
    yield f"| `experiment=paper strategy=bald` | labels | {' | '.join(PHASES)} |"
    yield "|---|---|" + "---|" * len(PHASES)
    for name in data_sets:
        rounds = measured_rounds(
            whole, "experiment=paper", f"dataset={name}", "strategy=bald", f"train.engine={engine}", *common
        )
        columns = [f"seconds/{phase}" for phase in PHASES]
        shown = rounds if len(rounds) <= len(AT) else rounds.iloc[[0, 25, 50, 100, 148]]
        for _, row in shown.iterrows():
            yield f"| `dataset={name}` | {row.n_labeled:.0f} | " + " | ".join(f"{row[c]:.2f}" for c in columns) + " |"
        step = rounds.n_labeled.iloc[0] if whole else rounds.n_labeled.iloc[0] / 2
        labels = step * np.arange(1, 151)
        of_all = [np.interp(labels, rounds.n_labeled, rounds[column]).sum() for column in columns]
        figures = " | ".join(f"{seconds / 60:.1f} min" for seconds in of_all)
        what = "150 rounds" if whole else "150 rounds, interpolated"
        yield f"| **{what}: {sum(of_all) / 60:.1f} min** | | {figures} |"


def sweep_table(engine: str, repeats: int, *common: str) -> Iterator[str]:
    """Four runs one after the other, and side by side."""
    jobs = ("--multirun", "experiment=paper", "dataset=mnist", "strategy=margin", "seed=0,1,2,3", *common)
    jobs += ("al.initial_size=3000", "al.rounds=1", f"train.engine={engine}")
    launchers = {f"{n} at a time": ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={n}") for n in (1, 2, 4)}

    def sweep(*launcher: str) -> None:
        with command(*jobs, *launcher):
            pass

    seconds = timed({name: partial(sweep, *launcher) for name, launcher in launchers.items()}, repeats, warm_up=0)
    yield "| four runs of two rounds, 3,000 labels | seconds, the whole command | throughput |"
    yield "|---|---|---|"
    for name, taken in seconds.items():
        yield f"| {name} | {statistics.median(taken):.1f} | {times(seconds, '1 at a time', name):.2f} |"


def gpu_machine(device: torch.device) -> str:
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", f"--id={device.index}"]
    gpu = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    return f"{gpu} (driver), CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}; {machine()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw and CIFAR-10, or is to hold them")
    parser.add_argument(
        "--parts", nargs="+", choices=("steps", "rounds", "sweep"), default=["steps", "rounds", "sweep"]
    )
    parser.add_argument("--datasets", nargs="+", default=["mnist", "cifar10"])
    parser.add_argument("--engine", choices=ENGINES, default="graph", help="of rounds and sweep")
    parser.add_argument("--whole", action="store_true", help="run all 150 rounds, not five of them")
    parser.add_argument("--steps", type=int, default=800, help="of a fit")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no CUDA device here; this benchmark needs one")
    device = torch.device("cuda", 0) if arguments.device == "cuda" else torch.device("cpu")
    common = f"paths.data={Path(arguments.data).resolve()}"
    tables = {
        "steps": ("A training step", lambda: step_table(device, arguments.steps, arguments.repeats)),
        "rounds": (
            "The paper's run",
            lambda: round_table(arguments.datasets, arguments.engine, arguments.whole, common),
        ),
        "sweep": ("Runs side by side", lambda: sweep_table(arguments.engine, arguments.repeats, common)),
    }
    for part in arguments.parts:
        title, lines = tables[part]
        if device.type == "cpu":
            print(*lines(), sep="\n")
            continue
        how = f"By `python benchmarks/gpu.py --parts {part}{' --whole' if arguments.whole else ''}`"
        write_section(title, f"{how} on {gpu_machine(device)}.", "", *lines(), file=RESULTS_GPU)


if __name__ == "__main__":
    main()
