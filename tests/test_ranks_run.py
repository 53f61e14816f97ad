"""Whole runs of several processes: the same as of one; and one of the processes dies."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from conftest import Command, run_process
from processes import start
from run_folders import differences, only_run, table, untimed

from al_lightning import signals
from al_lightning.followers import lead
from al_lightning.followers.messages import Start
from al_lightning.ranks import Rank

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

class Spoil(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.global_rank == 1:
            module._loss.fill_(float("nan"))
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


def test_a_fit_that_diverges_on_one_rank_stops_all_and_says_so(dying: list[str], tmp_path: Path) -> None:
    spoiled = [dying[0].replace("Die", "Spoil"), *dying[1:]]
    ended = run_process(*spoiled, "trainer.devices=2", cwd=made(tmp_path / "one"))
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert "round 0 diverged: the loss is not finite in epoch 0" in line


def waits(is_stuck: bool, said: Path) -> None:
    """Rank 0, whose group tells it nothing of the other's death; signals may not reach it either."""
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
    lead.BY_ITSELF, lead.BY_FORCE = 0.1, 0.5
    if is_stuck:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with (
            signals.raised(),
            lead.leading(Start({}, "run", Rank(0, 2), 0, 1, "", "", ()), torch.device("cpu")) as leader,
        ):
            dead = subprocess.Popen(["false"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert leader
            leader._processes.append(dead)
            threading.Thread(target=leader._watch, args=(1, dead)).start()
            threading.Event().wait(100)
    except lead.RankError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_code)


@pytest.mark.parametrize("is_stuck", [False, True])
def test_rank_0_stops_where_nothing_but_the_death_itself_tells_it(is_stuck: bool, tmp_path: Path) -> None:
    assert start(waits, is_stuck, tmp_path / "said") == 1
    said = "error: run: rank 1 of 2 ended with exit code 1, and the others have stopped; the rounds before stand"
    assert (tmp_path / "said").read_text().startswith(said)


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
