"""A shard of images becomes rows of features, here or on another machine: the one function, and the plain engine."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from al_lightning.embedding.embedder import Extractor

BATCH = {"cpu": 32, "cuda": 512}  # on a CPU larger ones have their memory mapped anew for every layer

# The images at some positions, `int64 [m] -> uint8 [m, C, H, W]`.
Images = Callable[[np.ndarray], Tensor]


def batch_size(device: torch.device) -> int:
    """Images a step."""
    return BATCH.get(device.type, BATCH["cpu"])


def features(
    extractor: Extractor,
    images: Images,
    shard: np.ndarray,
    device: torch.device,
    batch: int,
    advance: Callable[[int], object] = lambda done: None,
) -> Tensor:
    """The features of a shard, `float16 [m, D]` in the memory of the host.

    Args:
        extractor: its module is on the device, and does not train.
        images: has those of the shard.
        shard: positions, `int64 [m]`.
        device: that computes.
        batch: images a step; a row may depend on it in its last digit.
        advance: called with the number of images of each step.
    """
    rows = torch.empty(len(shard), extractor.n_features, dtype=torch.float16)
    for first in range(0, len(shard), batch):
        some = images(shard[first : first + batch])
        with torch.inference_mode():
            rows[first : first + len(some)] = extractor.module(some.to(device)).half().cpu()
        advance(len(some))
    return rows


def plain(
    extractor: Extractor,
    images: Images,
    shards: Sequence[np.ndarray],
    device: torch.device,
    advance: Callable[[int], object],
) -> Generator[tuple[np.ndarray, Tensor], None, None]:
    """One shard after the other, in this process.

    Args:
        extractor: computes.
        images: of the data set, by position.
        shards: positions, `int64 [m]` each.
        device: that computes.
        advance: called with the number of images that have just been done.

    Yields:
        Each shard, and its features `float16 [m, D]`.
    """
    extractor.module.to(device).eval()
    for shard in shards:
        yield shard, features(extractor, images, shard, device, batch_size(device), advance)
