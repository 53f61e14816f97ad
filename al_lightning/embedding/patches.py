"""Features learned from the images of the pool themselves, without labels: how they respond to filters for patches."""

from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, interpolate

from al_lightning import disk
from al_lightning.data.embedding import Embedding
from al_lightning.data.images import ImageData
from al_lightning.embedding.embed import embedded, kept_in
from al_lightning.embedding.embedder import Embedder, Extractor, key_of
from al_lightning.embedding.store import digests
from al_lightning.errors import ConfigError, DataError

IMAGES, PER_IMAGE = 5000, 40  # that patches are drawn from, and patches of each
STEPS = 15  # of k-means
LOCK = ".patches.lock"
GRID = 2  # cells of the image on a side; of each, the mean of a response is a feature
THRESHOLD = 0.25  # responses below it count as none
CONTRAST, WHITENING = 10.0, 0.1  # what is added to the variance of a patch, and to those of its directions


class Responses(nn.Module):
    """Means over the cells of an image of how far its patches go beyond a threshold along each filter, and against it.

    Coates and Ng 2011, "The Importance of Encoding Versus Training with Sparse Coding and Vector Quantization": soft
    threshold, both signs; contrast normalization and pooling as in Coates, Lee and Ng 2011.

    Args:
        filters: `float32 [K, C, P, P]`, whitening included.
        bias: `float32 [K]`.
        image_size: longer sides are reduced to it, in pixels.
    """

    filters: Tensor
    bias: Tensor

    def __init__(self, filters: Tensor, bias: Tensor, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.register_buffer("filters", filters)
        self.register_buffer("bias", bias)

    def forward(self, images: Tensor) -> Tensor:
        """`uint8 [B, C, H, W] -> float32 [B, 2 * K * GRID ** 2]`."""
        pixels, side = _reduced(images, self.image_size), self.filters.shape[2]
        mean = avg_pool2d(pixels.mean(1, keepdim=True), side, 1)
        variance = avg_pool2d(pixels.square().mean(1, keepdim=True), side, 1) - mean**2
        along = conv2d(pixels, self.filters) - mean * self.filters.sum((1, 2, 3)).view(1, -1, 1, 1)
        along = along / (variance.clamp(min=0) + CONTRAST).sqrt() + self.bias.view(1, -1, 1, 1)
        beyond = torch.cat([(along - THRESHOLD).clamp(min=0), (-along - THRESHOLD).clamp(min=0)], 1)
        return adaptive_avg_pool2d(beyond, GRID).flatten(1)


def patches(
    data: ImageData,
    *,
    n_filters: Annotated[int, Field(ge=2, le=4096)] = 200,
    patch_size: Annotated[int, Field(ge=2, le=32)] = 6,
    image_size: Annotated[int, Field(ge=8, le=128)] = 32,
    filters: str | None = None,
) -> Embedder:
    """Filters that are learned once from patches of the pool, by k-means on whitened ones, and responses to them.

    They are kept with the features, by what the images of the pool show: all runs on a pool share them.

    Args:
        data: the images.
        n_filters: K; an image has 8 K features.
        patch_size: P, of the filters, in pixels.
        image_size: longer sides of images are reduced to it, in pixels.
        filters: a file, in safetensors, that they are read from, and written to where it is not there: for a pool that
            grows, or for another one.

    Raises:
        ConfigError: the images are smaller than a filter, or the filters of the file are of another kind.
        DataError: the file cannot be read.
    """
    height, width = _reduced(data.pool.images[:1], image_size).shape[2:]
    if min(height, width) < patch_size:
        raise ConfigError(f"embedding.patch_size={patch_size}: images are {height} x {width}; make it smaller")
    shape = (n_filters, data.channels, patch_size, patch_size)
    kind = {"filters": shape, "image_size": image_size, "encoding": (GRID, THRESHOLD, CONTRAST)}
    whence = f"of {filters}" if filters else "learned from the pool"
    shown = f"{n_filters} filters of {patch_size} x {patch_size} {whence}, at {height} x {width}"

    def extractor(file: Path) -> Extractor:
        learned = _read(file, shape, own=filters is not None)
        return Extractor(Responses(**learned, image_size=image_size), 8 * n_filters, key_of(kind, learned), shown)

    def embed(data: ImageData, root: Path, device: torch.device, engine: str = "plain") -> Embedding:
        there = data.there.nonzero().squeeze(1).numpy()
        seen = digests(data.pool.images)[there]
        there, seen = there[order := np.argsort(seen, kind="stable")], seen[order]
        file = Path(filters).expanduser() if filters else root / f"patches-{_pool_key(seen, kind)}.safetensors"
        if not file.exists():
            with (
                kept_in(file.parent),
                disk.alone(file.parent / LOCK, f"{file}: another process learns; waiting for it"),
            ):
                if not file.exists():
                    learned = _learn(data.pool.images, there, shape, image_size)
                    disk.replace_file(file.parent, file.name, save(learned))
        return embedded(extractor(file), data, root, device, engine)

    def find(root: Path, key: str) -> Extractor | None:
        if filters:
            return extractor(Path(filters).expanduser())
        found = (_try(extractor, file) for file in sorted(root.glob("patches-*.safetensors")))
        return next((each for each in found if each and each.key == key), None)

    return Embedder(8 * n_filters, shown, embed, find)


def _reduced(images: Tensor, image_size: int) -> Tensor:
    """Images with no side longer than `image_size`, `uint8 -> float32 [B, C, H, W]`, from 0 to 255."""
    pixels = images.float()
    height, width = pixels.shape[2:]
    factor = image_size / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(height * factor)), max(1, round(width * factor))
    return interpolate(pixels, size, mode="bilinear", antialias=True)


def _learn(images: Tensor, there: np.ndarray, shape: tuple[int, int, int, int], image_size: int) -> dict[str, Tensor]:
    """Spherical k-means on whitened patches: Coates and Ng 2012, "Learning Feature Representations with K-means".

    Args:
        images: `uint8 [N, C, H, W]`, the pool.
        there: positions in it of those to learn from, in an order that does not depend on theirs.
        shape: of the filters, `[K, C, P, P]`.
        image_size: longer sides are reduced to it.

    Returns:
        `filters` and `bias`, the arguments of :class:`Responses`.
    """
    rng, (n_filters, _, side, _) = np.random.default_rng(0), shape
    drawn = there[rng.choice(len(there), min(IMAGES, len(there)), replace=False)]
    parts = []
    for each in images[torch.from_numpy(drawn)].split(256):
        windows = _reduced(each, image_size).unfold(2, side, 1).unfold(3, side, 1)  # [B, C, h, w, P, P], not copied
        y, x = (torch.from_numpy(rng.integers(n, size=(len(each), PER_IMAGE))) for n in windows.shape[2:4])
        chosen = windows.permute(0, 2, 3, 1, 4, 5)[torch.arange(len(each))[:, None], y, x]
        parts.append(chosen.flatten(0, 1).flatten(1))
    rows = torch.cat(parts)
    rows = ((rows - rows.mean(1, keepdim=True)) / (rows.var(1, keepdim=True, correction=0) + CONTRAST).sqrt()).numpy()
    with threadpool_limits(1):  # of several, sums depend on how many there are
        mean = rows.mean(0)
        variances, directions = np.linalg.eigh(np.cov((rows - mean).T.astype(np.float64)).astype(np.float32))
        whitening = (directions / np.sqrt(variances.clip(min=0) + WHITENING)) @ directions.T
        white = (rows - mean) @ whitening
        centers = _unit(white[rng.choice(len(white), n_filters, replace=len(white) < n_filters)])
        for _ in range(STEPS):
            along = white @ centers.T
            nearest = np.abs(along).argmax(1)
            weights = np.zeros_like(along)
            weights[np.arange(len(white)), nearest] = along[np.arange(len(white)), nearest]
            centers = _unit(weights.T @ white + centers)
        filters = centers @ whitening
    bias = torch.from_numpy(-(filters @ mean))
    return {"filters": torch.from_numpy(filters).view(shape).contiguous(), "bias": bias}


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)


def _pool_key(seen: np.ndarray, kind: dict[str, Any]) -> str:
    """Of what a pool shows and what is learned from it."""
    return key_of({**kind, "pool": blake2b(seen.tobytes()).hexdigest()})


def _read(file: Path, shape: tuple[int, int, int, int], *, own: bool) -> dict[str, Tensor]:
    key, mend = (f"embedding.filters={file}", "put it back, or name another file") if own else (str(file), "remove it")
    try:
        if not file.is_file():
            raise FileNotFoundError("there is no such file")
        learned = load(file.read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{key}: cannot be read: {error}; {mend}") from error
    found = {name: tuple(tensor.shape) for name, tensor in learned.items()}
    if found != {"filters": shape, "bias": shape[:1]}:
        raise ConfigError(f"{key}: has {found}, and needs filters {shape} and bias {shape[:1]}")
    return {name: learned[name].float() for name in ("filters", "bias")}  # the library has them in any order


def _try(extractor: Any, file: Path) -> Extractor | None:
    """What a file of filters makes; None where they are of another kind, or damaged."""
    try:
        return extractor(file)
    except (ConfigError, DataError):
        return None
