"""What a report shows of a run besides its measures: a map of the pool, scores, queried images."""

import io

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from al_lightning.acquisition.select import Query
from al_lightning.data.images import ImageData

SIDE = 16  # pixels of an image that the map is made from; of larger ones, averages
CHUNK = 4096  # images at a time
N_SCORE_BINS = 40
TILES, TILE = 10, 64  # queried images kept a round, and their longest side in pixels


def pool_map(data: ImageData) -> dict[str, np.ndarray]:
    """A map of the pool: the first two principal components of its pixels (Pearson 1901), the same for every run.

    Args:
        data: whose pool has N images; they are taken as gray ones of at most 16 x 16 pixels.

    Returns:
        `position` float16 `[N, 2]`; `explained` float32 `[2]`, shares of the variance; `label` int16 `[N]`, classes;
        and where images take no part or are gone, `mask` bool `[N]`: the axes are those of the others.
    """
    pixels, there = _pixels(data.pool.images), data.there
    taking = slice(None) if there.all() else there
    pixels -= pixels[taking].mean(0)
    # Summed up in double precision, a part at a time: a whole copy of it would take as much memory as the images.
    covariance = sum((part.T @ part for part in map(Tensor.double, pixels[taking].split(CHUNK))), torch.zeros(()))
    covariance /= int(there.sum())
    variances, axes = torch.linalg.eigh(covariance)
    axes = axes[:, [-1, -2]].float()
    axes *= axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()  # an axis has no direction: fix one
    explained = variances[[-1, -2]] / variances.sum().clamp(min=1e-12)
    return {
        "position": (pixels @ axes).numpy().astype(np.float16),
        "explained": explained.numpy().astype(np.float32),
        "label": data.pool.labels.numpy().astype(np.int16),
    } | ({} if there.all() else {"mask": there.numpy()})


def _pixels(images: Tensor) -> Tensor:
    """Gray pixels from 0 to 1, `float32 [N, D]`, D at most 256."""
    height, width = images.shape[2:]
    # Every second, third, ... pixel is enough to average over, and large images would take minutes otherwise.
    thinned = images[:, :, :: max(1, height // (2 * SIDE)), :: max(1, width // (2 * SIDE))]
    size = min(SIDE, height), min(SIDE, width)
    parts = (adaptive_avg_pool2d(part.float(), size).mean(1) for part in thinned.split(CHUNK))
    return torch.cat([part.flatten(1) / 255 for part in parts])


def score_histogram(query: Query) -> np.ndarray | None:
    """How a strategy's scores lie over the pool and over the query.

    Returns:
        `float64 [40, 4]`: lower and upper edge of a bin, images of the pool and of the query in it; None for a
        strategy without scores, or where they are further apart than a number can say.
    """
    if query.scores is None or query.pool_scores is None:
        return None
    pool, queried = (scores.double().cpu().numpy() for scores in (query.pool_scores, query.scores))
    with np.errstate(over="ignore"):
        if not np.isfinite(np.ptp(pool)):
            return None
    counts, edges = np.histogram(pool, N_SCORE_BINS)
    return np.stack([edges[:-1], edges[1:], counts, np.histogram(queried, edges)[0]], 1)


def strip(images: Tensor) -> bytes:
    """The first images of a query side by side, as a PNG.

    Args:
        images: `uint8 [n, C, H, W]`, C is 1 or 3; at most 10 are shown, larger ones at 64 pixels.
    """
    shown = images[:TILES].cpu()
    if max(shown.shape[2:]) > TILE:
        height, width = (max(1, round(side * TILE / max(shown.shape[2:]))) for side in shown.shape[2:])
        shown = adaptive_avg_pool2d(shown.float(), (height, width)).round().to(torch.uint8)
    row = torch.cat(list(shown), dim=2).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    PIL.Image.fromarray(row[..., 0] if row.shape[2] == 1 else np.ascontiguousarray(row)).save(file, "PNG")
    return file.getvalue()
