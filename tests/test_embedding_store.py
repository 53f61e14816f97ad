"""The rows of an embedding in any order: mapped, and never all of them in memory."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import start
from test_embedding import CPU, counting, data_of, images

from al_lightning.embedding import embed, store
from al_lightning.embedding.store import DIGEST, Store

N, D = 500_000, 512  # a file of 0.5 GB
MOST = 100e6  # bytes


@given(st.data(), st.integers(0, 30), st.sampled_from([0, 2**26]))
def test_rows_come_in_any_order_and_any_number(data: st.DataObject, n: int, few: int) -> None:
    at = np.array(data.draw(st.lists(st.integers(0, max(0, n - 1)), max_size=40 * (n > 0))), np.int64)
    rng = np.random.default_rng(n)
    rows = torch.from_numpy(rng.normal(size=(n, 3)).astype(np.float16))
    with TemporaryDirectory() as folder, patch.object(store, "FEW", few), patch.object(store, "BLOCK", 7):
        kept = Store(Path(folder), 3, {})
        kept.append(np.frombuffer(rng.bytes(16 * n), DIGEST), rows)
        for _ in range(2):  # written, and then found
            assert torch.equal(kept.tensor(at), rows[at])


def test_an_order_is_written_once_and_belongs_to_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever their rows lie: the file outlives a store that is computed anew."""
    monkeypatch.setattr(store, "FEW", 0)
    pool, test = images(50), images(9, seed=1)
    counting()[1].embed(data_of(pool, test), tmp_path, CPU)
    folder = tmp_path / "0123456789abcdef"
    assert not list(folder.glob("*[!s].f16")), "as they come"
    turned = data_of(pool.flip(0), test)
    found = counting()[1].embed(turned, tmp_path, CPU)
    [file] = folder.glob("*[!s].f16")
    written = file.stat().st_mtime_ns
    for name in ("rows.f16", "digests.bin"):
        (folder / name).unlink()
    counting()[1].embed(data_of(pool[:20], test), tmp_path, CPU)
    again = counting()[1].embed(turned, tmp_path, CPU)
    assert [*folder.glob("*[!s].f16")] == [file] and file.stat().st_mtime_ns == written
    for each in (found, again):
        assert torch.equal(each.pool, (turned.pool.images.float().sum(3).flatten(1) / 255).half())


def test_a_shard_has_so_many_bytes_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, append = list[int](), Store.append
    monkeypatch.setattr(Store, "append", lambda self, new, rows: sizes.append(len(new)) or append(self, new, rows))
    for place, n_bytes in (("few", 10 * 432), ("one", 1), ("all", 2**28)):
        monkeypatch.setattr(embed, "SHARD_BYTES", n_bytes)
        counting()[1].embed(data_of(images(20), images(3, seed=1)), tmp_path / place, CPU)
    assert sizes == [8, 8, 7, *([1] * 23), 23]


def test_of_half_a_gigabyte_out_of_order_little_is_ever_in_memory(tmp_path: Path) -> None:
    assert start(_orders_half_a_gigabyte, tmp_path) == 0


def _orders_half_a_gigabyte(folder: Path) -> None:
    kept = Store(folder, D, {})
    order = np.arange(N)[::-1].copy()
    with (folder / "rows.f16").open("wb") as file:
        for at in (0, 123_456, N - 1):
            os.pwrite(file.fileno(), np.full(D, at % 1000, np.float16).tobytes(), 2 * D * at)
    np.arange(2 * N).tofile(folder / "digests.bin")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the most there was is what there is now
    before = _memory("VmRSS")
    rows = kept.tensor(order)
    assert rows.shape == (N, D) and [int(rows[N - 1 - at, -1]) for at in (0, 123_456, N - 1)] == [0, 456, 999]
    assert _memory("VmHWM") - before < MOST, (_memory("VmHWM"), before)


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return 1024 * float(line.split()[1])
