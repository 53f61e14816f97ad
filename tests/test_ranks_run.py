"""Whole runs of several processes: the same as of one; and one of the processes dies."""

import os
import select
import signal
from pathlib import Path

import pytest
from conftest import Command, run_process
from run_folders import differences, only_run, table, untimed

# Dies in a fit, once: of the rank, and by the signal, that the environment says.
DYING = """
import os
import pytorch_lightning as pl

class Die(pl.Callback):
    def on_train_start(self, trainer, module):
        open(f"{os.environ['PLACE']}/{trainer.global_rank}.pid", "w").write(str(os.getpid()))

    def on_train_batch_start(self, trainer, module, batch, index):
        marker = os.environ["PLACE"] + "/died"
        who, number = os.environ["DYING"].split()
        is_it = trainer.global_rank == int(who) and index == 1 and len(trainer.datamodule.trained_on) > 20
        if is_it and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), int(number))
"""


def test_a_convex_fit_is_the_same_run_on_one_two_and_three(command: Command, tmp_path: Path) -> None:
    """Each rank takes its share of the folds and of the pass; `rounds.csv` and `queries.csv` are the same text."""
    given = ["model=linear", "embedding=pixels", "strategy=margin", "al.pool_batch_size=256", "al.val_size=30"]
    folders = []
    for n in (1, 2, 3):
        cwd = tmp_path / str(n)
        ended = command(*given, "train.engine=plain", f"trainer.devices={n}", cwd=cwd)
        assert (ended.code, ended.err) == (0, "")
        folders.append(only_run(cwd))
    assert len({folder.name for folder in folders}) == 3, "they are different runs"
    for other in folders[1:]:
        assert untimed(other) == untimed(folders[0])
        assert (other / "queries.csv").read_bytes() == (folders[0] / "queries.csv").read_bytes()
        assert differences(other, folders[0]) == []


def test_a_network_without_dropout_is_fitted_alike_on_one_and_three(command: Command, tmp_path: Path) -> None:
    """Batches of 20 in parts of 7, 7 and 6, augmented; and a second cycle, which rank 0 decides on."""
    given = ["model=gal2017", "model.dropout=0", "model.hidden_dropout=0", "train.engine=plain", "al.rounds=1"]
    given += ["dataset.augment.crop=1", "train.min_steps=12", "train.max_cycles=2", "optimizer.lr=0.003"]
    given += ["trainer.gradient_clip_val=0.5", "+trainer.accumulate_grad_batches=2", "batch_size=7"]
    rows = []
    for n in (1, 3):
        ended = command(*given, f"trainer.devices={n}", cwd=tmp_path / str(n))
        assert ended.code == 0, ended.err
        rows.append(table(only_run(tmp_path / str(n)) / "rounds.csv"))
    for one, three in zip(*rows, strict=True):
        assert one["fit/cycles"] == three["fit/cycles"] == "2"
        assert float(one["fit/loss"]) == pytest.approx(float(three["fit/loss"]), rel=1e-3)
        assert float(one["test/nll"]) == pytest.approx(float(three["test/nll"]), rel=1e-3)


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Settings of a run of which a process dies in the fit of round 1."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "dying_ranks.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'code'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "dying_ranks")
    monkeypatch.setenv("PLACE", str(tmp_path))
    given = ["+callbacks.die._target_=dying_ranks.Die", "train.engine=plain", "batch_size=8", "train.min_steps=6"]
    return [*given, "al.pool_batch_size=256", "strategy=badge"]


def test_when_another_rank_dies_all_stop_and_the_same_command_goes_on(
    dying: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYING", f"1 {int(signal.SIGKILL)}")
    ended, again, other = (
        run_process(*dying, "trainer.devices=3", cwd=made(tmp_path / name)) for name in ("one", "one", "other")
    )
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith("error: ") and "rank 1 of 3 was killed by SIGKILL" in line and "same command" in line
    assert again.code == 0 and "goes on after round 0" in again.out
    assert other.code == 0
    assert differences(only_run(tmp_path / "one"), only_run(tmp_path / "other")) == []


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGKILL, -signal.SIGKILL, ""),
        (signal.SIGTERM, 143, "stopped by SIGTERM; the same command goes on\n"),
    ],
)
def test_when_the_first_rank_ends_the_others_do(
    number: int, code: int, said: str, dying: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYING", f"0 {int(number)}")
    ended = run_process(*dying, "trainer.devices=2", cwd=made(tmp_path / "one"))
    assert (ended.code, ended.err) == (code, said)
    assert len(table(only_run(tmp_path / "one") / "rounds.csv")) == 1
    assert_ends(int((tmp_path / "1.pid").read_text()))


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def assert_ends(pid: int) -> None:
    """Within 30 seconds, if it has not ended yet."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(process, select.POLLIN)
    assert poll.poll(30_000)
