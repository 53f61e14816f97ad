"""What a report shows of a run besides its measures: a map of the pool, scores, queried images."""

import io
from collections.abc import Iterator

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from al_lightning.acquisition.select import Query
from al_lightning.data.images import ImageData

SIDE = 16  # pixels of an image on the map; larger ones are averaged down to them
CHUNK = 4096  # images at a time
N_SCORE_BINS = 40
TILES, TILE = 10, 64  # queried images kept a round, and their longest side in pixels


def pool_map(data: ImageData) -> dict[str, np.ndarray]:
    """A map of the pool: the first two principal components of its pixels (Pearson 1901), the same for every run.

    Args:
        data: whose pool has N images; those of more than 16 x 16 pixels are averaged down to that.

    Returns:
        `position` float16 `[N, 2]`; `explained` float32 `[2]`, shares of the variance; `label` int16 `[N]`, classes.
    """
    n, total, product = len(data.pool), 0.0, 0.0
    for pixels in _pixels(data.pool.images):
        total, product = total + pixels.sum(0), product + pixels.T @ pixels
    mean = torch.as_tensor(total / n)
    variances, axes = torch.linalg.eigh(product / n - mean[:, None] * mean)
    axes = axes[:, [-1, -2]]
    axes *= axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()  # an axis has no direction: fix one
    position = torch.cat([(pixels - mean) @ axes for pixels in _pixels(data.pool.images)])
    explained = variances[[-1, -2]] / variances.sum().clamp(min=1e-12)
    return {
        "position": position.numpy().astype(np.float16),
        "explained": explained.numpy().astype(np.float32),
        "label": data.pool.labels.numpy().astype(np.int16),
    }


def _pixels(images: Tensor) -> Iterator[Tensor]:
    """Rows of pixels from 0 to 1, `float64 [m, D]`, a chunk of the images at a time."""
    size = min(SIDE, images.shape[2]), min(SIDE, images.shape[3])
    for chunk in images.split(CHUNK):
        yield adaptive_avg_pool2d(chunk.float() / 255, size).flatten(1).double()


def score_histogram(query: Query) -> np.ndarray | None:
    """How a strategy's scores lie over the pool and over the query.

    Returns:
        `float64 [40, 4]`: lower and upper edge of a bin, images of the pool and of the query in it; None for a
        strategy without scores, or where a score is infinite.
    """
    if query.scores is None or query.pool_scores is None:
        return None
    pool, queried = query.pool_scores.float().cpu().numpy(), query.scores.float().cpu().numpy()
    if not np.isfinite(pool).all():
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
