"""A terminal that is closed ends the run as a signal does: the rounds stand, W&B is closed, no process stays."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kill_points
import pytest
from conftest import fast
from processes import start
from run_folders import differences, mirrored_rounds, only_run

from al_lightning import signals
from al_lightning.signals import Interrupted
from al_lightning.tracking.wandb_mirror import WandbMirror

COMMAND = (sys.executable, "-m", "al_lightning")
ENDLESS = ("al.rounds=1000", "al.query_size=1")
SECONDS = 120  # for what should be at once


def environment(mark: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**plain, "WANDB_MODE": "offline", "AL_LIGHTNING_TEST": mark}


def processes(mark: str) -> list[int]:
    """Descriptors of the processes that were started with a mark in their environment, W&B's among them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(os.pidfd_open(int(folder.name)))
        except (OSError, ProcessLookupError):
            continue
    return found


def read_until(terminal: int, text: str, times: int = 1) -> None:
    seen = ""
    while seen.count(text) < times:
        seen += os.read(terminal, 4096).decode()


@pytest.mark.parametrize(
    ("sweep", "state"),
    [((), ["interrupted"]), (("--multirun", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"), [])],
    ids=["run", "joblib"],
)
def test_a_terminal_that_is_closed(sweep: tuple[str, ...], state: list[str], tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    ours, theirs = pty.openpty()
    line = [*COMMAND, *fast((*sweep, "logger=wandb", *ENDLESS))]
    run = subprocess.Popen(
        line,
        cwd=tmp_path,
        env=environment(mark),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    read_until(ours, "round 1/1000", 2 if sweep else 1)  # the bars
    started = processes(mark)
    assert len(started) >= (5 if sweep else 2)  # W&B's own
    os.close(ours)
    assert run.wait(SECONDS) == 143
    for process in started:
        assert select.select([process], [], [], SECONDS)[0], "a process stays"
        os.close(process)
    summaries = [json.loads(file.read_text()) for file in tmp_path.rglob("summary.json")]
    assert [summary["state"] for summary in summaries] == state or sweep


def with_nohup(cwd: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    kill_points.killed(
        kill_points.Point("fit", f"{kill_points.CLASSIFIER}.training_step", 4, number=signal.SIGHUP), cwd, ()
    )


def test_nohup_keeps_a_run_going_when_its_terminal_is_closed(
    tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    assert start(with_nohup, tmp_path) == 0
    assert differences(only_run(tmp_path), uninterrupted("margin")) == []


def told_twice(cwd: Path) -> None:
    def again(finish: Callable[..., None], *given: Any) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        finish(*given)

    kill_points._wrap(WandbMirror, "finish", again)
    point = kill_points.Point("other", f"{kill_points.MIRROR}.round", 2, after=True, number=signal.SIGHUP)
    kill_points.killed(point, cwd, ("logger=wandb",))


def test_told_twice_it_still_ends_well(tmp_path: Path) -> None:
    assert start(told_twice, tmp_path) == 143
    study = only_run(tmp_path).parent
    assert mirrored_rounds(study) == [0, 1]
    assert list(study.glob("wandb/offline-run-*/label-set"))
    assert "stopped by SIGHUP" in kill_points.said(tmp_path)


def test_only_the_keyboard_is_heard_twice() -> None:
    with signals.raised():
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGHUP)
        signals.heard()
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGXCPU)
        with pytest.raises(Interrupted, match="SIGINT"):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_what_arrives_during_an_import_is_raised_after_it() -> None:
    whole = False
    with signals.raised(), pytest.raises(Interrupted, match="SIGTERM"):
        with signals.postponed():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            whole = True
        raise AssertionError("it goes on")
    assert whole


class Dropping:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_what_python_drops_is_raised_again() -> None:
    before = sys.unraisablehook
    with signals.raised(), pytest.raises(Interrupted, match="SIGTERM"):
        Dropping()
        threading.Event().wait(SECONDS)
    assert sys.unraisablehook is before


ASKED_TO_STOP = """
import argparse, runpy, signal, sys
argparse.ArgumentParser.parse_args = lambda self, given: signal.raise_signal(getattr(signal, sys.argv[2]))
runpy.run_module(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("name", ["exchange", "export", "predict", "report"])
def test_commands_that_begin_anew_end_with_a_line(name: str, number: str, code: int) -> None:
    line = [sys.executable, "-c", ASKED_TO_STOP, f"al_lightning.{name}", number]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr == f"stopped by {number}; give the same command again\n"
