"""Several GPUs in one run: what processes on the CPU cannot show."""

from pathlib import Path

import pytest
import torch
from conftest import Command
from run_folders import only_run, table, untimed

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices"),
]


def of(n: int, command: Command, place: Path, *given: str) -> Path:
    ended = command(*given, "trainer=gpu", "train.engine=plain", f"trainer.devices={n}", cwd=place / str(n))
    assert ended.code == 0, ended.err
    return only_run(place / str(n))


def test_batch_normalization_sees_the_whole_batch(command: Command, tmp_path: Path) -> None:
    given = ["model=cnn", "model.dropout=0", "al.rounds=0", "train.min_steps=12", "batch_size=7"]
    one, two = (table(of(n, command, tmp_path, *given) / "rounds.csv")[0] for n in (1, 2))
    assert float(one["fit/loss"]) == pytest.approx(float(two["fit/loss"]), rel=1e-2)


def test_a_convex_fit_is_the_same_run(command: Command, tmp_path: Path) -> None:
    given = ["model=linear", "embedding=pixels", "al.pool_batch_size=256"]
    one, two = (of(n, command, tmp_path, *given) for n in (1, 2))
    assert untimed(one) == untimed(two)
    assert (one / "queries.csv").read_bytes() == (two / "queries.csv").read_bytes()
