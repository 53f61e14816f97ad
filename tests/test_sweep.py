"""Sweeps as users start them: each run once, one failing job stops no other, a table and an exit code that tell."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra.core.global_hydra import GlobalHydra

from al_lightning.__main__ import main

FAST = ["model=cnn", "model.width=4", "train.min_steps=2", "trainer.max_epochs=1", "logger=none"]


class Ended(NamedTuple):
    code: object
    out: str
    err: str


def sweep(cwd: Path, *arguments: str) -> Ended:
    command = [sys.executable, "-m", "al_lightning", "--multirun", *FAST, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def sweep_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """The same in this process, which has PyTorch imported already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # main() sets it, and this sets it back

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["al-lightning", "--multirun", *FAST, *arguments])
        GlobalHydra.instance().clear()
        code, said = main(), capfd.readouterr()
        return Ended(code, said.out, said.err)

    return run


def states(done: Ended) -> list[str]:
    """The states in the table, in the order of the jobs."""
    cells = [[cell.strip() for cell in re.split("[│┃|]", line)] for line in done.out.splitlines()]
    return [row[3] for row in cells if len(row) > 4 and row[1].isdigit()]


def runs(cwd: Path) -> list[Path]:
    return sorted(path.parent for path in cwd.rglob("summary.json"))


def assert_nothing_of_hydra(cwd: Path) -> None:
    assert {path.name for path in cwd.iterdir()} <= {"multirun_outputs"}
    for pattern in ("multirun.yaml", ".hydra", "outputs", "multirun", "*.log"):
        assert list(cwd.rglob(pattern)) == []


def test_jobs_that_come_to_the_same_run_execute_once_and_a_second_time_none_does(tmp_path: Path, sweep_here) -> None:
    arguments = ("strategy=margin,kmeans", "al.n_clusters=10,12", "seed=0", "al.rounds=1")
    first = sweep(tmp_path, *arguments)
    assert first.code == 0, first.err
    assert states(first) == ["finished", "skipped", "finished", "finished"]
    assert "4 jobs, 3 runs" in first.out
    assert len(runs(tmp_path)) == 3
    tables = {folder: (folder / "rounds.csv").read_bytes() for folder in runs(tmp_path)}
    second = sweep_here(*arguments)
    assert second.code == 0, second.err
    assert states(second) == ["skipped"] * 4
    assert {folder: (folder / "rounds.csv").read_bytes() for folder in runs(tmp_path)} == tables
    assert_nothing_of_hydra(tmp_path)


def test_a_job_that_cannot_work_does_not_stop_the_next(tmp_path: Path, sweep_here) -> None:
    done = sweep_here("al.rounds=1000,1", "strategy=margin,random")
    assert done.code == 1
    assert states(done) == ["refused", "refused", "finished", "finished"]
    assert "job 0 refused" in done.err
    assert "al.rounds=1000" in done.err
    assert len(runs(tmp_path)) == 2
    assert_nothing_of_hydra(tmp_path)


def test_a_sweep_of_which_every_job_is_refused_is_refused(tmp_path: Path) -> None:
    done = sweep(tmp_path, "dataset=digits,folder", "al.rounds=-1")
    assert done.code == 2, done.err
    assert states(done) == ["refused", "refused"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argument", ["strategy=margin,nope", "al.nope=1,2"])
def test_a_sweep_over_what_does_not_exist_is_refused_before_any_job(tmp_path: Path, sweep_here, argument: str) -> None:
    done = sweep_here(argument)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "nope" in done.err
    assert list(tmp_path.iterdir()) == []


def test_jobs_at_the_same_time_that_come_to_the_same_run_execute_it_once(tmp_path: Path) -> None:
    done = sweep(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "al.n_clusters=10,12", "al.rounds=2")
    assert done.code == 0, done.err
    first, second = sorted(states(done))
    assert (first, second) in [("finished", "same"), ("finished", "skipped")]
    (folder,) = runs(tmp_path)
    assert len((folder / "rounds.csv").read_text().splitlines()) == 1 + 3
    assert_nothing_of_hydra(tmp_path)
