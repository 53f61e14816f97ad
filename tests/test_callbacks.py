"""Callbacks of the user's: what they change is trained, measured and resumed; what the loop cannot bear is refused."""

import math
from pathlib import Path

import pytest
import torch
from conftest import Command
from run_folders import contents, differences, only_run, table
from test_bad_input import assert_refused
from torch.nn.functional import cross_entropy

from al_lightning import load
from al_lightning.data.sources import digits

LIGHTNING = "pytorch_lightning.callbacks"
EMA = (f"+callbacks.ema._target_={LIGHTNING}.EMAWeightAveraging", "+callbacks.ema.decay=0.5", "train.engine=plain")
OWN = """
import pytorch_lightning as pl

class Stop(pl.Callback):
    def on_train_epoch_end(self, trainer, module):
        trainer.should_stop = True

class Break(pl.Callback):
    def on_train_epoch_end(self, trainer, module):
        raise KeyError("lost")

class Steps(pl.Callback):
    def on_before_optimizer_step(self, trainer, module, optimizer):
        pass
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ModelCheckpoint", "writes into its own folder only"),
        ("OnExceptionCheckpoint", "writes into its own folder only"),
        ("EarlyStopping", "trainer.max_epochs"),
        ("Timer", "trainer.max_epochs"),
        ("StochasticWeightAveraging", "callbacks.WeightAveraging"),
        ("GradientAccumulationScheduler", "trainer.accumulate_grad_batches"),
        ("BatchSizeFinder", "batch_size"),
        ("LearningRateFinder", "optimizer.lr"),
        ("ModelPruning", "channels-last"),
        ("LearningRateMonitor", "logger=csv"),
        ("EMAWeightAveraging", "use train.engine=plain"),
        ("RichProgressBar", "enable_progress_bar=False"),
        ("Callback", "not a target"),
        ("RichProgresBar", "did you mean RichProgressBar?"),
        ("model_checkpoint.ModelCheckpoint", "not a target"),
        ("LearningRateMonitor +callbacks.x.logging_interval=3", "callbacks.x.logging_interval=3"),
    ],
)
def test_what_the_loop_cannot_bear_is_refused(name: str, said: str, command: Command) -> None:
    assert_refused(command(*f"+callbacks.x._target_={LIGHTNING}.{name}".split()), said)


@pytest.mark.parametrize("given", ["callbacks=3", "+callbacks.x=3", "callbacks=null", "+callbacks.x.decay=1"])
def test_what_is_no_callback_is_refused(given: str, command: Command) -> None:
    assert_refused(command(given), "callbacks")


def test_a_graph_takes_no_callback_that_changes_the_model(command: Command) -> None:
    callback = f"+callbacks.x._target_={LIGHTNING}.BackboneFinetuning"
    assert_refused(command("train.engine=graph", callback), "use train.engine=plain")


def test_no_callbacks_are_the_run_of_before_there_were_any(command: Command, tmp_path: Path) -> None:
    assert command("al.rounds=0").code == 0
    assert "finished before" in command("al.rounds=0", "callbacks={}").out
    without = only_run(tmp_path / "cwd").name
    assert command("al.rounds=0", *EMA[:2], "train.engine=plain", cwd=tmp_path / "with").code == 0
    assert only_run(tmp_path / "with").name != without


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_what_a_callback_logs_is_logged_over_the_steps_of_the_run(
    engine: str, command: Command, tmp_path: Path
) -> None:
    monitor = (f"+callbacks.lr._target_={LIGHTNING}.LearningRateMonitor", "+trainer.log_every_n_steps=1")
    done = command(*monitor, f"train.engine={engine}", "logger=csv", "trainer.max_epochs=4", "batch_size=10")
    assert done.code == 0, done.err
    folder = only_run(tmp_path / "cwd")
    rates = {int(row["step"]): float(row["lr-Adam"]) for row in table(_csv(folder)) if row["lr-Adam"]}
    expected, before = {}, 0
    for steps in (4 * 2, 4 * 4, 4 * 6):
        seen = range(0, steps, 1 if engine == "plain" else steps // 4)
        expected |= {before + step: 0.0005 * 0.5 * (1 + math.cos(math.pi * step / steps)) for step in seen}
        before += steps
    assert rates == pytest.approx(expected)


def test_the_model_that_a_callback_leaves_is_the_one_that_is_measured_and_kept(
    command: Command, tmp_path: Path
) -> None:
    """The mean of the weights is put in place after the last step, when the fit has been looked at already."""
    settings = ("trainer.max_epochs=20", "train.schedule=constant", "optimizer.lr=0.01")
    assert command(*EMA, "callbacks.ema.decay=0.9", *settings).code == 0
    folder, data = only_run(tmp_path / "cwd"), digits()
    with torch.no_grad():
        loss = cross_entropy(load(folder).model(data.test.images), data.test.labels).item()
    assert float(table(folder / "rounds.csv")[-1]["test/nll"]) == pytest.approx(loss, rel=1e-4)
    assert command("train.engine=plain", *settings, cwd=tmp_path / "as it is").code == 0
    plain = only_run(tmp_path / "as it is")
    assert abs(float(table(plain / "rounds.csv")[-1]["test/nll"]) / loss - 1) > 0.01
    assert contents(plain)["queries.csv"] != contents(folder)["queries.csv"]


def test_a_run_with_a_callback_goes_on_to_the_same_bytes(command: Command, tmp_path: Path) -> None:
    for rounds in (1, 2):
        assert command(*EMA, f"al.rounds={rounds}", cwd=tmp_path / "in two").code == 0
    assert command(*EMA, "al.rounds=2", cwd=tmp_path / "whole").code == 0
    assert differences(only_run(tmp_path / "in two"), only_run(tmp_path / "whole")) == []


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("Stop", 1, "round 0: callbacks own: the fit was stopped after 1 of 3 epochs"),
        ("Break", 1, "round 0: callbacks.own: KeyError: 'lost' ("),
        ("Steps", 2, "does not call on_before_optimizer_step; use train.engine=plain"),
    ],
)
def test_a_callback_of_the_users_own_that_fails_is_named(
    name: str, code: int, said: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_of_callbacks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "lab_of_callbacks")
    done = command(f"+callbacks.own._target_=lab_of_callbacks.{name}", "trainer.max_epochs=3", "al.rounds=0")
    assert done.code == code and said in done.err and "Traceback" not in done.err


def _csv(folder: Path) -> Path:
    return folder.parent / "csv" / folder.name / "metrics.csv"
