"""Runs of a sweep that other processes have open: of the same command on another machine, mostly."""

import time
from dataclasses import replace
from pathlib import Path

from al_lightning.command.sweep import Job, jobs, record


def wait(folder: Path) -> None:
    """Wait for the runs that were found in other hands to end, and leave what became of them as outcomes.

    Args:
        folder: of the sweep.
    """
    found = [job for job in jobs(folder) if job.state == "elsewhere"]
    if found:
        print(f"waits for {len(found)} runs to end that are not of this sweep; Ctrl-C leaves them to run", flush=True)
    for job in found:
        record(folder, _ended(job))


def _ended(job: Job) -> Job:
    """The outcome of a job, once nobody has its run open."""
    from al_lightning.command.objective import figures  # with NumPy and more, which other command lines do not need
    from al_lightning.config.schema import ActiveLearning
    from al_lightning.runs.lock import HOLDER, is_open
    from al_lightning.runs.rounds import read_json
    from al_lightning.runs.summary import covers

    run, al = Path(job.folder), ActiveLearning(**(job.asked or {}))
    while (run / HOLDER).exists() and is_open(run):  # the lock is asked no oftener than it has to be
        time.sleep(1)
    summary = read_json(run / "summary.json")
    if summary and summary.get("state") == "waiting":
        job = replace(job, state="waiting")
    elif not covers(summary, al):
        message = f"{job.message} has left it unfinished; the same command goes on"
        job = replace(job, state="interrupted", message=message)
    return replace(job, **figures(run, al))
