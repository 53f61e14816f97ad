"""Which arguments of Lightning's Trainer a run takes, and that nothing else changes its Trainer."""

import inspect
import os
from pathlib import Path

import pytest
import pytorch_lightning as pl
from conftest import Command, run_process
from run_folders import differences, only_run, table
from test_bad_input import assert_refused

from al_lightning.config import limits


def test_what_the_loop_owns_are_arguments_of_the_trainer() -> None:
    assert limits.OWNED.keys() < inspect.signature(pl.Trainer).parameters.keys()


@pytest.mark.parametrize("key", limits.OWNED)
def test_what_the_loop_owns_is_refused_with_its_reason(key: str, command: Command) -> None:
    assert_refused(command(f"+trainer.{key}=1"), f"trainer.{key}=1: the loop decides it: {limits.OWNED[key]}")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["+trainer.accumulate_grad_batches=2"], "use train.engine=plain"),
        (["+trainer.accumulate_grad_batches=2", "train.engine=graph"], "use train.engine=plain"),
        (["+trainer.accumulate_grad_batches=0", "train.engine=plain"], "at least 1"),
        (["trainer.logger=true"], "logger=csv"),
        (["+trainer.log_every_n_step=1"], "has no such setting"),
        (["+trainer.log_every_n_steps=often"], "valid integer"),
    ],
)
def test_what_cannot_work_is_refused(settings: list[str], said: str, command: Command) -> None:
    assert_refused(command(*settings), settings[0].lstrip("+").partition("=")[0], said)


def test_the_trainer_takes_its_other_arguments(command: Command) -> None:
    others = {"log_every_n_steps": 3, "inference_mode": False, "benchmark": True, "detect_anomaly": True}
    others |= {"enable_autolog_hparams": False, "deterministic": "warn", "num_sanity_val_steps": 2}
    done = command(*(f"++trainer.{key}={value}" for key, value in others.items()), "al.rounds=1")
    assert done.code == 0, done.err


def test_accumulated_gradients_take_fewer_steps_which_are_counted(command: Command, tmp_path: Path) -> None:
    """An epoch of 20, 40 and 60 images in batches of 8: 3, 5 and 8 batches, in pairs 2, 3 and 4 steps."""
    done = command(
        *("train.engine=plain", "+trainer.accumulate_grad_batches=2", "batch_size=8", "trainer.max_epochs=3"),
        *("logger=csv", "+trainer.log_every_n_steps=1"),
        "+callbacks.lr._target_=pytorch_lightning.callbacks.LearningRateMonitor",
    )
    assert done.code == 0, done.err
    folder = only_run(tmp_path / "cwd")
    assert [int(row["fit/steps"]) for row in table(folder / "rounds.csv")] == [3 * 2, 3 * 3, 3 * 4]
    logged = table(folder.parent / "csv" / folder.name / "metrics.csv")
    rates = [float(row["lr-Adam"]) for row in logged if row["lr-Adam"] and int(row["step"]) < 6]
    assert rates == sorted(rates, reverse=True) and min(rates) < 0.1 * max(rates)  # the schedule comes to its end


def test_lightnings_variables_change_nothing(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("al.rounds=1", "trainer.max_epochs=3", cwd=tmp_path / "without").code == 0
    variables = {"LIMIT_TEST_BATCHES": "0.5", "FAST_DEV_RUN": "1", "ACCUMULATE_GRAD_BATCHES": "4", "MAX_STEPS": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"PL_TRAINER_{name}", value)
    assert command("al.rounds=1", "trainer.max_epochs=3", cwd=tmp_path / "with").code == 0
    assert differences(only_run(tmp_path / "with"), only_run(tmp_path / "without")) == []
    assert os.environ["PL_TRAINER_MAX_STEPS"] == "1"  # they are the user's


@pytest.mark.parametrize("tasks", [{}, {"SLURM_NTASKS_PER_NODE": "4"}])
def test_a_run_in_a_job_of_slurm_is_a_run(
    tasks: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"NTASKS": "4", "JOB_ID": "70001", "JOB_NAME": "study", "NNODES": "2", "NODELIST": "node[1-2]"}
    for name, value in (job | {"PROCID": "2", "LOCALID": "2", "NODEID": "0"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name, value in tasks.items():
        monkeypatch.setenv(name, value)
    done = run_process("al.rounds=0", "logger=csv", cwd=tmp_path)
    assert done.code == 0, done.err
    folder = only_run(tmp_path)
    assert (folder.parent / "csv" / folder.name / "metrics.csv").exists()  # task 2 of the job is the run's only one
