"""Sweeps as users start them: each run once, one failing job stops no other, a table and an exit code that tell."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Command, Ended, run_process

from al_lightning.rounds import Round, read_json
from al_lightning.run_folder import RunFolder
from al_lightning.signals import Interrupted


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


def test_jobs_that_come_to_the_same_run_execute_once_and_a_second_time_none_does(
    tmp_path: Path, command: Command
) -> None:
    arguments = ("strategy=margin,kmeans", "al.n_clusters=10,12", "seed=0", "al.rounds=1")
    first = run_process("--multirun", *arguments, cwd=tmp_path)
    assert first.code == 0, first.err
    assert states(first) == ["finished", "same", "finished", "finished"]
    assert "4 jobs, 3 runs" in first.out
    assert len(runs(tmp_path)) == 3
    tables = {folder: (folder / "rounds.csv").read_bytes() for folder in runs(tmp_path)}
    second = command("--multirun", *arguments, cwd=tmp_path)
    assert second.code == 0, second.err
    assert states(second) == ["skipped", "same", "skipped", "skipped"]
    assert {folder: (folder / "rounds.csv").read_bytes() for folder in runs(tmp_path)} == tables
    assert_nothing_of_hydra(tmp_path)


def test_a_sweep_again_says_what_became_of_each_run(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four runs the first is whole, the second was interrupted, the third had failed, the fourth was never begun."""
    arguments = ("--multirun", "strategy=margin,random", "seed=0,1")
    assert command("strategy=margin", cwd=tmp_path).code == 0
    commit = RunFolder.commit
    for error, settings in ((Interrupted(15), "seed=1"), (OSError(28, "No space left on device"), "strategy=random")):

        def fail(self: RunFolder, done: Round, error: BaseException = error) -> None:
            if done.number == 2:
                raise error
            commit(self, done)

        monkeypatch.setattr(RunFolder, "commit", fail)
        with suppress(OSError):
            command(settings, cwd=tmp_path)
    monkeypatch.setattr(RunFolder, "commit", commit)
    assert [read_json(folder / "summary.json")["state"] for folder in runs(tmp_path)] == [  # type: ignore[index]
        *("finished", "interrupted", "failed")
    ]
    again = command(*arguments, cwd=tmp_path)
    assert again.code == 0, again.err
    assert states(again) == ["skipped", "resumed", "re-run", "finished"]
    assert [read_json(folder / "summary.json")["state"] for folder in runs(tmp_path)] == ["finished"] * 4  # type: ignore[index]


def test_a_job_that_cannot_work_does_not_stop_the_next(tmp_path: Path, command: Command) -> None:
    done = command("--multirun", "al.rounds=1000,1", "strategy=margin,random", cwd=tmp_path)
    assert done.code == 1
    assert states(done) == ["refused", "refused", "finished", "finished"]
    assert "job 1/4 refused" in done.err
    assert "al.rounds=1000" in done.err
    assert len(runs(tmp_path)) == 2
    assert_nothing_of_hydra(tmp_path)


def test_a_sweep_of_which_every_job_is_refused_is_refused(tmp_path: Path) -> None:
    done = run_process("--multirun", "dataset=digits,folder", "al.rounds=-1", cwd=tmp_path)
    assert done.code == 2, done.err
    assert states(done) == ["refused", "refused"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argument", ["strategy=margin,nope", "al.nope=1,2"])
def test_a_sweep_over_what_does_not_exist_is_refused_before_any_job(
    tmp_path: Path, command: Command, argument: str
) -> None:
    done = command("--multirun", argument, cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "nope" in done.err
    assert list(tmp_path.iterdir()) == []


def test_jobs_at_the_same_time_that_come_to_the_same_run_execute_it_once(tmp_path: Path) -> None:
    done = run_process(
        "--multirun",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "al.n_clusters=10,12",
        "al.rounds=2",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    assert sorted(states(done)) == ["finished", "same"]
    (folder,) = runs(tmp_path)
    assert len((folder / "rounds.csv").read_text().splitlines()) == 1 + 3
    assert_nothing_of_hydra(tmp_path)
