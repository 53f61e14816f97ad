"""Sweeps as users start them: each run once, one failing job stops no other, a table and an exit code that tell."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from conftest import Command, Ended, fast, run_process

from al_lightning.config.limits import OBJECTIVES
from al_lightning.models.measures import MEASURES
from al_lightning.runs.learning_curve import aubc
from al_lightning.runs.rounds import Round, read_json
from al_lightning.runs.run_folder import RunFolder
from al_lightning.signals import Interrupted


def rows(done: Ended) -> list[list[str]]:
    """The rows of the table that are of a job, from its number on."""
    cells = [[cell.strip() for cell in re.split("[│┃|]", line)] for line in done.out.splitlines()]
    return [row[1:-1] for row in cells if len(row) > 4 and row[1].isdigit()]


def states(done: Ended) -> list[str]:
    """The states in the table, in the order of the jobs."""
    return [row[2] for row in rows(done)]


def runs(cwd: Path) -> list[Path]:
    return sorted(path.parent for path in cwd.rglob("summary.json"))


def assert_nothing_of_hydra(cwd: Path) -> None:
    assert {path.name for path in cwd.iterdir()} <= {"multirun_outputs"}
    for pattern in ("multirun.yaml", ".hydra", "outputs", "multirun", "*.log", ".sweep"):
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


LENGTHS = [("al.rounds=1,3",), ("al.rounds=null", "al.budget=40,80")]


def assert_each_shows_its_own_length(done: Ended, cwd: Path) -> None:
    assert done.code == 0, done.err
    (folder,) = runs(cwd)
    accuracy = pd.read_csv(folder / "rounds.csv")["test/acc"]
    assert [row[3:5] for row in rows(done)] == [["40", f"{accuracy[1]:.4f}"], ["80", f"{accuracy[3]:.4f}"]]
    assert_nothing_of_hydra(cwd)


@pytest.mark.parametrize("keys", LENGTHS)
def test_jobs_of_one_folder_each_show_the_run_at_their_own_length(
    keys: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    for expected in (["finished", "resumed"], ["skipped", "skipped"]):
        done = command("--multirun", *keys, "al.initial_size=20", "al.query_size=20", cwd=tmp_path)
        assert_each_shows_its_own_length(done, tmp_path)
        assert states(done) == expected


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes find the launcher and the sweeper of `plugins/hydra_plugins`."""
    path = [str(Path(__file__).parent / "plugins"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


@pytest.mark.usefixtures("plugins")
def test_jobs_elsewhere_are_heard_of_and_one_that_is_not_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the study with the process that started them, but no environment and no temporary folder."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    arguments = ("--multirun", "hydra/launcher=elsewhere", "seed=0,1", "al.rounds=0")
    lost = run_process(*arguments, "hydra.launcher.lost=[1]", cwd=tmp_path)
    assert lost.code == 1
    assert "no outcome of job 2" in lost.err and "Traceback" not in lost.err
    assert states(lost) == ["finished", "not begun"]
    (kept,) = (tmp_path / "multirun_outputs" / "default" / ".sweep").iterdir()
    assert [path.name for path in kept.iterdir()] == [".logs"]
    done = run_process(*arguments, cwd=tmp_path)
    assert done.code == 0, done.err
    assert states(done) == ["skipped", "finished"]
    assert [*kept.parent.iterdir()] == [kept]
    assert not list((tmp_path / "tmp").glob("al_lightning*"))


@pytest.mark.usefixtures("plugins")
def test_a_sweeper_that_optimizes_is_told_a_validation_measure_of_every_job(tmp_path: Path) -> None:
    trials = ("optimizer.lr=0.0001,0.01", "al.n_clusters=10,12", "al.objective=val/nll", "al.val_size=100")
    for name in ("optimization_results.yaml", "optimization_results-2.yaml"):
        done = run_process("--multirun", "hydra/sweeper=trial", *trials, cwd=tmp_path)
        assert done.code == 0, done.err
        told = [
            float(line[2:]) for line in (tmp_path / "multirun_outputs" / "default" / name).read_text().split("\n")[:-1]
        ]
        folders = [next(folder for folder in runs(tmp_path) if folder.name == row[-1]) for row in rows(done)]
        assert told == [pd.read_csv(folder / "rounds.csv")["val/nll"].iloc[-1] for folder in folders]
        assert told[0] == told[1] != told[2] == told[3]
        best = told.index(min(told))
        assert f"best val/nll: {told[best]:.4f}, job {best + 1} (" in done.out
    assert states(done) == ["skipped", "same", "skipped", "same"]
    assert_nothing_of_hydra(tmp_path)


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("hydra/sweeper=trial", "hydra/sweeper=trial: it optimizes what the jobs return"),
        ("hydra/sweeper=trial al.objective=val/f1", "add al.val_size=100"),
        ("hydra/sweeper=trial al.objective=val/f1 al.val_size=50 dry_run=true", "hydra/sweeper=trial dry_run=true: it"),
        (
            "hydra/sweeper=trial al.objective=val/f1 al.val_size=50 hydra.sweeper.direction=minimize",
            "add hydra.sweeper.direction=maximize",
        ),
        ("study=../elsewhere", "study=../elsewhere: names a folder"),
    ],
)
def test_a_sweep_that_cannot_work_is_refused_before_any_job(settings: str, said: str, tmp_path: Path) -> None:
    done = run_process("--multirun", *settings.split(), "optimizer.lr=0.001,0.01", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("objective", ["test/acc", "acc", "aubc"])
def test_an_objective_is_a_validation_measure_of_labels_that_were_paid_for(objective: str, command: Command) -> None:
    done = command(f"al.objective={objective}", *([] if objective == "aubc" else ["al.val_size=50"]))
    assert done.code == 2
    assert f"al.objective={objective}: " in done.err
    assert ("al.val_size=100" if objective == "aubc" else "must be one of val/acc, ") in done.err
    assert tuple(f"val/{name}" for name in MEASURES) == OBJECTIVES[:-1]


def test_hydras_own_sweeper_names_the_best_job_too_and_an_objective_changes_no_run(
    tmp_path: Path, command: Command
) -> None:
    assert command("seed=1", "al.val_size=50", cwd=tmp_path).code == 0
    done = command("--multirun", "seed=0,1", "al.val_size=50", "al.objective=aubc", cwd=tmp_path)
    assert done.code == 0, done.err
    assert states(done) == ["finished", "skipped"]
    assert all("hydra.sweep" not in (folder / "summary.json").read_text() for folder in runs(tmp_path))
    curves = [pd.read_csv(folder / "rounds.csv") for folder in runs(tmp_path)]
    areas = [aubc(curve["n_labeled"].to_list(), curve["val/acc"].to_list()) for curve in curves]
    assert [row[6] for row in rows(done)] == [f"{area:.4f}" for area in areas]
    assert f"best aubc: {max(areas):.4f}, job {areas.index(max(areas)) + 1} (seed=" in done.out


def test_a_second_sweep_in_one_process_hears_of_its_own_jobs(tmp_path: Path) -> None:
    """Side by side, where joblib keeps the processes of the first."""
    arguments = fast(
        ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "dataset=folder", "dataset.root=/no,/not")
    )
    code = f"""
import sys
from al_lightning.__main__ import main
if __name__ == "__main__":
    sys.argv[1:] = {arguments}
    print(main(), main(), sys.argv[1:] == {arguments})
"""
    (tmp_path / "twice.py").write_text(code)
    done = subprocess.run([sys.executable, "twice.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "2 2 True", done.stderr
    assert states(Ended(0, done.stdout, done.stderr)) == ["refused"] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["twice.py"]
