"""Every image is embedded once: what the store lacks is computed, shard by shard, and then read from it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from al_lightning.data.embedding import Embedding
from al_lightning.data.images import ImageData
from al_lightning.data.threads import watched
from al_lightning.embedding.embedder import Embedder, Extractor
from al_lightning.embedding.on_ray import on_ray
from al_lightning.embedding.shards import plain
from al_lightning.embedding.store import Store, digests, positions
from al_lightning.errors import DataError

SHARD = 1024  # images that are lost at most where the process is killed
SHARD_BYTES = 2**28  # of them: to another machine they travel together
PASSES = {"plain": plain, "ray": on_ray}


def stored(extractor: Extractor) -> Embedder:
    """Features that are computed once, and then read from a store."""
    return Embedder(extractor.n_features, extractor.shown, partial(embedded, extractor), lambda *_: extractor)


def embedded(
    extractor: Extractor, data: ImageData, root: Path, device: torch.device, engine: str = "plain"
) -> Embedding:
    """The features of a data set.

    Args:
        extractor: computes what the store lacks.
        data: pool and test part.
        root: folder of all stores.
        device: that computes.
        engine: how, a key of `PASSES`.

    Raises:
        ConfigError: see :func:`al_lightning.embedding.on_ray.on_ray`.
        DataError: a feature is not finite, all of them are the same for every image, or the store is damaged or cannot
            be written.
    """
    with kept_in(root):
        return _through_the_store(extractor, data, root, device, engine)


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Make a folder for features, and say where nothing can be written there.

    Raises:
        DataError: that is so.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"paths.data: the features cannot be kept in {error.filename or folder}: {error.strerror}. Mend that, or "
            "choose another folder, and give the same command again: what is there stays"
        ) from error


def _through_the_store(
    extractor: Extractor, data: ImageData, root: Path, device: torch.device, engine: str
) -> Embedding:
    wanted = np.concatenate([digests(each) for each in (data.pool.images, data.test.images)])
    store = Store(root / extractor.key, extractor.n_features, {"embedding": extractor.shown, "key": extractor.key})
    at = positions(wanted, store.known())
    if (at < 0).any():
        with store.writing():
            _fill(store, extractor, wanted, data, device, engine)
        at = positions(wanted, store.known())
    n = len(data.pool)
    return checked(Embedding(store.tensor(at[:n]), store.tensor(at[n:]), extractor.key, extractor.shown, data.there))


def checked(embedding: Embedding) -> Embedding:
    """The embedding itself.

    Raises:
        DataError: all images have the same features.
    """
    if not embedding.moments[1].any():
        raise DataError(f"embedding: {embedding.shown}: all images of the pool have the same features")
    return embedding


def _fill(
    store: Store, extractor: Extractor, wanted: np.ndarray, data: ImageData, device: torch.device, engine: str
) -> None:
    missing = np.flatnonzero(positions(wanted, store.known()) < 0)
    missing = np.sort(missing[np.unique(wanted[missing], return_index=True)[1]])  # of equal images the first
    if not len(missing):  # another process has done it
        return
    fitting = max(1, SHARD_BYTES // data.pool.images[0].nbytes)
    size = min(SHARD, 2 ** (fitting.bit_length() - 1))  # a power of two, as batches are
    shards = [missing[start : start + size] for start in range(0, len(missing), size)]
    with (
        watched(f"embedding by {extractor.shown}", len(missing)) as advance,
        closing(PASSES[engine](extractor, partial(_images, data), shards, device, advance)) as done,
    ):
        for shard, rows in done:
            _check_finite(rows, shard, data)
            store.append(wanted[shard], rows)


def _images(data: ImageData, at: np.ndarray) -> Tensor:
    """Images by position, those of the test part after those of the pool: `uint8 [m, C, H, W]`, contiguous."""
    n = len(data.pool)
    return torch.cat([data.pool.images[at[at < n]], data.test.images[at[at >= n] - n]]).contiguous()


def _check_finite(rows: Tensor, shard: np.ndarray, data: ImageData) -> None:
    odd = ~rows.isfinite().all(1)
    if odd.any():
        at = int(shard[odd.nonzero()[0, 0]])
        name = [*data.pool.ids, *data.test.ids][at]
        raise DataError(
            f"embedding: {int(odd.sum())} of {len(rows)} images have features that are no finite numbers in half "
            f"precision, the first {name}; use other weights or another network"
        )
