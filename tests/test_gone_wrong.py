"""A full disk, a read-only folder, a fit that diverges, memory that runs out: a clear end, and the rounds stand."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import kill_points
import pytest
import torch
from conftest import Command, fast
from run_folders import differences, only_run

from al_lightning.acquisition.candidates import Candidates
from al_lightning.models import classifier

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


def test_a_full_disk_ends_with_an_error_and_leaves_the_rounds(
    tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    codes, errors, folder = in_a_file_system_of_its_own(
        tmp_path,
        "100k",
        f"{RUN}; echo code $?; ls multirun_outputs/default/*/rounds/000 >&2 && mount -o remount,size=9M . && "
        f"{RUN}; echo code $?",
    )
    assert codes == ["code 1", "code 0"], errors
    assert "No space left on device" in errors
    assert "rounds stand" in errors
    assert differences(folder, uninterrupted("margin")) == []


def test_a_folder_that_became_read_only_is_said_and_left_as_it_is(
    tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    again = f"{RUN} al.rounds=1; echo code $?; {RUN}; echo code $?"
    codes, errors, folder = in_a_file_system_of_its_own(
        tmp_path,
        "9M",
        f"{RUN} al.rounds=1; echo code $?; mount -o remount,ro . && {again}; "
        f"mount -o remount,rw . && {RUN}; echo code $?",
    )
    assert codes == ["code 0", "code 0", "code 2", "code 0"], errors
    assert "Read-only file system" in errors
    assert differences(folder, uninterrupted("margin")) == []


def test_a_fit_that_diverges_names_the_round_and_can_go_on(
    tmp_path: Path, uninterrupted: Callable[[str], Path], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count(1)
    cross_entropy = classifier.cross_entropy
    monkeypatch.setattr(
        classifier, "cross_entropy", lambda *given: cross_entropy(*given) * (1 if next(calls) < 6 else torch.nan)
    )
    ended = command(*kill_points.ARGUMENTS, cwd=tmp_path)
    assert ended.code == 1
    assert "round 2 diverged: the loss is not finite in epoch 1 of 2; the 2 rounds before it stand" in ended.err
    assert len(ended.err.splitlines()) < 10 and "Traceback" not in ended.err
    monkeypatch.undo()
    again = command(f"resume={only_run(tmp_path)}", cwd=tmp_path)
    assert again.code == 0, again.err
    assert differences(only_run(tmp_path), uninterrupted("margin")) == []


@pytest.mark.parametrize("strategy", ["random", "kmeans"])
def test_weights_that_are_not_finite_never_choose_or_count(strategy: str, command: Command) -> None:
    ended = command(f"strategy={strategy}", "+optimizer.eps=0", "trainer.max_epochs=1")
    assert ended.code == 1
    assert "round 0 diverged" in ended.err and "optimizer.lr" in ended.err
    assert "Traceback" not in ended.err
    assert not list(Path.cwd().rglob("rounds.csv"))


def test_memory_that_runs_out_names_the_round_and_the_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Candidates, "predict", lambda self, indices: torch.empty(2**50))
    ended = command()
    assert ended.code == 1
    assert "round 0 ran out of memory" in ended.err and "al.pool_batch_size" in ended.err
    assert "Traceback" not in ended.err
