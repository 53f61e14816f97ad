"""How the jobs of a sweep are told to end, in whatever process and on whatever machine: by a file in its folder.

A launcher that is interrupted kills its processes at once (joblib) or leaves them alone (submitit). So the process that
began the sweep tells its jobs first and waits for them: they commit what is whole and close their loggers.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

from al_lightning import signals
from al_lightning.command import sharing
from al_lightning.command.sweep import STOP, Sweep, jobs

PATIENCE = 60  # seconds for jobs to end, and for such that a launcher has started to begin
EVERY = 0.5  # seconds in which a job looks


def is_asked(folder: Path) -> bool:
    """Whether the jobs of a sweep are to end, and those that have not begun are not to."""
    with suppress(OSError):  # a server that is slow is no reason to end
        return (folder / STOP).exists()
    return False


@contextmanager
def heeded(folder: Path, number: int) -> Iterator[None]:
    """Around a job, within :func:`al_lightning.signals.raised`: being told is like a signal.

    Args:
        folder: of the sweep.
        number: of the job.
    """
    with sharing.alive(folder, number), signals.asked(partial(is_asked, folder), EVERY):
        yield


@contextmanager
def told(sweep: Sweep) -> Iterator[None]:
    """Around a launcher: its jobs are told of a signal before it hears of it, and outlive no error of it unheard."""
    if sweep.at_once == 1:  # they run in this process
        yield
        return
    # What submitit starts here would kill a run a second after Ctrl-C.
    quiet = nullcontext() if sweep.at_once else signals.unheard()
    with signals.first(partial(_tell, Path(sweep.folder))), quiet:
        try:
            yield
        except Exception:  # submitit's for the first job that was killed, while others run
            _wait_for_others(sweep)
            raise


def _tell(folder: Path) -> None:
    try:
        (folder / STOP).touch()
    except OSError as error:  # in a signal's handler: it must not hide the signal
        print(f"the jobs cannot be told to end: {folder / STOP}: {error.strerror}", flush=True)
        return
    if n := sharing.n_alive(folder):
        print(f"{n} jobs are told to end: up to {PATIENCE} s; Ctrl-C ends this at once", flush=True)
    until = time.monotonic() + PATIENCE
    while sharing.n_alive(folder) and time.monotonic() < until:
        time.sleep(0.1)


def _wait_for_others(sweep: Sweep) -> None:
    """Until all jobs have ended, as far as they begin at all: where none has, the launcher is what failed."""
    folder, until = Path(sweep.folder), time.monotonic()
    until += 0 if sweep.at_once else PATIENCE
    while sharing.n_alive(folder) or (
        time.monotonic() < until and not is_asked(folder) and (begun := jobs(folder)) and sweep.missing(begun)
    ):
        time.sleep(EVERY)
