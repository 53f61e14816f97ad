"""Every strategy on five data sets, two sizes of a query, five seeds: the runs of the leaderboard.

One study that can be stopped and goes on: what has finished is skipped, a new strategy costs its own runs. Results lie
in docs/leaderboard/runs.csv, a row a run; `leaderboard_page.py` makes the page of them.

    python benchmarks/leaderboard.py --data data --images cifar10-jpeg --weights tf_efficientnet_lite0.safetensors
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from al_lightning.config import schema

STUDY = "leaderboard"
ROUNDS = 6  # queries of a run: 7 fits
SAMPLE = 10_000  # unlabeled images that a strategy looks at
QUERIES = {"digits": (5, 20)}  # sizes of a query, and of the initial set
USUAL = (20, 100)
# What is added to the strategies of conf/strategy: draws by a score, and samples of committees.
VARIANTS = {
    "margin, power": ("strategy=margin", "strategy.noise=power"),
    "bald, power": ("strategy=bald", "strategy.noise=power"),
    "bald, 5 members": ("strategy=bald", "model.members=5"),
    "epig, 5 members": ("strategy=epig", "model.members=5"),
    "mean_margin, 5 members": ("strategy=mean_margin", "model.members=5"),
}
LARGE_ONLY = ("members", "bait", "ceiling")  # at the larger size of a query only: they take the longest


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        setting: a name of :func:`settings`.
        query_size: of the run.
        strategy: what it is called on the page.
        seed: of the run.
        overrides: what is typed for it.
    """

    setting: str
    query_size: int
    strategy: str
    seed: int
    overrides: tuple[str, ...]


def strategies() -> dict[str, tuple[str, ...]]:
    """What is typed for each, by the name on the page: all options of the group, and the variants."""
    return {name: (f"strategy={name}",) for name in schema.options("strategy")} | VARIANTS


def settings(data: Path, images: Path | None, weights: str) -> dict[str, tuple[str, ...]]:
    """What is typed for each setting.

    Args:
        data: where downloaded data sets and features are kept.
        images: CIFAR-10 as class folders of images; None: it is downloaded.
        weights: of EfficientNet-Lite0; empty: they are downloaded.
    """
    features = ("embedding=timm", "embedding.model=tf_efficientnet_lite0", "embedding.image_size=96")
    features += (f"embedding.weights={weights}",) if weights else ()
    cifar = ("dataset=cifar10",)
    if images:
        cifar = ("dataset=folder", f"dataset.root={images}", "dataset.image_size=32")
    common = (f"paths.data={data}", f"study={STUDY}", "model=linear", "logger=none", "trainer=cpu")
    common += (f"al.rounds={ROUNDS}", f"al.pool_sample={SAMPLE}")
    return {
        "digits": (*common, "dataset=digits", "embedding=pixels"),
        "MNIST": (*common, "dataset=mnist", *features),
        "CIFAR-10": (*common, *cifar, *features),
        "CIFAR-10, long tail": (*common, *cifar, *features, "dataset.imbalance=50"),
        "MNIST, 10% wrong labels": (*common, "dataset=mnist", *features, "oracle.noise=0.1"),
    }


def jobs(typed: dict[str, tuple[str, ...]], names: Sequence[str], seeds: Sequence[int]) -> Iterator[Job]:
    """All runs, seed by seed, so that what is there at any time compares all strategies."""
    contestants = {name: strategies()[name] for name in names}
    for seed in seeds:
        for setting, overrides in typed.items():
            for size in QUERIES.get(setting, USUAL):
                for name, own in contestants.items():
                    if size == max(QUERIES.get(setting, USUAL)) or not any(word in name for word in LARGE_ONLY):
                        sizes = (f"al.initial_size={size}", f"al.query_size={size}", f"seed={seed}")
                        yield Job(setting, size, name, seed, (*overrides, *own, *sizes))


def run(job: Job, until: float) -> tuple[Job, str, float, str]:
    """Run it, or skip it where it has finished: its folder, its seconds, and why it failed.

    Args:
        job: the run.
        until: the time after which it is not begun.
    """
    import al_lightning

    if time.time() > until:
        return job, "", 0.0, ""
    start, folder, failure = time.monotonic(), "", ""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            folder = str(al_lightning.run(job.overrides).folder)
        except Exception as error:  # one that fails keeps no other from running
            failure = f"{type(error).__name__}: {error}"
    return job, folder, time.monotonic() - start, failure


def main() -> None:
    """Run what is missing, and write what there is."""
    parser = argparse.ArgumentParser(description="Run what is missing of the leaderboard.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--images", type=Path)
    parser.add_argument("--weights", default="")
    parser.add_argument("--settings", nargs="*", help="of the five; all by default")
    parser.add_argument("--strategies", nargs="*", default=[*strategies()])
    parser.add_argument("--seeds", type=int, nargs="*", default=[*range(5)])
    parser.add_argument("--again", action="store_true", help="run those that are named though they are there")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "leaderboard" / "runs.csv")
    args = parser.parse_args()
    typed = settings(args.data.resolve(), args.images and args.images.resolve(), args.weights)
    typed = {name: typed[name] for name in args.settings or typed}
    todo = [*jobs(typed, args.strategies, args.seeds)]
    os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is imported, in the workers
    from leaderboard_runs import Table

    table, failed = Table(args.out), 0
    if args.again:  # a strategy has changed: what is there of it is of before
        table.forget(todo)
        todo = [replace(job, overrides=(*job.overrides, "overwrite=true")) for job in todo]
    todo = [job for job in todo if not table.has(job)]
    print(f"{len(todo)} runs to make, {len(table.rows)} are there", flush=True)
    context = multiprocessing.get_context("spawn")
    with context.Pool(args.processes, maxtasksperchild=50) as pool:
        one = partial(run, until=time.time() + 60 * args.minutes)
        for number, (job, folder, seconds, failure) in enumerate(pool.imap_unordered(one, todo), 1):
            failed += bool(failure)
            if folder:
                table.add(job, Path(folder))
            if folder or failure:
                name = f"{job.setting}, {job.query_size}, {job.strategy}, {job.seed}"
                print(f"{number}/{len(todo)} {name}: {failure or f'{seconds:.1f} s'}", flush=True)
    sys.exit(f"{failed} runs failed" if failed else 0)


if __name__ == "__main__":
    main()
