"""Moments at which a run gets a signal, and what has become of it when the same command is given again.

A point is the n-th call of a function while the run is in a phase. With SIGKILL nothing of the process can run any
more, as when the machine loses power or the kernel needs memory.
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import fast
from processes import start
from run_folders import differences, mirrored_rounds

from al_lightning import clock, loop
from al_lightning.__main__ import main
from al_lightning.runs.folder_state import committed

ROUNDS = 3  # queries: a run has one round more
ARGUMENTS = (f"al.rounds={ROUNDS}", "al.pool_batch_size=512", "trainer.max_epochs=2", "model.dropout=0.5")
STRATEGIES = ("margin", "bald", "kmeans")


@dataclass(frozen=True)
class Point:
    """When a process gets a signal.

    Attributes:
        phase: of the round, as the run's clock has it; `any` for whichever.
        function: `module:qualified.name`.
        call: in that phase, counted from 1.
        after: once it has returned, instead of when it is called.
        number: of the signal.
    """

    phase: str
    function: str
    call: int
    after: bool = False
    number: int = signal.SIGKILL

    def __str__(self) -> str:
        moment = "after" if self.after else "before"
        return f"{self.phase}: {moment} call {self.call} of {self.function.partition(':')[2]}"


CLASSIFIER, FOLDER = "al_lightning.models.classifier:Classifier", "al_lightning.runs.run_folder:RunFolder"
MIRROR = "al_lightning.tracking.wandb_mirror:WandbMirror"
POINTS = (
    Point("any", "al_lightning.runs.run_folder:mend", 1),
    Point("fit", f"{CLASSIFIER}.training_step", 1),
    Point("fit", f"{CLASSIFIER}.training_step", 4),
    Point("fit", "torch.optim.lr_scheduler:LambdaLR.step", 6, after=True),
    Point("fit", f"{CLASSIFIER}.on_train_epoch_end", 3),
    Point("score", "al_lightning.models.learner:take", 2),
    Point("score", "al_lightning.models.learner:take", 6, after=True),
    Point("select", "al_lightning.acquisition.select:top", 2),
    Point("select", "al_lightning.acquisition.candidates:Candidates.predict", 3, after=True),
    Point("test", f"{CLASSIFIER}.test_step", 1),
    Point("test", f"{CLASSIFIER}._measure", 3),
    Point("other", "al_lightning.oracle.simulated:Simulated.ask", 2),
    Point("other", "al_lightning.oracle.simulated:Simulated.ask", 3, after=True),
    Point("other", f"{FOLDER}.append", 2),
    Point("other", "al_lightning.runs.ledger_file:LedgerFile.append", 1),
    Point("other", "al_lightning.runs.ledger_file:LedgerFile.append", 3, after=True),
    Point("other", f"{FOLDER}._grow", 2),
    *(Point("other", "os:fsync", call, after=call % 2 == 0) for call in (8, 12, 14, 15, 29, 47)),
    Point("other", "pathlib:Path.rename", 2),
    Point("other", "pathlib:Path.rename", 2, after=True),
    Point("other", "pathlib:Path.replace", 6),
)
MIRRORED = (
    Point("other", f"{MIRROR}.round", 2),
    Point("other", f"{MIRROR}.round", 3, after=True),
    Point("other", f"{MIRROR}.finish", 1),
)


def kill(point: Point, cwd: Path, *arguments: str) -> int | None:
    """Start the command in a process of its own, which gets the signal at a point; returns its exit code."""
    return start(killed, point, cwd, arguments)


def run(cwd: Path, *arguments: str) -> int | None:
    """Run the command in a process of its own; returns its exit code."""
    return start(whole, None, cwd, arguments)


def lost(folder: Path, reference: Path) -> list[str]:
    """What a run that was killed and went on lacks of one that was not: nothing, if all is well."""
    missing = differences(folder, reference)
    if (folder.parent / "wandb").exists() and mirrored_rounds(folder.parent) != list(range(ROUNDS + 1)):
        missing.append("W&B")
    return missing


def said(cwd: Path) -> str:
    """What the processes started in a folder have printed."""
    return (cwd / "log.txt").read_text()


def n_committed(cwd: Path) -> int:
    """Rounds that a killed run has left."""
    runs = (cwd / "multirun_outputs" / "default").glob("*-s*-*")
    return sum(len(committed(folder)[0]) for folder in runs)


def n_lost(cwd: Path) -> int:
    """Rounds that a killed run had begun and has not left: they are run again."""
    begun = cwd / "begun"
    return int(begun.read_text()) + 1 - n_committed(cwd) if begun.exists() else 0


def whole(point: Point | None, cwd: Path, arguments: tuple[str, ...]) -> None:
    """Run the command in this process, to its end."""
    cwd.mkdir(exist_ok=True)
    os.chdir(cwd)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]  # a service of W&B's that the tests have started may be gone
    os.environ["WANDB_MODE"] = "offline"
    with Path("log.txt").open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    options = [argument for argument in arguments if argument.startswith("-")]  # Hydra wants them first
    sys.argv = ["al-lightning", *fast((*options, *ARGUMENTS, *(a for a in arguments if a not in options)))]
    sys.exit(main())


def killed(point: Point, cwd: Path, arguments: tuple[str, ...]) -> None:
    """Run the command in this process, which gets the signal at a point."""
    clocks: list[clock.Clock] = []

    def remember(called: Callable[..., None], *given: Any, **named: Any) -> None:
        called(*given, **named)
        clocks.append(given[0])

    def note(called: Callable[..., Any], number: int, *given: Any, **named: Any) -> Any:
        Path("begun").write_text(str(number), encoding="utf-8")
        return called(number, *given, **named)

    _wrap(clock.Clock, "__init__", remember)
    _wrap(loop, "fit_choose_test", note)
    module_name, _, path = point.function.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    calls = 0

    def count(called: Callable[..., Any], *given: Any, **named: Any) -> Any:
        nonlocal calls
        here = point.phase == "any" or (clocks and clocks[-1]._stack[-1] == point.phase)
        calls += bool(here)
        due = bool(here) and calls == point.call
        if due and not point.after:
            os.kill(os.getpid(), point.number)
        result = called(*given, **named)
        if due:
            os.kill(os.getpid(), point.number)
        return result

    _wrap(owner, name, count)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs have it ignored
    whole(None, cwd, arguments)


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    called = getattr(owner, name)

    @functools.wraps(called)  # as a target of the configuration, too
    def wrapper(*given: Any, **named: Any) -> Any:
        return around(called, *given, **named)

    setattr(owner, name, wrapper)
