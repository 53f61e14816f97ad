"""The images near those that have labels: all that a strategy looks at where the pool is too large to look at each.

Source: Coleman et al. 2022, "Similarity Search for Efficient Active Learning and Search of Rare Concepts" (AAAI 36),
Algorithm 1 (SEALS): the candidates of a round are the k nearest neighbors of everything that is labeled.
"""

import errno
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from al_lightning.data.embedding import Embedding
from al_lightning.data.threads import watched
from al_lightning.disk import alone, look_anew
from al_lightning.embedding.embed import kept_in
from al_lightning.errors import ConfigError, DataError

if TYPE_CHECKING:
    import faiss

EXACT = 20_000  # images of which each is compared; of more, those of the cells that are nearest
PER_CELL = 64  # images a cell that its center is found from
PROBED = 32  # cells that are looked into
BLOCK = 2**16  # rows at a time
SEED = 0  # of the centers: the index is no part of a run, and the same for all


class Neighbors:
    """Finds the images near some others, and looks each of these up once.

    Near is a high cosine similarity. Up to :data:`EXACT` images the k nearest are found exactly; beyond, from an
    inverted file with 8 bits a feature (Jegou et al. 2011), which is mapped, and misses some.

    Args:
        index: of the rows below.
        rows: `float16 [N, D]`, the embedding of the pool.
        k: neighbors of an image.
    """

    def __init__(self, index: "faiss.Index", rows: Tensor, k: int) -> None:
        self._index, self._rows, self._k = index, rows, k
        self._looked_up = self._near = torch.empty(0, dtype=torch.int64)

    def __call__(self, images: Tensor) -> Tensor:
        """The k nearest of every image, together.

        Args:
            images: `int64 [n]`, positions in the pool; mostly those of the call before are among them.

        Returns:
            `int64 [m]`, ascending.
        """
        if not torch.isin(self._looked_up, images).all():  # an answer was taken back
            self._looked_up = self._near = images[:0]
        new = images[~torch.isin(images, self._looked_up)]
        if len(new):
            # Of many at once the last digits are others, and a run that goes on looks up all that it has.
            found = np.concatenate([self._search(row) for row in _directions(self._rows[new])[:, None]])
            near = torch.from_numpy(found[found >= 0])
            self._near, self._looked_up = torch.cat([self._near, near]).unique(), torch.cat([self._looked_up, new])
        return self._near

    def _search(self, row: np.ndarray) -> np.ndarray:
        return self._index.search(row, min(self._k + 1, len(self._rows)))[1]  # one more: the nearest is itself


def check_neighbors(embedding: Embedding | None) -> None:
    """Refuse what has no neighbors.

    Raises:
        ConfigError: there is no embedding, or no faiss.
    """
    if embedding is None:
        raise ConfigError("al.candidates=neighbors: needs an embedding; add embedding=timm, patches or another one")
    try:
        import faiss  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"al.candidates=neighbors: needs {error.name}: pip install 'al-lightning[scale]'") from error


def neighbors(embedding: Embedding | None, folder: Path, k: int) -> Neighbors:
    """Build the index of an embedding, or read the one that is there.

    Args:
        embedding: of the images, see :func:`check_neighbors`.
        folder: that features are kept in.
        k: neighbors of an image.

    Raises:
        DataError: the index cannot be kept there, or is damaged.
    """
    import faiss

    assert embedding is not None
    rows = embedding.pool
    if len(rows) <= EXACT:
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(_directions(rows))
        return Neighbors(index, rows, k)
    file = folder / "neighbors" / f"{_digest(rows)}.faiss"
    with kept_in(file.parent):
        if not file.exists():  # what is whole can be used where nothing can be written
            _build(rows, file)
    try:
        index: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise DataError(f"{file}: is damaged; remove it, and it is built again") from error
    index.nprobe = PROBED
    return Neighbors(index, rows, k)


def _build(rows: Tensor, file: Path) -> None:
    import faiss

    with alone(file.with_suffix(".lock"), f"{file}: another process builds it; waiting for it"):
        look_anew(file.parent)
        if file.exists():
            return
        part = file.with_suffix(".part")
        try:
            faiss.write_index(_built(rows), str(part))
            part.replace(file)
        except RuntimeError as error:  # faiss has no other for a disk that is full
            raise OSError(errno.EIO, "the index cannot be written", str(file)) from error
        finally:
            part.unlink(missing_ok=True)


def _built(rows: Tensor) -> "faiss.Index":
    import faiss

    n, d = rows.shape
    n_cells = 2 ** round(np.log2(4 * n**0.5))
    centers = faiss.IndexFlatIP(d)
    index = faiss.IndexIVFScalarQuantizer(
        centers, d, n_cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed, index.cp.max_points_per_centroid = SEED, PER_CELL
    sample = np.sort(np.random.default_rng(SEED).choice(n, min(n, PER_CELL * n_cells), replace=False))
    with watched("index of neighbors", n) as advance:
        index.train(_directions(rows[torch.from_numpy(sample)]))
        for start in range(0, n, BLOCK):
            index.add(_directions(block := rows[start : start + BLOCK]))
            advance(len(block))
    return index


def _directions(rows: Tensor) -> np.ndarray:
    return normalize(rows.float(), dim=1).numpy()


def _digest(rows: Tensor) -> str:
    """Of all rows and what the index depends on besides."""
    digest = blake2b(repr((tuple(rows.shape), PER_CELL, SEED)).encode(), digest_size=8)
    for start in range(0, len(rows), BLOCK):
        digest.update(rows[start : start + BLOCK].contiguous().numpy().data)
    return digest.hexdigest()
