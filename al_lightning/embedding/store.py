"""The rows of an embedding on disk, by the content of their images: computed once, whoever asks.

`rows.f16` holds the rows one after the other and `digests.bin` 16 bytes for each, in the same order. A shard of rows is
written to the first and, once it is on the disk, its digests to the second: what has no digest is not there. Both are
only appended to, and the rows are read by mapping the file, which processes share. Rows that are wanted in another
order than they came in are written in it once, to a file of their own.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from io import BufferedRandom
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from al_lightning.disk import alone, look_anew, replace_file, sync
from al_lightning.errors import DataError

DIGEST = np.dtype("V16")
FEW = 2**26  # bytes of rows that are rather copied than written once more
BLOCK = 8192  # rows that are brought into order at a time
ROWS, DIGESTS, MANIFEST, LOCK = "rows.f16", "digests.bin", "manifest.json", ".lock"


def digests(images: Tensor) -> np.ndarray:
    """A digest of every image, its shape included, `V16 [N]`.

    Args:
        images: `uint8 [N, C, H, W]`.
    """
    shape = repr(tuple(images.shape[1:])).encode()[:16]
    rows = images.contiguous().numpy()
    each = (blake2b(row.data, digest_size=16, person=shape).digest() for row in rows)
    return np.fromiter(each, DIGEST, len(rows))


class Store:
    """The rows of one embedding.

    Args:
        folder: of this embedding; made where it is not there.
        n_features: D.
        about: what is said of it in its manifest.

    Raises:
        DataError: the folder holds another embedding, or is damaged.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, n_features: int, about: dict[str, str]) -> None:
        self.folder, self.n_features = folder, n_features
        folder.mkdir(parents=True, exist_ok=True)
        manifest = {"format": 1, "n_features": n_features, "dtype": "float16", **about}
        if not (folder / MANIFEST).exists():
            with self.writing():
                replace_file(folder, MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
        try:
            found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != manifest:
            raise DataError(f"{folder}/{MANIFEST}: is not of this embedding, {about}; remove the folder")

    def known(self) -> np.ndarray:
        """The digests of the rows that there are, `V16 [S]`, in their order."""
        file = self.folder / DIGESTS
        data = file.read_bytes() if file.exists() else b""
        whole = np.frombuffer(data[: len(data) // DIGEST.itemsize * DIGEST.itemsize], DIGEST)
        rows = self.folder / ROWS
        n_rows = rows.stat().st_size // (2 * self.n_features) if rows.exists() else 0
        if n_rows < len(whole):
            raise DataError(f"{rows}: has {n_rows} rows, of {len(whole)} that it should have; remove {self.folder}")
        return whole

    def tensor(self, at: np.ndarray) -> Tensor:
        """Some rows, `float16 [n, D]`: mapped, but for a few out of order.

        Args:
            at: positions in the store, `int64 [n]`, in any order and with repetitions.
        """
        known, start = self.known(), int(at[0]) if len(at) else 0
        if (at == np.arange(start, start + len(at))).all():
            return torch.from_numpy(self._mapped(ROWS, len(known))[start : start + len(at)])
        if 2 * self.n_features * len(at) <= FEW:
            return torch.from_numpy(self._mapped(ROWS, len(known))[at])
        name = f"{blake2b(known[at].data, digest_size=16).hexdigest()}.f16"  # of what they show, wherever they lie
        if not (self.folder / name).exists():
            with self.writing():
                if not (self.folder / name).exists():  # another process has, meanwhile
                    self._write_ordered(name, at, len(known))
        return torch.from_numpy(self._mapped(name, len(at)))

    def _mapped(self, name: str, n: int) -> np.ndarray:
        if not n:
            return np.empty((0, self.n_features), np.float16)
        return np.memmap(self.folder / name, np.float16, "c", shape=(n, self.n_features))

    def _write_ordered(self, name: str, at: np.ndarray, n: int) -> None:
        part = self.folder / f".{name}.part"
        with part.open("wb") as file:
            for start in range(0, len(at), BLOCK):
                file.write(self._mapped(ROWS, n)[at[start : start + BLOCK]].data)  # no page stays mapped
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / name)
        sync(self.folder)

    def append(self, new: np.ndarray, rows: Tensor) -> None:
        """Add a shard: after this call it survives a crash.

        Args:
            new: digests `V16 [m]`.
            rows: `float16 [m, D]`.
        """
        with _opened(self.folder / ROWS) as row_file, _opened(self.folder / DIGESTS) as digest_file:
            n = os.fstat(digest_file.fileno()).st_size // DIGEST.itemsize  # of the open file: a name may be an old one
            _write(row_file, 2 * self.n_features * n, rows.contiguous().numpy().tobytes())
            _write(digest_file, DIGEST.itemsize * n, new.tobytes())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around what is appended: one process at a time; another one waits, and then finds it done."""
        with alone(self.folder / LOCK, f"{self.folder}: another process embeds; waiting for it"):
            look_anew(self.folder)
            yield


def positions(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where digests are among others, `int64 [N]`; -1 where they are not."""
    if not len(known):
        return np.full(len(wanted), -1)
    order = np.argsort(known, kind="stable")
    found = np.searchsorted(known[order], wanted).clip(max=len(known) - 1)
    return np.where(known[order[found]] == wanted, order[found], -1)


def _opened(path: Path) -> BufferedRandom:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")


def _write(file: BufferedRandom, start: int, data: bytes) -> None:
    file.truncate(start)
    file.seek(start)
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
