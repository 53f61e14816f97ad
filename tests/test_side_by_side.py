"""Runs of a sweep at the same time: each has its share of the cores, and where there are enough a GPU of its own."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import run_process
from joblib import cpu_count
from test_model import settings_of
from test_sweep import assert_nothing_of_hydra, rows, runs, states

from al_lightning.runs import environment
from al_lightning.runs.rounds import read_json
from al_lightning.trainer import make_trainer

# A job that says its GPU and holds it until its input ends.
HOLDING = """
import sys
from pathlib import Path
from al_lightning.command import sharing
with sharing.gpu(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])) as gpu:
    print(gpu, flush=True)
    sys.stdin.read()
"""

Start = Callable[..., subprocess.Popen[str]]


def test_jobs_that_come_to_one_run_execute_it_once_on_their_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the four are the same job; one waits for the other, each shows the run at its own length."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    at_once = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "al.initial_size=20", "al.query_size=20")
    done = run_process("--multirun", *at_once, "al.n_clusters=10,12", "al.rounds=1,3", cwd=tmp_path)
    assert done.code == 0, done.err
    (folder,) = runs(tmp_path)
    accuracy = pd.read_csv(folder / "rounds.csv")["test/acc"]
    assert len(accuracy) == 4
    assert [row[3:5] for row in rows(done)] == [["40", f"{accuracy[1]:.4f}"], ["80", f"{accuracy[3]:.4f}"]] * 2
    assert states(done).count("same") == 2
    shown = [line for line in done.out.splitlines() if re.match(r"(job \d/4  )? +\d+ +\d+ +0\.\d{4}", line)]
    assert len(shown) >= 4 and all(line.startswith("job ") for line in shown)
    assert_nothing_of_hydra(tmp_path)
    assert read_json(folder / "summary.json")["threads"] == max(1, cpu_count() // 2)  # type: ignore[index]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that holds one of so many GPUs, or several."""
    with ExitStack() as started:

        def process(n_gpus: int, each: int = 1) -> subprocess.Popen[str]:
            line = [sys.executable, "-c", HOLDING, str(n_gpus), str(tmp_path), str(each)]
            job = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.enter_context(job)
            started.callback(job.kill)
            return job

        yield process


def gpu_of(job: subprocess.Popen[str]) -> int:
    assert job.stdout
    return int(job.stdout.readline())


def test_jobs_at_the_same_time_have_different_gpus_and_what_a_killed_one_had_is_free(start: Start) -> None:
    jobs = []
    for expected in (0, 1, 2, 0, 1):
        jobs.append(start(3))
        assert gpu_of(jobs[-1]) == expected
    for free in (2, 0):
        jobs[free].kill()
        jobs[free].wait()
    jobs[1].communicate()  # ends by itself
    assert [gpu_of(start(3)) for _ in range(4)] == [0, 1, 2, 2]


def test_jobs_that_start_at_once_have_different_gpus(start: Start) -> None:
    assert sorted(map(gpu_of, [start(4) for _ in range(4)])) == [0, 1, 2, 3]


def test_jobs_of_several_gpus_have_neighboring_ones(start: Start) -> None:
    jobs = [start(5, 2) for _ in range(3)]
    assert sorted(map(gpu_of, jobs)) == [0, 0, 2]


@pytest.mark.parametrize("n_gpus", [0, 1])
def test_where_there_is_no_choice_nothing_is_locked(n_gpus: int, start: Start, tmp_path: Path) -> None:
    assert [gpu_of(start(n_gpus)) for _ in range(2)] == [0, 0]
    assert list(tmp_path.iterdir()) == []


def test_a_trainer_is_made_for_the_current_gpu_or_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three, as far as a Trainer looks before it trains."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    for option, device in (("default", torch.device("cuda", 2)), ("cpu", torch.device("cpu"))):
        settings = settings_of(f"trainer={option}")
        assert make_trainer(settings, 1, []).strategy.root_device == device
        assert settings["trainer"]["devices"] == 1


@pytest.mark.parametrize(("now", "said"), [(1, ""), (2, "warning: gpu was A and is B: the last digits may differ\n")])
def test_going_on_with_another_gpu_is_said_where_it_is_of_another_kind(
    now: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "AAB"[device.index])
    before, after = (environment.current(torch.device("cuda", number), "the same images") for number in (0, now))
    both = {**after, "made_by": [*before["made_by"], *after["made_by"]]}
    assert environment.going_on(tmp_path, before, after) == both
    assert capsys.readouterr().err == said
