"""What the bits of a result depend on besides the settings: threads, device, versions, images."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from al_lightning import __version__
from al_lightning.data.embedding import Embedding
from al_lightning.errors import DataError
from al_lightning.runs import provenance

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "scikit-learn", "numpy")


def current(
    device: torch.device,
    data_fingerprint: str,
    data_state: str = "",
    n_gone: int = 0,
    embedding: Embedding | None = None,
    weights: str | None = None,
) -> dict[str, Any]:
    """The environment of this process, a dictionary for JSON.

    Args:
        device: that trains.
        data_fingerprint: hash of the images.
        data_state: of their files, see :func:`al_lightning.data.state.state`.
        n_gone: images of the pool that are no longer there.
        embedding: that the run has.
        weights: hash of the file that its models start from.
    """
    return {
        "data_fingerprint": data_fingerprint,
        "data_state": data_state,
        "n_gone": n_gone,
        "embedding": {"key": embedding.key, "shown": embedding.shown} if embedding else None,
        "weights": weights,
        "threads": torch.get_num_threads(),
        "device": device.type,  # not which one of several: the next process may get another
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        },
        "versions": {"al_lightning": __version__, "python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "made_by": [provenance.made_by()],
    }


def going_on(path: Path, before: Mapping[str, Any], now: Mapping[str, Any], grows: bool = False) -> dict[str, Any]:
    """The environment in which a run goes on: this process's, with the thread count that the run began with.

    The commands that made the rounds before stay on the list.

    What else differs is said on stderr: from here on the results are not those of an uninterrupted run to the bit.

    Args:
        path: the run folder.
        before: environment of the last committed round.
        now: of this process.
        grows: whether the pool may have grown since.

    Raises:
        DataError: the images are not those of the rounds before.
    """
    if before["data_fingerprint"] != now["data_fingerprint"] and not grows:
        raise DataError(f"{path}: the images have changed since this run began; begin anew with overwrite=true")
    if (was := before.get("embedding")) and was["key"] != now["embedding"]["key"]:
        raise DataError(
            f"{path}: its features were those of {was['shown']}, and are now those of {now['embedding']['shown']}, "
            "with other weights or settings; put the weights back, or begin anew with overwrite=true"
        )
    if before.get("weights", now["weights"]) != now["weights"]:
        raise DataError(
            f"{path}: its models began with other weights than are in model.weights now; put them back, or begin anew "
            "with overwrite=true"
        )
    were = {**before["hardware"], **before["versions"], "device": before["device"]}
    for name, value in {**now["hardware"], **now["versions"], "device": now["device"]}.items():
        if were.get(name) != value:
            print(f"warning: {name} was {were.get(name)} and is {value}: the last digits may differ", file=sys.stderr)
    if before["threads"] != now["threads"]:
        print(f"goes on with {before['threads']} threads, as it began")
    return {**now, "threads": before["threads"], "made_by": [*before.get("made_by", []), *now["made_by"]]}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads: other counts add in another order and give other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether a GPU's convolutions and matrix products may round what they multiply to TF32, 10 bits of mantissa.

    By itself PyTorch does so in convolutions: fp32 would not be what it says.
    """
    products: Any = torch.backends.cuda.matmul
    convolutions: Any = torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32, convolutions.allow_tf32 = allowed, allowed
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
