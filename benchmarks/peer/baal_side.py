"""Seconds of one label iteration by Baal, the way its documentation and its `experiments/` write one.

Fit ResNet-18 on the labeled images, then score the rest of the pool and label the query. Timed are
`ModelWrapper.train_on_dataset` ("fit") and `ActiveLearningLoop.step` ("score": predict, heuristic, ranking, label).
Imports, reading MNIST, building the model and one small iteration to warm up come before; the accuracy comes after.

Run by the environment that `make benchmarks/peer/.venv/.installed` makes; needs nothing of al_lightning:

    benchmarks/peer/.venv/bin/python benchmarks/peer/baal_side.py --data data --strategy bald --threads 1

bald: `patch_module`, BALD(), `iterations` = T samples. margin: the unpatched model, Margin(), one pass in eval mode.
Network: torchvision's, its 7x7 stem with stride 2 for one channel, dropout 0.5 before the last layer. fp32, cross
entropy, Adam with learning rate 5e-4. Images: torchvision's MNIST by ToTensor and Normalize, anew at every access.
The pool is the start of `numpy.random.default_rng(0).permutation(60000)` and the labeled are the start of the pool;
--seed is for weights, batches and dropout.

Left at Baal's defaults: `workers=4` (processes of a DataLoader, started anew for every epoch and for the scoring,
beside the --threads of the model), `replicate_in_memory=True` (a batch goes through the whole network T times, as one
batch of T x size) and `use_cuda` (a GPU if there is one). Baal has one batch size, for fit and prediction: 32 by
default and in its examples, 64 here; --predict-batch sets another one for the prediction.

Off by default, as in Baal: --cached wraps the model in `MCCachingModule`, which keeps the output of a convolution or
linear layer while its input stays the same, with `replicate_in_memory=False`, which it needs. It is Baal's own way to
faster samples, in a notebook of its documentation: the other figure to compare BALD with.
"""

import argparse
import contextlib
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Baal is in the environment of its own only, where no type checker looks.
from baal import ActiveLearningDataset, ModelWrapper  # pyright: ignore[reportMissingImports]
from baal.active import ActiveLearningLoop  # pyright: ignore[reportMissingImports]
from baal.active.heuristics import BALD, Margin  # pyright: ignore[reportMissingImports]
from baal.bayesian.caching_utils import MCCachingModule  # pyright: ignore[reportMissingImports]
from baal.bayesian.dropout import patch_module, unpatch_module  # pyright: ignore[reportMissingImports]
from baal.modelwrapper import TrainingArgs  # pyright: ignore[reportMissingImports]
from torch import nn
from torchvision import transforms
from torchvision.datasets import MNIST
from torchvision.models import resnet18

TRANSFORM = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
WARM_UP = {"pool": 256, "labeled": 128, "epochs": 1, "samples": 2, "query": 10}


def active_set(arguments: argparse.Namespace) -> ActiveLearningDataset:
    """The pool as Baal holds it, its first images labeled."""
    order = np.random.default_rng(0).permutation(60_000)
    pool = order[: arguments.pool]
    images = MNIST(arguments.data, train=True, transform=TRANSFORM)
    # Not a Subset of all 60,000: Baal copies the data set at every step, and here only the pool of it.
    images.data, images.targets = images.data[pool], images.targets[pool]
    return ActiveLearningDataset(images, labelled=np.arange(len(pool)) < arguments.labeled)


def wrapped_model(arguments: argparse.Namespace) -> ModelWrapper:
    """ResNet-18 for gray images with dropout before its last layer, always on for BALD."""
    model = resnet18(weights=None)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    model.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(model.fc.in_features, 10))  # type: ignore[assignment]
    if arguments.strategy == "bald":
        model = patch_module(model)
    if arguments.cached:
        model = MCCachingModule(model)
    if torch.cuda.is_available():
        model = model.cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    args = TrainingArgs(
        optimizer=optimizer,
        criterion=nn.CrossEntropyLoss(),
        epoch=arguments.epochs,
        batch_size=arguments.batch,
        workers=arguments.workers,
        replicate_in_memory=not arguments.cached,
    )
    return ModelWrapper(model, args)


def iterate(arguments: argparse.Namespace) -> tuple[dict[str, float], ModelWrapper]:
    """One label iteration, or the scoring of one: its seconds, and the model."""
    torch.manual_seed(arguments.seed)
    dataset, wrapper = active_set(arguments), wrapped_model(arguments)
    bald = arguments.strategy == "bald"
    loop = ActiveLearningLoop(
        dataset,
        wrapper.predict_on_dataset,
        BALD() if bald else Margin(),
        query_size=arguments.query,
        iterations=arguments.samples if bald else 1,
        verbose=False,
    )
    start = time.perf_counter()
    if arguments.what == "iteration":
        wrapper.train_on_dataset(dataset)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    fitted = time.perf_counter()
    wrapper.args.batch_size = arguments.predict_batch or arguments.batch
    loop.step()
    scored = time.perf_counter()
    assert len(dataset) == arguments.labeled + arguments.query
    return {"fit": fitted - start, "score": scored - fitted, "total": scored - start}, wrapper


def accuracy(wrapper: ModelWrapper, arguments: argparse.Namespace) -> float:
    """Share of the 10,000 test images that the model gets right without dropout."""
    if arguments.strategy == "bald":
        unpatch_module(wrapper.model)
    test = MNIST(arguments.data, train=False, transform=TRANSFORM)
    logits = wrapper.predict_on_dataset(test, iterations=1, verbose=False)[..., 0]
    return float((logits.argmax(1) == test.targets.numpy()).mean())


def record(arguments: argparse.Namespace, seconds: dict[str, float]) -> dict[str, Any]:
    """What was measured, by what, and the seconds."""
    sizes = ("strategy", "what", "pool", "labeled", "epochs", "samples", "query", "seed", "batch", "workers", "cached")
    return {
        **{name: round(value, 4) for name, value in seconds.items()},
        **{name: getattr(arguments, name) for name in sizes},
        "samples": arguments.samples if arguments.strategy == "bald" else 1,
        "predict_batch": arguments.predict_batch or arguments.batch,
        "replicate_in_memory": not arguments.cached,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "baal": version("baal"),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds MNIST/raw")
    parser.add_argument("--strategy", choices=("bald", "margin"), default="bald")
    parser.add_argument("--what", choices=("iteration", "scoring"), default="iteration", help="scoring: fit nothing")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pool", type=int, default=10_000, help="images, the labeled ones among them")
    parser.add_argument("--labeled", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20, help="T of BALD; margin takes one pass")
    parser.add_argument("--query", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--predict-batch", type=int, help="default: --batch")
    parser.add_argument("--workers", type=int, default=TrainingArgs.workers)
    parser.add_argument("--cached", action="store_true", help="wrap the model in MCCachingModule")
    parser.add_argument("--accuracy", action="store_true", help="add the accuracy on the test part, untimed")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with contextlib.redirect_stdout(sys.stderr):  # Baal logs to stdout, which is for the one line of JSON
        iterate(argparse.Namespace(**{**vars(arguments), "what": "iteration", **WARM_UP}))
        seconds, wrapper = iterate(arguments)
        result = record(arguments, seconds)
        if arguments.accuracy:
            result["accuracy"] = accuracy(wrapper, arguments)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
