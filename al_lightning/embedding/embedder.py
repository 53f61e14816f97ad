"""What computes an embedding."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from al_lightning.data.embedding import Embedding
from al_lightning.data.images import ImageData


@dataclass(frozen=True)
class Extractor:
    """From images to features.

    Attributes:
        module: `uint8 [B, C, H, W] -> float [B, D]`, preprocessing included.
        n_features: D.
        key: hex digits of what the features depend on besides the images.
        shown: the same in words.
    """

    module: nn.Module
    n_features: int
    key: str
    shown: str


class Embed(Protocol):
    """From a data set to its features."""

    def __call__(self, data: ImageData, root: Path, device: torch.device, engine: str = "plain", /) -> Embedding:
        """See :func:`al_lightning.embedding.embed.embedded`."""
        ...


@dataclass(frozen=True)
class Embedder:
    """Has the features of a data set. A new one is a function that returns it, and a file in conf/embedding.

    Attributes:
        n_features: D.
        shown: what it is, in words.
        embed: from a data set, a folder to keep features in, a device, and an engine, to the features.
        find: what computes those of other images, from the folder that features are kept in and the key of the
            embedding; None, or a None that it returns: nothing does.
    """

    n_features: int
    shown: str
    embed: Embed
    find: Callable[[Path, str], Extractor | None] | None = None


def key_of(about: Mapping[str, object], weights: Mapping[str, Tensor] | None = None) -> str:
    """16 hex digits of settings and weights.

    Args:
        about: settings by name.
        weights: a state dictionary.
    """
    digest = blake2b(repr(sorted(about.items())).encode(), digest_size=8)
    for name, tensor in (weights or {}).items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
