"""What watches a run cannot end it: nobody reads what it prints, or what reads it cannot take it."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import kill_points
import pytest
from conftest import fast
from joblib import cpu_count
from processes import run_command
from run_folders import differences, mirrored_rounds, only_run

from al_lightning.command import output
from al_lightning.runs.rounds import read_json
from al_lightning.tracking import Observers

COMMAND = (sys.executable, "-m", "al_lightning")
ROUNDS = list(range(kill_points.ROUNDS + 1))


def nobody() -> None:
    """What is written goes into a pipe of which there is no other end."""
    read, write = os.pipe()
    os.close(read)
    to(write)


def full_disk() -> None:
    to(os.open("/dev/full", os.O_WRONLY))


def to(there: int) -> None:
    """Bring standard output and error of this process to a descriptor, which this takes."""
    for number in (1, 2):
        os.dup2(there, number)
    os.close(there)


def ascii_only() -> None:
    written_in("ascii")


def latin_1() -> None:
    written_in("latin-1")


def written_in(encoding: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(encoding=encoding, errors="strict")


def environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**plain, "WANDB_MODE": "offline", **more}


def assert_nothing_is_lost(cwd: Path, uninterrupted: Callable[[str], Path]) -> None:
    folder = only_run(cwd)
    assert differences(folder, uninterrupted("margin")) == []
    assert mirrored_rounds(folder.parent) == ROUNDS
    assert list((folder.parent / "wandb").glob("offline-run-*/label-set")), "the mirror was not finished"


@pytest.mark.parametrize("where", [nobody, full_disk])
def test_a_run_that_nobody_can_hear_ends_as_any_other(
    where: Callable[[], None], tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    assert run_command(fast((*kill_points.ARGUMENTS, "logger=wandb")), tmp_path, environment(), where).code == 0
    assert_nothing_is_lost(tmp_path, uninterrupted)


def test_a_reader_that_goes_after_a_line(tmp_path: Path, uninterrupted: Callable[[str], Path]) -> None:
    line = [*COMMAND, *fast((*kill_points.ARGUMENTS, "logger=wandb"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, cwd=tmp_path, env=environment(), stdout=pipe, stderr=pipe) as run:
        assert run.stdout and run.stderr
        assert run.stdout.readline().startswith(b"digits-cnn-margin")
        run.stdout.close()
        assert (run.stderr.read(), run.wait()) == (b"", 0)
    assert_nothing_is_lost(tmp_path, uninterrupted)


def test_a_run_that_was_started_without_any_output(tmp_path: Path, uninterrupted: Callable[[str], Path]) -> None:
    """What is opened next would be what libraries print to: a lock, a round."""
    line = [*COMMAND, *fast((*kill_points.ARGUMENTS, "logger=wandb"))]
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    assert subprocess.run([*closing, *line], cwd=tmp_path, env=environment(), timeout=300).returncode == 0
    assert_nothing_is_lost(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    ("terminal", "shown"), [(ascii_only, r"\xe9\u4e2d/digits"), (latin_1, r"é\u4e2d/digits")], ids=["ascii", "latin-1"]
)
def test_a_terminal_that_lacks_characters(terminal: Callable[[], None], shown: str, tmp_path: Path) -> None:
    settings = ("--multirun", 'study="é中"', "seed=0,1", "al.rounds=1")
    done = run_command(fast(settings), tmp_path, environment(), terminal, encoding="latin-1")
    assert (done.code, done.err) == (0, "")
    assert "2 jobs, 2 runs" in done.out
    assert shown in done.out
    assert len(list((tmp_path / "multirun_outputs" / "é中").glob("digits-*/rounds/001"))) == 2


@pytest.mark.parametrize("launcher", [(), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")])
def test_a_sweep_that_nobody_reads_runs_all_jobs_and_says_in_its_exit_code_how_they_ended(
    launcher: tuple[str, ...], tmp_path: Path
) -> None:
    """Jobs side by side have the threads that the user has said, each of them; a forked process has its own."""
    threads = cpu_count()
    line = fast(("--multirun", *launcher, "model.dropout=0.25,2,0", "al.rounds=1"))
    shell = environment(OMP_NUM_THREADS=str(threads))
    shell.pop("MKL_NUM_THREADS", None)  # which a run in this process has set
    assert run_command(line, tmp_path, shell, nobody).code == 1
    folders = [file.parents[1] for file in tmp_path.glob("multirun_outputs/default/*/rounds/001")]
    assert len(folders) == 2
    if launcher:
        assert [(read_json(folder / "summary.json") or {})["threads"] for folder in folders] == [threads, threads]


def test_a_refusal_keeps_its_exit_code(tmp_path: Path) -> None:
    assert run_command(["batch_size=0"], tmp_path, environment(), nobody).code == 2


def test_streams_are_put_back_and_those_that_are_no_files_stay(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with output.lenient():
        assert (sys.stdout, sys.stderr) == before
        print("said")
    assert capsys.readouterr().out == "said\n"


def test_what_is_printed_arrives_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with output.lenient(), output.lenient(), ExitStack() as stack:
        print("one \udce9")
        stack.enter_context(output.lenient())
        print("two", file=sys.stderr)
    os.write(1, b"three\n")
    assert (sys.stdout, sys.stderr) == before
    assert capfd.readouterr() == ("one \\udce9\nthree\n", "two\n")


class Broken:
    """An observer in which everything fails."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no\n{name}")


class Noting:
    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *given: self.told.append((name, given))


def test_an_observer_that_fails_keeps_nothing_from_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    noting = Noting()
    both: Any = [Broken(), noting]
    observers: Any = Observers(both)
    observers.start("run")
    observers.round("done")
    observers.finish("failed", {})
    assert noting.told == [("start", ("run",)), ("round", ("done",)), ("finish", ("failed", {}))]
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["start", "round", "finish"]
    assert lines[0] == "warning: Broken.start failed, the run goes on: RuntimeError: no start"
