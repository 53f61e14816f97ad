"""A run that is killed, stopped, out of disk or diverged ends, when it is given again, as if it had not been."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import kill_points
import pytest
import torch
from conftest import Command, fast
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from kill_points import FOLDER, MIRROR, MIRRORED, Point
from run_folders import contents, differences, mirrored_rounds, only_run

from al_lightning import model, resume
from al_lightning.acquisition.pool import Pool

LONG = ("trainer.max_epochs=100000",)  # a fit that nobody waits for


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the uninterrupted runs are, each made once."""
    return tmp_path_factory.mktemp("references")


def uninterrupted(references: Path, strategy: str) -> Path:
    if not (references / strategy).exists():
        assert kill_points.run(references / strategy, f"strategy={strategy}") == 0
    return only_run(references / strategy)


def said(cwd: Path) -> str:
    return (cwd / "log.txt").read_text()


# --- killed ---------------------------------------------------------------------------------------------------------

SIX = [  # one a phase: fit, score, select, test, write, mirror
    ("margin", Point("fit", "al_lightning.model:Classifier.training_step", 4), 1),
    ("bald", Point("score", "al_lightning.model:Classifier.features", 6, after=True), 1),
    ("kmeans", Point("select", "al_lightning.acquisition.select:top", 2), 1),
    ("bald", Point("test", "al_lightning.model:Classifier._measure", 3), 2),
    ("kmeans", Point("other", "pathlib:Path.rename", 2), 1),
    ("margin", MIRRORED[0], 2),
]


@pytest.mark.faults
@pytest.mark.parametrize(("strategy", "point", "kept"), SIX, ids=str)
def test_a_killed_run_ends_as_if_it_had_not_been(
    strategy: str, point: Point, kept: int, references: Path, tmp_path: Path
) -> None:
    arguments = [f"strategy={strategy}", *(["logger=wandb"] if point in MIRRORED else [])]
    assert kill_points.kill(point, tmp_path, *arguments) == -signal.SIGKILL
    assert kill_points.n_committed(tmp_path) == kept
    assert kill_points.run(tmp_path, *arguments) == 0
    assert f"goes on after round {kept - 1}" in said(tmp_path)
    assert kill_points.lost(only_run(tmp_path), uninterrupted(references, strategy)) == []


def test_the_thread_count_comes_back_with_the_run(tmp_path: Path) -> None:
    """A run of 8 threads, killed and given again in a shell with another count, against one that was left alone."""
    script = (
        "import sys, pathlib, torch, kill_points as k; mode, threads, cwd, *arguments = sys.argv[1:]; "
        "torch.set_num_threads(int(threads)); "  # by itself PyTorch takes no more threads than there are cores
        "getattr(k, mode)(k.Point('fit', k.CLASSIFIER + '.training_step', 4), pathlib.Path(cwd), arguments)"
    )

    def process(mode: str, threads: str, name: str) -> int:
        line = [sys.executable, "-c", script, mode, threads, tmp_path / name, "strategy=bald", "model.width=16"]
        # Passive: more threads than cores would wait for each other in busy loops.
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
        return subprocess.run(line, cwd=Path(__file__).parent, env=environment, timeout=300).returncode

    assert process("whole", "8", "eight") == 0
    assert process("killed", "8", "killed") == -signal.SIGKILL
    assert process("whole", "1", "killed") == 0
    assert process("whole", "1", "one") == 0
    eight, killed, one = (only_run(tmp_path / name) for name in ("eight", "killed", "one"))
    assert differences(killed, eight) == []
    assert "goes on with 8 threads" in said(tmp_path / "killed")
    assert differences(one, eight) != []  # so it was the count that came back


# --- stopped --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 143), (signal.SIGUSR2, 143)]
)
def test_a_signal_stops_a_long_fit_at_once(number: int, code: int, tmp_path: Path) -> None:
    point = Point("fit", "al_lightning.model:Classifier.training_step", 30, number=number)
    assert kill_points.kill(point, tmp_path, *LONG) == code
    folder = only_run(tmp_path)
    assert "interrupted after 0 rounds" in said(tmp_path)
    assert f"python -m al_lightning resume={folder.relative_to(tmp_path)}" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert not (folder / ".holder").exists()


def test_slurm_gets_what_it_asked_for_and_lightning_does_not_requeue(tmp_path: Path) -> None:
    slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "al", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0"}
    slurm |= {"SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_NODELIST": "here"}
    script = (
        "import sys, signal, pathlib, kill_points as k; "
        "k.killed(k.Point('fit', k.CLASSIFIER + '.training_step', 4, number=int(sys.argv[1])), "
        "pathlib.Path(sys.argv[2]), ())"
    )
    for number in (signal.SIGUSR1, signal.SIGTERM):
        command = [sys.executable, "-c", script, str(int(number)), tmp_path]
        done = subprocess.run(command, cwd=Path(__file__).parent, env={**os.environ, **slurm}, timeout=300)
        assert done.returncode == 143, said(tmp_path)
    assert "requeu" not in said(tmp_path)
    assert "interrupted after 1 rounds" in said(tmp_path) and "interrupted after 2 rounds" in said(tmp_path)


@pytest.mark.parametrize(
    "point",
    [
        Point("score", "al_lightning.model:Classifier.features", 6, number=signal.SIGTERM),
        Point("select", "al_lightning.acquisition.select:top", 2, number=signal.SIGTERM),
        Point("test", "al_lightning.model:Classifier.test_step", 3, number=signal.SIGTERM),
        Point("other", "os:fsync", 18, number=signal.SIGTERM),
        Point("other", f"{FOLDER}.commit", 2, number=signal.SIGTERM),
        Point("other", f"{MIRROR}.round", 2, number=signal.SIGTERM),
    ],
    ids=str,
)
def test_a_run_stopped_anywhere_goes_on_by_its_folder_and_the_mirror_is_whole(
    point: Point, references: Path, tmp_path: Path, command: Command
) -> None:
    assert kill_points.kill(point, tmp_path, "logger=wandb") == 143
    folder = only_run(tmp_path)
    kept = kill_points.n_committed(tmp_path)
    assert f"interrupted after {kept} rounds" in said(tmp_path)
    if list((folder.parent / "wandb").glob("*run-*")):  # closed: a killed one would hold nothing
        assert mirrored_rounds(folder.parent) in ([*range(kept)], [*range(kept - 1)])
    ended = command(f"resume={folder}", "logger.mode=offline", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert kill_points.lost(folder, uninterrupted(references, "margin")) == []


def test_a_sweep_that_is_stopped_says_so_and_goes_on(tmp_path: Path, references: Path) -> None:
    arguments = ("--multirun", "strategy=margin,random", "seed=0,1")
    point = Point("fit", "al_lightning.model:Classifier.training_step", 16, number=signal.SIGTERM)
    assert kill_points.kill(point, tmp_path, *arguments) == 143
    assert "2 jobs, " in said(tmp_path) and "interrupted" in said(tmp_path)
    assert kill_points.run(tmp_path, *arguments) == 0
    table = said(tmp_path).rpartition("4 jobs, 4 runs")[2]
    assert [word for word in table.split() if word in ("skipped", "resumed", "finished")] == [
        *("skipped", "resumed", "finished", "finished")
    ]
    for folder in (tmp_path / "multirun_outputs/default").glob("*-margin-s0-*"):
        assert differences(folder, uninterrupted(references, "margin")) == []


# --- out of disk, diverged, out of memory ---------------------------------------------------------------------------

RUN = f"{sys.executable} -m al_lightning " + " ".join(fast(kill_points.ARGUMENTS))


def in_a_file_system_of_its_own(tmp_path: Path, size: str, script: str) -> tuple[list[str], str, Path]:
    """Run a script in a fresh tmpfs; returns the exit codes that it says, its errors, and the run folder it leaves."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system (unshare -rm)")
    place = tmp_path / "disk"
    place.mkdir()
    script = f"mount -t tmpfs -o size={size} tmpfs {place} && cd {place} && {script}; cp -r multirun_outputs {tmp_path}"
    ended = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=300)
    assert "Traceback" not in ended.stderr
    return [line for line in ended.stdout.splitlines() if line.startswith("code ")], ended.stderr, only_run(tmp_path)


def test_a_full_disk_ends_with_an_error_and_leaves_the_rounds(tmp_path: Path, references: Path) -> None:
    codes, errors, folder = in_a_file_system_of_its_own(
        tmp_path,
        "100k",
        f"{RUN}; echo code $?; ls multirun_outputs/default/*/rounds/000 >&2 && mount -o remount,size=9M . && "
        f"{RUN}; echo code $?",
    )
    assert codes == ["code 1", "code 0"], errors
    assert "No space left on device" in errors
    assert "rounds stand" in errors
    assert differences(folder, uninterrupted(references, "margin")) == []


def test_a_folder_that_became_read_only_is_said_and_left_as_it_is(tmp_path: Path, references: Path) -> None:
    again = f"{RUN} al.rounds=1; echo code $?; {RUN}; echo code $?"
    codes, errors, folder = in_a_file_system_of_its_own(
        tmp_path,
        "9M",
        f"{RUN} al.rounds=1; echo code $?; mount -o remount,ro . && {again}; mount -o remount,rw . && {again}",
    )
    assert codes == ["code 0", "code 0", "code 2", "code 0", "code 0"], errors
    assert "Read-only file system" in errors
    assert differences(folder, uninterrupted(references, "margin")) == []


def test_a_fit_that_diverges_names_the_round_and_can_go_on(
    tmp_path: Path, references: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count(1)
    cross_entropy = model.cross_entropy
    monkeypatch.setattr(
        model, "cross_entropy", lambda *given: cross_entropy(*given) * (1 if next(calls) < 6 else torch.nan)
    )
    ended = command(*kill_points.ARGUMENTS, cwd=tmp_path)
    assert ended.code == 1
    assert "round 2 diverged: the loss is not finite in epoch 1 of 2; the 2 rounds before it stand" in ended.err
    assert len(ended.err.splitlines()) < 10 and "Traceback" not in ended.err
    monkeypatch.undo()
    again = command(f"resume={only_run(tmp_path)}", cwd=tmp_path)
    assert again.code == 0, again.err
    assert differences(only_run(tmp_path), uninterrupted(references, "margin")) == []


@pytest.mark.parametrize("strategy", ["random", "kmeans"])
def test_weights_that_are_not_finite_never_choose_or_count(strategy: str, command: Command) -> None:
    ended = command(f"strategy={strategy}", "optimizer=sgd", "optimizer.lr=1e38", "trainer.max_epochs=1")
    assert ended.code == 1
    assert "round 0 diverged" in ended.err and "optimizer.lr" in ended.err
    assert "Traceback" not in ended.err
    assert not list(Path.cwd().rglob("rounds.csv"))


def test_memory_that_runs_out_names_the_round_and_the_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "predict", lambda self, indices: torch.empty(2**50))
    ended = command()
    assert ended.code == 1
    assert "round 0 ran out of memory" in ended.err and "al.pool_batch_size" in ended.err
    assert "Traceback" not in ended.err


# --- by its folder --------------------------------------------------------------------------------------------------


def test_a_finished_run_goes_on_by_its_folder_from_anywhere(tmp_path: Path, references: Path, command: Command) -> None:
    assert command(*kill_points.ARGUMENTS, "al.rounds=1", cwd=tmp_path / "a").code == 0
    (tmp_path / "moved").mkdir()
    folder = only_run(tmp_path / "a").parent.rename(tmp_path / "moved" / "elsewhere")
    (folder,) = folder.glob("*-s0-*")
    ended = command("resume=.", "al.rounds=3", cwd=folder)
    assert ended.code == 0, ended.err
    assert differences(folder, uninterrupted(references, "margin")) == []
    assert "finished before" in command(f"resume={folder}", cwd=tmp_path / "a").out


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["seed=1"], "seed=1: a run goes on with the settings it began with"),
        (["overwrite=true"], "overwrite=true: a run goes on"),
        (["trainer=deterministic"], "trainer=deterministic: a run goes on"),
        (["al.rounds=-1"], "al.rounds=-1: must be at least 0"),
    ],
)
def test_only_what_changes_no_result_is_typed_beside_it(
    arguments: list[str], fragment: str, references: Path, command: Command
) -> None:
    folder = uninterrupted(references, "margin")
    before = contents(folder)
    ended = command(f"resume={folder}", *arguments)
    assert ended.code == 2
    assert fragment in ended.err
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda text: text.replace("seed: 0", "seed: 1"), "is that of another run"),
        (lambda text: text.replace("width: 4", "width: 5"), "is that of another run"),
        (lambda text: text.replace("rounds: 3", "rounds: -3"), "al.rounds=-3: must be at least 0"),
        (lambda text: text.replace("batch_size: 64", "batch_size: many"), "cannot be read"),
        (lambda text: "[" + text, "cannot be read"),
        (lambda text: "", "has no al.budget"),
        (lambda text: "!!python/object/apply:os.system ['touch pwned']", "cannot be read"),
        (lambda text: text.replace("_target_: al_lightning.data.sources.digits", "_target_: os.system"), "another run"),
    ],
)
def test_a_configuration_that_is_not_the_runs_own_is_refused(
    change: Callable[[str], str], fragment: str, references: Path, tmp_path: Path, command: Command
) -> None:
    shutil.copytree(uninterrupted(references, "margin").parents[2], tmp_path, dirs_exist_ok=True)
    folder = only_run(tmp_path)
    text = (folder / "config.yaml").read_text()
    assert change(text) != text
    (folder / "config.yaml").write_text(change(text))
    before = contents(folder)
    ended = command(f"resume={folder}", "al.rounds=4", cwd=tmp_path / "a")
    assert ended.code == 2, ended.out
    assert ended.err.startswith("error: ") and len(ended.err.splitlines()) == 1
    assert fragment in ended.err
    assert contents(folder) == before
    assert list((tmp_path / "a").iterdir()) == []


def test_what_is_no_run_folder_is_refused(tmp_path: Path, command: Command) -> None:
    ended = command(f"resume={tmp_path / 'nothing'}")
    assert ended.code == 2
    assert ended.err.startswith(f"error: resume={tmp_path / 'nothing'}: no run folder: ")


@given(
    name=st.text(st.characters(exclude_characters="/\0$\\", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1)
)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_the_command_that_is_printed_can_be_pasted(name: str) -> None:
    (argument,) = shlex.split(resume.command(Path(name)))[3:]
    parsed = OverridesParser.create().parse_override(argument)
    assert parsed.value() == name or str(parsed.value()) == name
