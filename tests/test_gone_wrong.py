"""A full disk, a read-only folder, a fit that diverges, memory that runs out: a clear end, and the rounds stand."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import kill_points
import pytest
import torch
from conftest import Command, fast
from processes import start
from run_folders import differences, only_run

from al_lightning.__main__ import main
from al_lightning.acquisition.candidates import Candidates
from al_lightning.models import classifier

NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000  # of unshare(2)
NO_RIGHT = 77
Step = tuple[str, tuple[str, ...]]  # options of `mount`, and further arguments of the command


def on_a_disk(place: Path, steps: Sequence[Step], log: Path) -> None:
    """Mount a file system that only this process sees; change it and run the command in it, step by step."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(NEW_USER | NEW_MOUNTS):
        sys.exit(NO_RIGHT)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(text, encoding="ascii")
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True).returncode:
        sys.exit(NO_RIGHT)
    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(place)
    for options, arguments in steps:
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)
        code = forked(fast((*kill_points.ARGUMENTS, *arguments)))
        os.write(1, f"code {code}\n".encode())
        os.write(1, f"rounds {[*map(str, place.glob('multirun_outputs/default/*/rounds/000'))]}\n".encode())
    shutil.copytree(place / "multirun_outputs", log.parent / "multirun_outputs")


def forked(arguments: Sequence[str]) -> int:
    """Run the command in a process that sees what this one does; returns its exit code."""
    if (child := os.fork()) == 0:
        sys.argv = ["al-lightning", *arguments]
        try:
            code = main()
        except SystemExit as ended:
            code = int(str(ended.code))
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_a_file_system_of_its_own(tmp_path: Path, *steps: Step) -> tuple[list[int], str, Path]:
    """Run the command on a disk of its own; returns the exit codes, what was said, and the run folder that it left."""
    (tmp_path / "disk").mkdir()
    log = tmp_path / "log.txt"
    if (code := start(on_a_disk, tmp_path / "disk", steps, log)) == NO_RIGHT:
        pytest.skip("needs the right to mount a file system, as `unshare -rm` has it")
    said = log.read_text(encoding="utf-8")
    assert code == 0 and "Traceback" not in said, said
    return [int(each) for each in re.findall(r"^code (\d+)$", said, re.MULTILINE)], said, only_run(tmp_path)


def test_a_full_disk_ends_with_an_error_and_leaves_the_rounds(
    tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    codes, said, folder = in_a_file_system_of_its_own(tmp_path, ("size=100k", ()), ("size=9M", ()))
    assert codes == [1, 0], said
    assert "No space left on device" in said
    assert "rounds stand" in said and "rounds/000" in said.partition("code 0")[0]
    assert differences(folder, uninterrupted("margin")) == []


def test_a_folder_that_became_read_only_is_said_and_left_as_it_is(
    tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    short = ("al.rounds=1",)
    codes, said, folder = in_a_file_system_of_its_own(
        tmp_path, ("size=9M", short), ("ro", short), ("ro", ()), ("rw", ())
    )
    assert codes == [0, 0, 2, 0], said
    assert "Read-only file system" in said
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
