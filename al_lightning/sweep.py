"""The jobs of a sweep, in whatever process: no run twice, a GPU each, and how they ended, for the table at the end.

They know of each other by files in a temporary folder.
"""

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

SWEEP_VARIABLE = "AL_LIGHTNING_SWEEP"


@dataclass(frozen=True)
class Sweep:
    """What is known of a sweep before its first job.

    Attributes:
        n_jobs: how many there are; 0 where another sweeper than Hydra's own decides.
        keys: those whose values tell the jobs apart.
        at_once: how many run side by side; 0 where that is up to a cluster.
    """

    n_jobs: int
    keys: list[str]
    at_once: int

    def name(self, number: int) -> str:
        """`job 3/12`."""
        return f"job {number}/{self.n_jobs}" if self.n_jobs else f"job {number}"

    def settings(self, overrides: Sequence[str]) -> str:
        """What tells a job from the others, of all that was typed for it; all of it where nothing does."""
        return " ".join([each for each in overrides if each.split("=")[0] in self.keys] or overrides)

    def left(self, done: "Sequence[Job]") -> str:
        """How many jobs are left, and for how long: as long as those that have run took on average."""
        n_left = self.n_jobs - sum(job.state != "interrupted" for job in done)
        if n_left <= 0:
            return ""
        took = [job.seconds for job in done if job.state in ("finished", "resumed", "re-run")]
        if not (took and self.at_once):
            return f"; {n_left} to go"
        from al_lightning.words import duration

        return f"; {n_left} to go, about {duration(sum(took) / len(took) * n_left / min(self.at_once, n_left))}"


@dataclass(frozen=True)
class Job:
    """How a job of a sweep ended.

    Attributes:
        number: position in the sweep, from 1.
        overrides: what tells it from the other jobs, as typed.
        state: `finished`, `resumed` or `re-run` (and finished: an earlier process had been interrupted, or had
            failed), `skipped` (had been finished before), `same` (as the run of an earlier job),
            `interrupted` (also while it runs), `failed` or `refused` (its configuration cannot work); with `dry_run`
            what would be: `new`, `goes on` or `done`.
        folder: the run folder; empty where the job did not get that far.
        message: why it failed.
        seconds: that it took, or with `dry_run` might take.
        fits: with `dry_run`, fits to do.
        labels: with `dry_run`, labels paid for at the end.
    """

    number: int
    overrides: str
    state: str
    folder: str = ""
    message: str = ""
    seconds: float = 0.0
    fits: int = 0
    labels: int | None = None

    @property
    def exit_code(self) -> int:
        """0, 1 for a failure, 2 for a configuration that was refused."""
        return {"failed": 1, "interrupted": 1, "refused": 2}.get(self.state, 0)


@contextmanager
def journal() -> Iterator[None]:
    """A temporary folder for the files of this sweep, known to its jobs in whatever process they run."""
    with TemporaryDirectory(prefix="al_lightning-sweep-") as folder:
        os.environ[SWEEP_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[SWEEP_VARIABLE]


def begin(sweep: Sweep) -> None:
    """Tell the jobs what is known of their sweep."""
    (Path(os.environ[SWEEP_VARIABLE]) / "sweep").write_text(json.dumps(asdict(sweep)), encoding="utf-8")


def known() -> Sweep:
    """What is known of the sweep, in any of its jobs."""
    try:
        return Sweep(**json.loads((Path(os.environ[SWEEP_VARIABLE]) / "sweep").read_text(encoding="utf-8")))
    except OSError:  # on another machine, or not a sweep
        return Sweep(0, [], 0)


def prefix() -> str:
    """What begins a line of a job that may not be the only one to print; empty for a run and for jobs in turn."""
    hydra_config = HydraConfig.get() if HydraConfig.initialized() else None
    if hydra_config is None or hydra_config.mode != RunMode.MULTIRUN or (sweep := known()).at_once == 1:
        return ""
    return f"{sweep.name(hydra_config.job.num + 1)}  "


def claim(run: str) -> bool:
    """Whether no other job of this sweep, in whatever process, has come to the same run before.

    Args:
        run: its folder and length.
    """
    name = blake2b(run.encode(), digest_size=16).hexdigest()
    try:
        (Path(os.environ[SWEEP_VARIABLE]) / f"{name}.claim").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@contextmanager
def gpu(n_gpus: int) -> Iterator[int]:
    """The GPU for a job, so that jobs at the same time are spread evenly.

    A job holds the lowest slot that is free, which the kernel frees when the process ends, however it ends.

    Args:
        n_gpus: how many there are to choose from.
    """
    slot = 0
    while n_gpus > 1:
        with (Path(os.environ[SWEEP_VARIABLE]) / f"{slot}.slot").open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                slot += 1
                continue
            yield slot % n_gpus
            return
    yield 0


def record(job: Job) -> None:
    """Leave the outcome of a job."""
    (Path(os.environ[SWEEP_VARIABLE]) / f"{job.number}.json").write_text(json.dumps(asdict(job)), encoding="utf-8")


def jobs() -> list[Job]:
    """The outcomes that were left, by number."""
    files = Path(os.environ[SWEEP_VARIABLE]).glob("*.json")
    return sorted((Job(**json.loads(file.read_text(encoding="utf-8"))) for file in files), key=lambda job: job.number)


def print_table(done: list[Job]) -> None:
    """Print a row a job, and how to compare their runs."""
    if any(job.labels is not None for job in done):
        _print_plan(done)
        return
    from al_lightning.rounds import read_json

    runs = {job.folder for job in done if job.folder and not job.exit_code}
    columns = ("job", "settings", "state", "labels", "accuracy", "AUBC", "run")
    table = _table(f"{len(done)} jobs, {len(runs)} runs", columns, ("labels", "accuracy", "AUBC"))
    for job in done:
        summary: dict[str, Any] = (read_json(Path(job.folder) / "summary.json") if job.folder else None) or {}
        final = summary.get("final")
        figures = (
            (f"{summary['n_labeled']}", f"{final['acc']:.4f}", f"{summary['aubc']:.4f}") if final else ("", "", "")
        )
        table.add_row(str(job.number), job.overrides, job.state, *figures, _where(job))
    if (n_left := known().n_jobs - len(done)) > 0:
        table.add_row("", f"{n_left} more", "not begun", "", "", "", "")
    _show(table)
    if runs:
        studies = sorted({str(Path(run).parent) for run in runs})
        print(f"to compare them: {shlex.join(['python', '-m', 'al_lightning.report', *studies])}")


def _print_plan(done: list[Job]) -> None:
    """Print what each job would do, and the sum."""
    from al_lightning.words import duration

    right = ("fits", "labels", "time")
    table = _table("what would run", ("job", "settings", "state", *right, "run"), right)
    for job in done:
        figures = ("", "", "") if job.labels is None else (str(job.fits), str(job.labels), duration(job.seconds))
        table.add_row(str(job.number), job.overrides, job.state, *figures, _where(job))
    table.add_section()
    planned = [job for job in done if job.labels is not None]
    at_once = max(1, min(known().at_once, len(planned)))
    time = duration(sum(job.seconds for job in planned) / at_once)
    fits, labels = (str(sum(getattr(job, name) for job in planned)) for name in ("fits", "labels"))
    table.add_row("sum", f"{len(planned)} runs, {at_once} at a time", "", fits, labels, time, "")
    _show(table)
    print("time: estimated from a few steps, without what a strategy does with the features")


def _where(job: Job) -> str:
    return job.message.partition("\n")[0] if job.exit_code else Path(job.folder).name


def _table(title: str, columns: Sequence[str], right: Sequence[str]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _show(table: Any) -> None:
    from rich.console import Console

    Console(width=None if os.isatty(1) else 160, markup=False).print(table)
