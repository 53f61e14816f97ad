"""One label iteration against Baal's, with the same images, network, epochs and threads.

Both sides fit, score and label the query; making the model and reading MNIST come before the clock starts. Baal's side
is peer/baal_side.py, in the environment that `make benchmarks/peer/.venv/.installed` makes; ours runs the command's own
code. Fresh processes in turn. Rewrites its section of benchmarks/RESULTS.md.

    python benchmarks/against_baal.py --data data
"""

import argparse
import contextlib
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from in_turn import measured, median, ratio
from results import machine, write_section

from al_lightning import build
from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.clock import Clock
from al_lightning.config import schema
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.memory import largest_batch
from al_lightning.models.learner import Scoring
from al_lightning.streams import Stream, torch_seed
from al_lightning.trainer import make_trainer, quiet_lightning

PEER = Path(__file__).with_name("peer")
SIZES = ("data", "threads", "pool", "labeled", "epochs", "samples", "query")
WARM_UP = {"pool": 256, "labeled": 128, "epochs": 1, "samples": 2, "query": 10}  # as on Baal's side
BF16 = ("trainer.precision=bf16-mixed", "al.scoring_precision=bf16")
MORE_SAMPLES = 100  # against --samples


def configuration(arguments: argparse.Namespace) -> build.Settings:
    """The command's settings, where they differ from its defaults as Baal's side has them."""
    settings = {
        "dataset": "mnist",
        "strategy": arguments.strategy,
        "trainer.max_epochs": arguments.epochs,
        "train.min_steps": 0,
        "train.max_cycles": 1,
        "train.schedule": "constant",
        "al.mc_samples": arguments.samples,
        "seed": arguments.seed,
        "paths.data": arguments.data,
    }
    overrides = [*(f"{key}={value}" for key, value in settings.items()), *(BF16 if arguments.bf16 else ())]
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", overrides))


def read(arguments: argparse.Namespace, settings: build.Settings) -> ImageData:
    """MNIST with the pool of Baal's side."""
    data = build.load_data(settings)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data.pool))[: arguments.pool])
    pool = ImageSet(data.pool.images[order], data.pool.labels[order], tuple(map(str, order.tolist())))
    return replace(data, pool=pool)


def labeled_pool(data: ImageData, settings: build.Settings, n: int, device: torch.device) -> PoolDataModule:
    """The pool, its first n images labeled."""
    batch = largest_batch(data.image_size, device)
    pool = PoolDataModule(data, settings["batch_size"], batch, settings["seed"], whole_epochs=True)
    pool.label(torch.arange(n), data.pool.labels[:n], since=0)
    return pool


def chooser(settings: build.Settings, query: int, pool: PoolDataModule, clock: Clock) -> AcquisitionCallback:
    dtype = build.SCORING[settings["al"]["scoring_precision"]]
    scoring = Scoring(pool.eval_batch_size, clock, dtype=dtype)
    return AcquisitionCallback(build.make_strategy(settings), query, pool, scoring)


def iterate(arguments: argparse.Namespace) -> dict[str, float]:
    """One label iteration as the command runs it: its seconds, and the accuracy if asked for."""
    settings = configuration(arguments)
    data, device = read(arguments, settings), make_trainer(settings, 1, []).strategy.root_device
    pool, clock = labeled_pool(data, settings, arguments.labeled, device), Clock(device)
    choosing = chooser(settings, arguments.query, pool, clock)
    model = build.make_classifier(settings, data, 0, arguments.labeled)
    clock.restart()
    with clock.phase("fit"):
        trainer = make_trainer(settings, arguments.epochs, [choosing])
        torch.manual_seed(torch_seed(arguments.seed, Stream.DROPOUT))
        trainer.fit(model, datamodule=pool)
    assert choosing.query is not None
    pool.label(choosing.query.indices, data.pool.labels[choosing.query.indices.cpu()], since=1)
    seconds = clock.seconds()
    done = {"fit": seconds["fit"], "score": sum(seconds.values()) - seconds["fit"], "total": sum(seconds.values())}
    if arguments.accuracy:
        done["accuracy"] = trainer.test(model, datamodule=pool, verbose=False)[0]["test/acc"]
    return done


def sample_numbers(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of scoring with few and with many dropout samples, in turn, by a model that nothing was fitted to."""
    few, many = (
        configuration(argparse.Namespace(**{**vars(arguments), "samples": samples}))
        for samples in (arguments.samples, MORE_SAMPLES)
    )
    data, trainer = read(arguments, few), make_trainer(few, 1, [])
    device = trainer.strategy.root_device
    pool, clock = labeled_pool(data, few, arguments.labeled, device), Clock(device)
    model = build.make_classifier(few, data, 0, arguments.labeled).to(device)

    def seconds(settings: build.Settings) -> float:
        choosing = chooser(settings, arguments.query, pool, clock)
        clock.restart()
        choosing.on_train_end(trainer, model)
        return sum(clock.seconds().values())

    turns = [{"few": seconds(few), "many": seconds(many)} for _ in range(1 + arguments.repeats)][1:]  # one to warm up
    of_few, of_many = ([{"seconds": turn[name]} for turn in turns] for name in ("few", "many"))
    return {"few": median(turns, "few"), "many": median(turns, "many"), "ratio": ratio(of_many, of_few, "seconds")}


def run_side(arguments: argparse.Namespace) -> None:
    """Our side, as a line of JSON."""
    torch.set_num_threads(arguments.threads)
    quiet_lightning()
    with contextlib.redirect_stdout(sys.stderr):
        iterate(argparse.Namespace(**{**vars(arguments), **WARM_UP, "accuracy": False}))
        done = {"ours": iterate, "samples": sample_numbers}[arguments.side](arguments)
    print(json.dumps(done))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch, on both sides")
    parser.add_argument("--pool", type=int, default=10_000, help="images, the labeled ones among them")
    parser.add_argument("--labeled", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20, help="dropout samples of BALD")
    parser.add_argument("--query", type=int, default=60)
    side = parser.add_argument_group("one run of our side, as a line of JSON")
    side.add_argument("--side", choices=("ours", "samples"), help="an iteration; scoring with few and many samples")
    side.add_argument("--strategy", choices=("bald", "margin"), default="bald")
    side.add_argument("--seed", type=int, default=0, help="of weights, batches and dropout")
    side.add_argument("--bf16", action="store_true")
    side.add_argument("--accuracy", action="store_true", help="add the accuracy on the test part, untimed")
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments)
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Both sides in turn."""
    python = PEER / ".venv" / "bin" / "python"
    if not python.exists():
        sys.exit(f"error: {python} is missing; make benchmarks/peer/.venv/.installed")
    sizes = [f"--{name}={getattr(arguments, name)}" for name in SIZES]
    baal = [str(python), str(PEER / "baal_side.py"), *sizes]
    ours = [sys.executable, __file__, "--side=ours", *sizes]
    environment = {"OMP_NUM_THREADS": str(arguments.threads)}
    sides = {"Baal": [*baal, "--accuracy"], "ours": [*ours, "--accuracy"], "bf16": [*ours, "--bf16", "--accuracy"]}
    sides |= {"cached": [*baal, "--cached"], "no workers": [*baal, "--workers=0"]}
    bald = measured(sides, arguments.repeats, **environment)
    sides = {"Baal": baal, "ours": ours, "bf16": [*ours, "--bf16"], "no workers": [*baal, "--workers=0"]}
    sides = {name: [*command, "--strategy=margin"] for name, command in sides.items()}
    margin = measured(sides, arguments.repeats, **environment)
    samples = [sys.executable, __file__, "--side=samples", f"--repeats={arguments.repeats}", *sizes]
    (more,) = measured({"samples": samples}, 1, **environment)["samples"]
    accuracy = {name: statistics.mean(each["accuracy"] for each in bald[name]) for name in ("Baal", "ours", "bf16")}
    write_section(
        "One label iteration against Baal",
        f"By `python benchmarks/against_baal.py` on {machine()}; Baal {bald['Baal'][0]['baal']}.",
        f"Medians of {arguments.repeats} fresh processes a side, taken in turn, a seed a turn; a ratio is the median "
        f"of the turns' ratios. PyTorch has {arguments.threads} threads on both sides.",
        "",
        f"MNIST, a pool of {arguments.pool:,} with {arguments.labeled:,} labeled: fit ResNet-18 (7x7 stem, dropout "
        f"0.5) for {arguments.epochs} epochs in batches of 64 by Adam at 0.0005, score the others, label "
        f"{arguments.query}. BALD takes {arguments.samples} dropout samples.",
        "The same images on both sides; fp32 but for the rows of bf16. Not timed: imports, reading MNIST, making the "
        "model.",
        "",
        "- Baal's defaults: 4 worker processes, started anew for every epoch and for the scoring, read and normalize "
        "the images; one batch size for fit and prediction; for BALD a batch goes through the network as one of "
        f"{arguments.samples} times its size.",
        "- al_lightning's: images in memory, live taps; the pool goes once through a copy of the backbone with "
        "BatchNorm folded, in batches of 256; dropout samples are masked copies of the last layer.",
        "- Set here for equal fits: `train.schedule=constant train.min_steps=0`.",
        "",
        "| | Baal | al_lightning | ratio |",
        "|---|---|---|---|",
        *rows("BALD, label iteration", bald, "total"),
        *rows("BALD, scoring", bald, "score"),
        *rows("margin, label iteration", margin, "total"),
        "",
        "Scoring is what follows the fit in the same iterations. In bf16: `" + " ".join(BF16) + "`.",
        "",
        f"Accuracy on the 10,000 test images after these fits, mean of the turns: Baal {accuracy['Baal']:.4f}, "
        f"al_lightning {accuracy['ours']:.4f}, in bf16 {accuracy['bf16']:.4f}.",
        "",
        f"al_lightning's scoring with {MORE_SAMPLES} dropout samples against {arguments.samples}, in turn in one "
        f"process: {more['many']:.2f} s, {more['few']:.2f} s, ratio {more['ratio']:.2f}.",
    )


def rows(what: str, turns: dict[str, list[dict[str, Any]]], key: str) -> list[str]:
    """Rows of the table: Baal's variants against ours in fp32, then Baal's defaults against ours in bf16."""
    pairs = {
        what: ("Baal", "ours"),
        f"{what}, Baal with `MCCachingModule`": ("cached", "ours"),
        f"{what}, Baal with `workers=0`": ("no workers", "ours"),
        f"{what}, al_lightning in bf16": ("Baal", "bf16"),
    }
    return [
        f"| {name} | {median(turns[baal], key):.2f} s | {median(turns[ours], key):.2f} s "
        f"| {ratio(turns[baal], turns[ours], key):.1f} |"
        for name, (baal, ours) in pairs.items()
        if baal in turns
    ]


if __name__ == "__main__":
    main()
