"""Every image is embedded once: what the store lacks is computed, shard by shard, and then read from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from al_lightning.data.embedding import Embedding
from al_lightning.data.images import ImageData
from al_lightning.data.threads import watched
from al_lightning.embedding.embedder import Embedder, Extractor
from al_lightning.embedding.store import Store, as_tensor, digests, positions
from al_lightning.errors import DataError

SHARD = 1024  # images that are lost at most where the process is killed
BATCH = {"cpu": 32, "cuda": 512}  # on a CPU larger ones have their memory mapped anew for every layer


def stored(extractor: Extractor) -> Embedder:
    """Features that are computed once, and then read from a store."""
    return Embedder(extractor.n_features, extractor.shown, partial(embedded, extractor), lambda *_: extractor)


def embedded(extractor: Extractor, data: ImageData, root: Path, device: torch.device) -> Embedding:
    """The features of a data set.

    Args:
        extractor: computes what the store lacks.
        data: pool and test part.
        root: folder of all stores.
        device: that computes.

    Raises:
        DataError: a feature is not finite, all of them are the same for every image, or the store is damaged or cannot
            be written.
    """
    with kept_in(root):
        return _through_the_store(extractor, data, root, device)


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


def _through_the_store(extractor: Extractor, data: ImageData, root: Path, device: torch.device) -> Embedding:
    parts = [data.pool.images, data.test.images]
    wanted = np.concatenate([digests(each) for each in parts])
    store = Store(root / extractor.key, extractor.n_features, {"embedding": extractor.shown, "key": extractor.key})
    if (positions(wanted, store.known()) < 0).any():
        with store.writing():
            _fill(store, extractor, wanted, data, device)
    rows, at = store.rows(), positions(wanted, store.known())
    n = len(data.pool)
    found = Embedding(as_tensor(rows, at[:n]), as_tensor(rows, at[n:]), extractor.key, extractor.shown, data.there)
    return checked(found)


def checked(embedding: Embedding) -> Embedding:
    """The embedding itself.

    Raises:
        DataError: all images have the same features.
    """
    if not embedding.moments[1].any():
        raise DataError(f"embedding: {embedding.shown}: all images of the pool have the same features")
    return embedding


def _fill(store: Store, extractor: Extractor, wanted: np.ndarray, data: ImageData, device: torch.device) -> None:
    missing = np.flatnonzero(positions(wanted, store.known()) < 0)
    missing = np.sort(missing[np.unique(wanted[missing], return_index=True)[1]])  # of equal images the first
    module = extractor.module.to(device).eval()
    n, batch = len(data.pool), BATCH.get(device.type, BATCH["cpu"])
    with watched(f"embedding by {extractor.shown}", len(missing)) as advance:
        for start in range(0, len(missing), SHARD):
            shard = missing[start : start + SHARD]
            rows = torch.empty(len(shard), extractor.n_features, dtype=torch.float16)
            for first in range(0, len(shard), batch):
                some = shard[first : first + batch]
                images = torch.cat(
                    [data.pool.images[some[some < n]], data.test.images[some[some >= n] - n]],
                ).to(device)
                with torch.inference_mode():
                    rows[first : first + len(some)] = module(images).half().cpu()
                advance(len(some))
            _check_finite(rows, shard, data)
            store.append(wanted[shard], rows)


def _check_finite(rows: Tensor, shard: np.ndarray, data: ImageData) -> None:
    odd = ~rows.isfinite().all(1)
    if odd.any():
        at = int(shard[odd.nonzero()[0, 0]])
        name = [*data.pool.ids, *data.test.ids][at]
        raise DataError(
            f"embedding: {int(odd.sum())} of {len(rows)} images have features that are no finite numbers in half "
            f"precision, the first {name}; use other weights or another network"
        )
