"""The table at the end of a sweep."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from al_lightning.command.objective import is_lower_better
from al_lightning.command.sweep import Job, Sweep


def show_table(sweep: Sweep, done: Sequence[Job]) -> None:
    """Print a row a job, which was the best, and how to compare their runs.

    Args:
        sweep: that has ended.
        done: the outcomes of its jobs, by number.
    """
    if any(job.labels is not None for job in done):
        _show_plan(sweep, done)
        return
    runs = {job.folder for job in done if job.folder and not job.exit_code}
    measures = ("labels", "accuracy", "AUBC", *([sweep.objective] if sweep.objective else []))
    table = _table(f"{len(done)} jobs, {len(runs)} runs", ("job", "settings", "state", *measures, "run"), measures)
    for job in done:
        values = (job.accuracy, job.aubc, *([job.objective] if sweep.objective else []))
        figures = ["" if value is None else f"{value:.4f}" for value in values]
        n_labeled = "" if job.n_labeled is None else str(job.n_labeled)
        table.add_row(str(job.number), job.overrides, job.state, n_labeled, *figures, _where(job))
    if missing := sweep.missing(done):
        table.add_row(spans(missing), f"{len(missing)} more", "not begun", *[""] * len(measures), "")
    _print(table)
    if best := _best(sweep, done):
        print(f"best {sweep.objective}: {best.objective:.4f}, job {best.number} ({best.overrides}): {best.folder}")
    if runs:
        studies = sorted({str(Path(run).parent) for run in runs})
        print(f"to compare them: {shlex.join(['python', '-m', 'al_lightning.report', *studies])}")


def spans(numbers: Sequence[int]) -> str:
    """Numbers in rising order, as `3, 5-7`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(str(each[0]) if len(each) == 1 else f"{each[0]}-{each[-1]}" for each in found)


def _best(sweep: Sweep, done: Sequence[Job]) -> Job | None:
    """The job with the best objective, of equal ones the first; None where none has one."""
    with_one = [(job.objective, job) for job in done if job.objective is not None]
    if not sweep.objective or not with_one:
        return None
    choose = min if is_lower_better(sweep.objective) else max
    return choose(with_one, key=lambda pair: pair[0])[1]


def _show_plan(sweep: Sweep, done: Sequence[Job]) -> None:
    """Print what each job would do, and the sum."""
    from al_lightning.words import duration

    right = ("fits", "labels", "time")
    table = _table("what would run", ("job", "settings", "state", *right, "run"), right)
    for job in done:
        figures = ("", "", "") if job.labels is None else (str(job.fits), str(job.labels), duration(job.seconds))
        table.add_row(str(job.number), job.overrides, job.state, *figures, _where(job))
    table.add_section()
    planned = [job for job in done if job.labels is not None]
    at_once = max(1, min(sweep.at_once, len(planned)))
    time = duration(sum(job.seconds for job in planned) / at_once)
    fits, labels = (str(sum(getattr(job, name) for job in planned)) for name in ("fits", "labels"))
    table.add_row("sum", f"{len(planned)} runs, {at_once} at a time", "", fits, labels, time, "")
    _print(table)
    print("time: estimated from a few steps, without what a strategy does with the features")


def _where(job: Job) -> str:
    if job.state == "elsewhere":
        return f"{Path(job.folder).name} ({job.message})"
    return job.message.partition("\n")[0] or Path(job.folder).name


def _table(title: str, columns: Sequence[str], right: Sequence[str]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    Console(width=None if os.isatty(1) else 160, markup=False).print(table)
