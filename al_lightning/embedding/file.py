"""An embedding that the user has made: a row of numbers for every image."""

import zipfile
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_lightning.data.embedding import Embedding
from al_lightning.data.images import ImageData
from al_lightning.embedding.embed import checked
from al_lightning.embedding.embedder import Embedder
from al_lightning.errors import ConfigError, DataError

BLOCK = 8192  # rows looked at a time


def file(data: ImageData, *, path: str) -> Embedder:
    """Features from a file.

    Args:
        data: the images.
        path: of `.npy` (a matrix), `.npz` (a matrix `embedding` and texts `ids`) or `.parquet` (a column `id`; the
            others are features, or one of them has lists). With ids, rows may come in any order, and may be more than
            the images are; without, they are those of the pool and then those of the test part, in order.

    Raises:
        ConfigError: it is no such file, or has not a row for every image.
        DataError: it cannot be read, or has a value that is no finite number in half precision.
    """
    key = f"embedding.path={path}"
    matrix, ids = _read(Path(path).expanduser(), key)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise ConfigError(f"{key}: has to be a matrix of numbers [images, features], not {matrix.dtype} {matrix.shape}")
    n, wanted = len(data.pool), [*data.pool.ids, *data.test.ids]
    if ids is not None:
        if twice := next((each for each, count in Counter(ids).items() if count > 1), None):
            raise ConfigError(f"{key}: has more than one row for {twice}")
        if len({*wanted}) < len(wanted):
            raise ConfigError(
                f"{key}: pool and test part of this data set have the same ids; give the rows in order instead, as .npy"
            )
        place = {each: row for row, each in enumerate(ids)}
        if missing := [each for each in wanted if each not in place]:
            raise ConfigError(f"{key}: has no row for {len(missing)} of {len(wanted)} images, the first {missing[0]}")
        matrix = matrix[[place[each] for each in wanted]]
    elif len(matrix) != len(wanted):
        raise ConfigError(
            f"{key}: has {len(matrix)} rows for {len(wanted)} images ({n} of the pool, {len(wanted) - n} to test on); "
            "name them by ids, in .npz or .parquet"
        )
    is_mapped = isinstance(matrix, np.memmap) and matrix.dtype == np.float16 and matrix.flags.c_contiguous
    rows = torch.from_numpy(matrix) if is_mapped else torch.empty(matrix.shape, dtype=torch.float16)
    digest = blake2b(digest_size=8)
    for start in range(0, len(matrix), BLOCK):
        block = torch.from_numpy(np.array(matrix[start : start + BLOCK], np.float32, order="C")).half()
        if not (good := block.isfinite().all(1)).all():
            at = start + int((~good).nonzero()[0, 0])
            raise DataError(f"{key}: the row of {wanted[at]} has a value that is no finite number in half precision")
        if not is_mapped:
            rows[start : start + len(block)] = block
        digest.update(block.numpy().data)
    shown = f"{path}, {rows.shape[1]} features"
    found = checked(Embedding(rows[:n], rows[n:], digest.hexdigest(), shown, data.there))
    return Embedder(rows.shape[1], shown, lambda *_: found)


def _read(file: Path, key: str) -> tuple[np.ndarray, Sequence[str] | None]:
    try:
        if file.suffix == ".npy":
            matrix = np.load(file, mmap_mode="c", allow_pickle=False)
            if not isinstance(matrix, np.ndarray):
                raise ConfigError(f"{key}: is an .npz by its content; name it so")
            return matrix, None
        if file.suffix == ".npz":
            if not zipfile.is_zipfile(file):
                raise ConfigError(f"{key}: is no .npz by its content")
            with np.load(file, allow_pickle=False) as arrays:
                if not {"embedding", "ids"} <= {*arrays}:
                    raise ConfigError(f"{key}: has {', '.join(arrays)}, and needs embedding and ids")
                matrix, ids = arrays["embedding"], arrays["ids"]
                if ids.shape != matrix.shape[:1]:
                    raise ConfigError(f"{key}: has ids {ids.shape} for rows {matrix.shape}; every row has one")
                return matrix, [str(each) for each in ids]
        if file.suffix == ".parquet":
            return _parquet(file, key)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{key}: cannot be read: {error}") from error
    raise ConfigError(f"{key}: has to be a .npy, .npz or .parquet file")


def _parquet(file: Path, key: str) -> tuple[np.ndarray, Sequence[str]]:
    import pandas as pd

    try:
        table: Any = pd.read_parquet(file)
    except ImportError as error:
        raise ConfigError(f"{key}: needs the extra parquet: pip install 'al-lightning[parquet]'") from error
    if "id" not in table:
        raise ConfigError(f"{key}: has {', '.join(map(str, table.columns))}, and needs a column id")
    features = table.drop(columns="id")
    if features.shape[1] == 1 and pd.api.types.is_object_dtype(features.iloc[:, 0]):
        return np.stack(features.iloc[:, 0].to_list()), [str(each) for each in table["id"]]
    return features.to_numpy(), [str(each) for each in table["id"]]
