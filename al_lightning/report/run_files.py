"""What run folders hold besides `rounds.csv`, as far as it is there: nothing here fails, and nothing is written.

A file that is missing says nothing; one that cannot be read is named in the notes.
"""

import csv
import json
import stat
import zipfile
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.runs.rounds import read_confusion

QUERY_COLUMNS = ("round", "rank", "index", "label")
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Pool:
    """The pool as it lies in the plane of its first two principal components.

    Attributes:
        position: `float32 [N, 2]`.
        explained: `float32 [2]`, shares of the variance.
        label: `int64 [N]`, class indices, -1 where unknown.
        mask: `bool [N]`, images that take part.
    """

    position: np.ndarray
    explained: np.ndarray
    label: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Reader:
    """Reads optional files of run folders.

    Attributes:
        notes: sentences on the files that are there and could not be read.
    """

    notes: list[str] = field(default_factory=list)

    def bytes_of(self, file: Path) -> bytes | None:
        """The file; None where there is none. A link is not followed: a run folder may come from elsewhere."""
        try:
            kind = file.lstat().st_mode
            if not stat.S_ISREG(kind):
                self.notes.append(f"{file}: left out: not a plain file.")
                return None
            return file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.notes.append(f"{file}: left out: {error.strerror}.")
            return None

    def json_of(self, file: Path) -> dict[str, Any]:
        """A JSON object, empty where there is none."""
        data = self.bytes_of(file)
        if data is None:
            return {}
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self.notes.append(f"{file}: left out: not a JSON object.")
            return {}
        return value

    def table(self, file: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> pd.DataFrame | None:
        """These columns of a CSV file of numbers, nan where one is missing or not finite.

        Args:
            file: the file.
            columns: that it must have.
            optional: that are nan throughout where it has them not.
        """
        data = self.bytes_of(file)
        if data is None:
            return None
        try:
            read = pd.read_csv(BytesIO(data), usecols={*columns, *optional}.__contains__, dtype=float)
            if missing := [column for column in columns if column not in read]:
                raise ValueError(f"it has no column {missing[0]}")
            return read.reindex(columns=[*columns, *optional]).replace([np.inf, -np.inf], np.nan)
        except (ValueError, UnicodeDecodeError) as error:
            return self._damaged(file, error)

    def confusion(self, file: Path) -> np.ndarray | None:
        """A confusion matrix, `int64 [K, K]`, rows are true classes."""
        data = self.bytes_of(file)
        if data is None:
            return None
        try:
            return read_confusion(StringIO(data.decode(), newline=""))[0]
        except (ValueError, csv.Error) as error:
            return self._damaged(file, error)

    def pool(self, file: Path) -> Pool | None:
        """The pool as `pool.npz` describes it."""
        data = self.bytes_of(file)
        if data is None:
            return None
        try:
            with np.load(BytesIO(data), allow_pickle=False) as arrays:
                label = arrays["label"].astype(np.int64)
                mask = arrays["mask"].astype(bool) if "mask" in arrays else np.ones(label.shape, bool)
                pool = Pool(arrays["position"].astype(np.float32), arrays["explained"], label, mask)
            shapes = pool.position.shape, pool.explained.shape, mask.shape
            if shapes != ((len(label), 2), (2,), (len(label),)) or not mask.any():
                raise ValueError("the shapes of its arrays do not fit")
            if not (np.isfinite(pool.position).all() and np.isfinite(pool.explained).all()):
                raise ValueError("it holds numbers that are not finite")
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            return self._damaged(file, error)
        return pool

    def png(self, file: Path) -> bytes | None:
        """A PNG."""
        data = self.bytes_of(file)
        if data is not None and not data.startswith(PNG):
            return self._damaged(file, ValueError("not a PNG"))
        return data

    def _damaged(self, file: Path, error: Exception) -> None:
        self.notes.append(f"{file}: left out: damaged: {' '.join(str(error).split())}.")


def round_folder(run: str, number: int) -> Path:
    """The folder of a round of a run."""
    return Path(run) / "rounds" / f"{number:03d}"
