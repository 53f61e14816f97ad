"""Studies over many processes and machines: told to end they end well, and what was lost is made up for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import local_ray
import pytest
import slurm
import torch
from conftest import Command, Ended, fast, run_process
from run_folders import inspected
from same_study import differing
from test_sweep import assert_nothing_of_hydra, runs, states

from al_lightning import signals
from al_lightning.command import hydra_settings, sharing, stop
from al_lightning.command.sweep import Sweep
from al_lightning.errors import UserError
from al_lightning.runs import lock
from al_lightning.runs.rounds import read_json

STUDY = Path("multirun_outputs") / "default"
LONG = ("al.rounds=60", "al.query_size=2")

SCHEMA = "ignore:\\s*'hydra/launcher"  # as the command does


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As many as make two studies the same."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def started(cwd: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own, as in a terminal; nothing of it is left over."""
    cwd.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "al_lightning", "--multirun", *fast(arguments)]
    pipe, env = subprocess.PIPE, {**os.environ, "WANDB_MODE": "offline", **environment}
    with subprocess.Popen(
        line, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=200)
    return Ended(process.returncode, out, err)


def until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def begun(cwd: Path, n_rounds: int) -> list[Path]:
    """The runs that have so many rounds."""
    return [round.parents[1] for round in (cwd / STUDY).glob(f"*/rounds/{n_rounds:03d}")]


def is_closed(log: Path) -> bool:
    return "exit" in [record["type"] for record in inspected(log)]


@pytest.mark.parametrize(
    ("launcher", "number"),
    [
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), signal.SIGTERM),
        (("hydra/launcher=submitit_local", "hydra.sweeper.max_batch_size=2"), signal.SIGINT),
        (("hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2"), signal.SIGTERM),
    ],
    ids=["joblib", "submitit", "ray"],
)
def test_jobs_end_well_where_their_sweep_is_stopped(launcher: tuple[str, ...], number: int, tmp_path: Path) -> None:
    """SIGTERM comes to the sweep alone, Ctrl-C to all that the terminal has, of which submitit kills a part."""
    arguments = ("seed=0,1,2", *launcher, "al.rounds=1000", "al.query_size=1", "logger=wandb")
    with started(tmp_path, *arguments) as process:
        until(lambda: len(begun(tmp_path, 1)) == 2, process)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        done = ended(process)
    assert done.code == 128 + number, done.err
    assert "Traceback" not in done.err
    assert "2 jobs are told to end" in done.out
    assert states(done) == ["interrupted", "interrupted", "not begun"]
    assert [read_json(run / "summary.json")["state"] for run in runs(tmp_path)] == ["interrupted"] * 2  # type: ignore[index]
    assert not [*tmp_path.rglob(lock.HOLDER)]
    logs = [*(tmp_path / STUDY / "wandb").glob("*run-*/run-*.wandb")]
    assert [is_closed(log) for log in logs] == [True, True]


def test_a_run_of_submitit_that_is_killed_ends_no_other_and_is_made_up_for(tmp_path: Path, command: Command) -> None:
    arguments = ("seed=0,1", "al.rounds=20", "al.query_size=5")
    local = (*arguments, "hydra/launcher=submitit_local")
    with started(tmp_path / "cwd", *local) as process:
        until(lambda: begun(tmp_path / "cwd", 1), process)
        (run, *_) = begun(tmp_path / "cwd", 1)
        os.kill(read_json(run / lock.HOLDER)["pid"], signal.SIGKILL)  # type: ignore[index]
        done = ended(process)
    assert done.code == 1
    assert "the sweep ended early: UncompletedJobError" in done.err and "Traceback" not in done.err
    assert sorted(states(done)) == ["finished", "interrupted"]
    assert ".submitit" in done.out
    again = run_process("--multirun", *local, cwd=tmp_path / "cwd")
    assert again.code == 0, again.err
    assert sorted(states(again)) == ["resumed", "skipped"]
    assert command("--multirun", *arguments, cwd=tmp_path / "serial").code == 0
    assert differing(tmp_path / "cwd" / STUDY, tmp_path / "serial" / STUDY) == []


def test_ray_begins_again_what_is_killed(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("seed=0,1", "al.rounds=20", "al.query_size=5")
    on_ray = (*arguments, "hydra/launcher=ray")
    (tmp_path / "elsewhere").mkdir()
    with local_ray.cluster(tmp_path / "elsewhere") as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        with started(tmp_path / "cwd", *on_ray) as process:
            until(lambda: begun(tmp_path / "cwd", 1), process)
            (run, *_) = begun(tmp_path / "cwd", 1)
            os.kill(read_json(run / lock.HOLDER)["pid"], signal.SIGKILL)  # type: ignore[index]
            done = ended(process)
        both = run_process("--multirun", *on_ray, "embedding=pixels", "embedding.engine=ray", cwd=tmp_path / "cwd")
    assert done.code == 0, done.err
    assert sorted(states(done)) == ["finished", "resumed"]
    assert not [*(tmp_path / "elsewhere").iterdir()]
    assert command("--multirun", *arguments, cwd=tmp_path / "serial").code == 0
    assert differing(tmp_path / "cwd" / STUDY, tmp_path / "serial" / STUDY) == []
    assert (both.code, states(both)) == (2, ["refused", "refused"])  # they would wait for each other
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    gone = run_process("--multirun", *on_ray, cwd=tmp_path / "cwd")
    assert (gone.code, gone.out) == (2, "")
    assert gone.err.startswith("error: hydra/launcher=ray: cluster nowhere: ") and len(gone.err.splitlines()) == 1


def test_slurm_begins_again_what_it_has_preempted(tmp_path: Path, command: Command) -> None:
    """A SLURM of this machine alone, see `slurm.py`: one task at a time; the first one gets submitit's signal."""
    arguments = ("seed=0,1", "al.rounds=20", "al.query_size=5")
    cluster = ("hydra/launcher=submitit_slurm", "hydra.launcher.array_parallelism=1")
    path = slurm.install(tmp_path / "slurm")
    with started(tmp_path / "cwd", *arguments, *cluster, **path) as process:
        until(lambda: begun(tmp_path / "cwd", 1), process)
        os.kill(slurm.task(tmp_path / "slurm", "1_0"), signal.SIGUSR2)
        done = ended(process)
    assert done.code == 0, done.err
    assert (tmp_path / "slurm" / "1_0.requeued").exists()
    assert states(done) == ["resumed", "finished"]
    script = (tmp_path / "slurm" / "1.sh").read_text()
    for option in ("time=240", "signal=USR2@120", "cpus-per-task=4", "gpus-per-node=1", "mem=16GB", "array=0-1%1"):
        assert f"#SBATCH --{option}\n" in script.replace("'", "")
    assert_nothing_of_hydra(tmp_path / "cwd")
    assert command("--multirun", *arguments, cwd=tmp_path / "serial").code == 0
    assert differing(tmp_path / "cwd" / STUDY, tmp_path / "serial" / STUDY) == []


def test_two_commands_share_a_study(tmp_path: Path, command: Command) -> None:
    """The second one comes while the first has a run open, and tells at its end what became of it."""
    with started(tmp_path, "seed=0,1", *LONG) as process:
        until(lambda: begun(tmp_path, 1), process)
        second = command("--multirun", "seed=0,1", *LONG, cwd=tmp_path)
        first = ended(process)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "waits for 1 runs to end that are not of this sweep" in second.out
    assert states(second)[0] == "elsewhere"
    assert f"(process {process.pid} on " in second.out
    assert states(first)[0] == "finished"
    assert {states(first)[1], states(second)[1]} in ({"finished", "skipped"}, {"finished", "elsewhere"})
    assert [read_json(run / "summary.json")["rounds_done"] for run in runs(tmp_path)] == [61, 61]  # type: ignore[index]
    again = command("--multirun", "seed=0,1", *LONG, cwd=tmp_path)
    assert states(again) == ["skipped"] * 2


def test_eight_runs_over_three_workers_one_killed_are_the_serial_study(tmp_path: Path, command: Command) -> None:
    """`benchmarks/study.py` does it with 60 runs."""
    arguments = ("seed=0,1,2,3", "strategy=random,margin", "al.rounds=6")
    workers = (*arguments, "hydra/launcher=joblib", "hydra.launcher.n_jobs=3")
    with started(tmp_path / "cwd", *workers) as process:
        until(lambda: begun(tmp_path / "cwd", 2), process)
        holders = [*(tmp_path / "cwd" / STUDY).glob(f"*/{lock.HOLDER}")]
        os.kill(read_json(holders[0])["pid"], signal.SIGKILL)  # type: ignore[index]
        assert ended(process).code == 1
    again = run_process("--multirun", *workers, cwd=tmp_path / "cwd")
    assert again.code == 0, again.err
    assert set(states(again)) <= {"finished", "resumed", "skipped"} and len(states(again)) == 8
    assert command("--multirun", *arguments, cwd=tmp_path / "serial").code == 0
    assert differing(tmp_path / "cwd" / STUDY, tmp_path / "serial" / STUDY) == []


@pytest.mark.filterwarnings(SCHEMA)
@pytest.mark.parametrize(
    ("launcher", "extra"), [("submitit_slurm", "slurm"), ("submitit_local", "slurm"), ("ray", "ray-launcher")]
)
def test_a_launcher_that_is_not_installed_is_named(
    launcher: str, extra: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hydra_settings, "find_spec", lambda _: None)
    done = command("--multirun", f"hydra/launcher={launcher}", "seed=0,1")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: hydra/launcher={launcher}: not installed: pip install 'al-lightning[{extra}]'\n"


@pytest.mark.filterwarnings(SCHEMA)
def test_settings_of_a_launcher_are_checked(command: Command) -> None:
    for setting in ("nope=1", "timeout_min=long"):
        done = command("--multirun", "hydra/launcher=submitit_slurm", f"hydra.launcher.{setting}", "seed=0,1")
        assert (done.code, done.out) == (2, "")
        assert f"hydra.launcher.{setting}" in done.err and len(done.err.splitlines()) == 1


def test_a_launcher_that_fails_before_its_jobs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "PATIENCE", 10_000)
    with signals.raised(), pytest.raises(TypeError), stop.told(Sweep(2, [], 0, str(tmp_path))):
        raise TypeError("of the launcher")


def test_a_job_that_is_begun_again_has_its_run_still(tmp_path: Path) -> None:
    assert sharing.claim(tmp_path, "run", 3)
    assert not sharing.claim(tmp_path, "run", 4)
    assert sharing.claim(tmp_path, "run", 3)
    assert sharing.claim(tmp_path, "another run", 4)


MOUNT = "36 35 {}:{} / /mnt rw,noatime shared:1 - nfs4 server:/export rw,vers=4.2,{},addr=10.0.0.1\n"


@pytest.mark.parametrize("option", ["local_lock=none", "local_lock=flock", "local_lock=all", "nolock", "localflock"])
def test_what_another_machine_has_left_is_not_touched_where_its_lock_is_not_seen(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, mounts = tmp_path.stat().st_dev, tmp_path / "mountinfo"
    mounts.write_text(
        MOUNT.format(0, 999_999, "local_lock=all") + MOUNT.format(os.major(device), os.minor(device), option)
    )
    assert lock.keeps_locks(tmp_path, mounts) == ("" if option == "local_lock=none" else option)
    monkeypatch.setattr(lock, "keeps_locks", lambda folder, of=lock.keeps_locks: of(folder, mounts))
    (run := tmp_path / "run").mkdir()
    holder = '{"pid": 1, "host": "another"}'
    (run / lock.HOLDER).write_text(holder)
    if option == "local_lock=none":
        lock.take(run).close()
        return
    with pytest.raises(UserError, match=f"process 1 on another may have it open: the mount has {option}"):
        lock.take(run)
    (run / lock.HOLDER).unlink()
    lock.take(run).close()
