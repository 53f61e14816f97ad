"""A run that is asked to stop does so at once, says how to go on, and ends as if it had not been."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import kill_points
import pytest
from conftest import Command
from kill_points import FOLDER, MIRROR, Point, said
from processes import start
from run_folders import differences, mirrored_rounds, only_run

LONG = ("trainer.max_epochs=100000",)  # a fit that nobody waits for


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 143), (signal.SIGUSR2, 143)),
        *((signal.SIGHUP, 143), (signal.SIGXCPU, 143)),
    ],
)
def test_a_signal_stops_a_long_fit_at_once(number: int, code: int, tmp_path: Path) -> None:
    point = Point("fit", "al_lightning.models.classifier:Classifier.training_step", 30, number=number)
    assert kill_points.kill(point, tmp_path, *LONG) == code
    folder = only_run(tmp_path)
    assert "interrupted after 0 rounds" in said(tmp_path)
    assert f"python -m al_lightning resume={folder.relative_to(tmp_path)}" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert not (folder / ".holder").exists()


def in_a_job(slurm: dict[str, str], point: Point, cwd: Path) -> None:
    os.environ.update(slurm)
    kill_points.killed(point, cwd, ())


def test_slurm_gets_what_it_asked_for_and_lightning_does_not_requeue(tmp_path: Path) -> None:
    slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "al", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0"}
    slurm |= {"SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_NODELIST": "here"}
    for number in (signal.SIGUSR1, signal.SIGTERM):
        point = Point("fit", f"{kill_points.CLASSIFIER}.training_step", 4, number=number)
        assert start(in_a_job, slurm, point, tmp_path) == 143, said(tmp_path)
    assert "requeu" not in said(tmp_path)
    assert "interrupted after 1 rounds" in said(tmp_path) and "interrupted after 2 rounds" in said(tmp_path)


@pytest.mark.parametrize(
    ("point", "n_kept", "n_mirrored"),
    [
        (Point("score", "al_lightning.models.learner:take", 6, number=signal.SIGTERM), 1, 1),
        (Point("select", "al_lightning.acquisition.select:top", 2, number=signal.SIGTERM), 1, 1),
        (Point("test", "al_lightning.models.classifier:Classifier.test_step", 3, number=signal.SIGTERM), 2, 2),
        (Point("other", "os:fsync", 26, number=signal.SIGTERM), 1, 1),
        (Point("other", f"{FOLDER}.commit", 2, number=signal.SIGTERM), 1, 1),
        (Point("other", f"{MIRROR}.round", 2, number=signal.SIGTERM), 2, 1),
    ],
    ids=str,
)
def test_a_run_stopped_anywhere_goes_on_by_its_folder_and_the_mirror_is_whole(
    point: Point, n_kept: int, n_mirrored: int, uninterrupted: Callable[[str], Path], tmp_path: Path, command: Command
) -> None:
    assert kill_points.kill(point, tmp_path, "logger=wandb") == 143
    folder = only_run(tmp_path)
    assert kill_points.n_committed(tmp_path) == n_kept
    assert f"interrupted after {n_kept} rounds" in said(tmp_path)
    assert mirrored_rounds(folder.parent) == [*range(n_mirrored)]  # closed: a killed one would hold nothing
    ended = command(f"resume={folder}", "logger.mode=offline", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert kill_points.lost(folder, uninterrupted("margin")) == []


def test_a_sweep_that_is_stopped_says_so_and_goes_on(tmp_path: Path, uninterrupted: Callable[[str], Path]) -> None:
    arguments = ("--multirun", "strategy=margin,random", "seed=0,1")
    point = Point("fit", "al_lightning.models.classifier:Classifier.training_step", 16, number=signal.SIGTERM)
    assert kill_points.kill(point, tmp_path, *arguments) == 143
    assert "2 jobs, " in said(tmp_path) and "interrupted" in said(tmp_path)
    assert kill_points.run(tmp_path, *arguments) == 0
    table = said(tmp_path).rpartition("4 jobs, 4 runs")[2]
    assert [word for word in table.split() if word in ("skipped", "resumed", "finished")] == [
        *("skipped", "resumed", "finished", "finished")
    ]
    for folder in (tmp_path / "multirun_outputs/default").glob("*-margin-s0-*"):
        assert differences(folder, uninterrupted("margin")) == []


def test_a_sweep_of_several_processes_is_stopped_as_one(tmp_path: Path) -> None:
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "strategy=margin,random", *LONG)
    point = Point("any", "time:sleep", 300, number=signal.SIGTERM)  # joblib waits for its processes in small naps
    assert kill_points.kill(point, tmp_path, "--multirun", *joblib) == 143
    assert "stopped by SIGTERM; the same command goes on" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
