"""The jobs of a sweep, in whatever process: no run twice, a GPU each, and how they ended, for the table at the end.

They know of each other by files in a temporary folder.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SWEEP_VARIABLE = "AL_LIGHTNING_SWEEP"


@dataclass(frozen=True)
class Job:
    """How a job of a sweep ended.

    Attributes:
        number: position in the sweep.
        overrides: what tells it from the other jobs, as typed.
        state: `finished`, `resumed` or `re-run` (and finished: an earlier process had been interrupted, or had
            failed), `skipped` (had been finished before), `same` (as the run of an earlier job), `dry run`,
            `interrupted`, `failed` or `refused` (its configuration cannot work).
        folder: the run folder; empty where the job did not get that far.
        message: why it failed.
    """

    number: int
    overrides: str
    state: str
    folder: str = ""
    message: str = ""

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
    found = [
        Job(**json.loads(file.read_text(encoding="utf-8"))) for file in Path(os.environ[SWEEP_VARIABLE]).glob("*.json")
    ]
    return sorted(found, key=lambda job: job.number)


def print_table(done: list[Job]) -> None:
    """Print a row a job."""
    from rich.console import Console
    from rich.table import Table

    from al_lightning.rounds import read_json

    runs = {job.folder for job in done if job.folder and not job.exit_code}
    table = Table(title=f"{len(done)} jobs, {len(runs)} runs", title_justify="left")
    for column in ("job", "settings", "state", "labels", "accuracy", "AUBC", "run"):
        right = column in ("labels", "accuracy", "AUBC")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for job in done:
        summary: dict[str, Any] = (read_json(Path(job.folder) / "summary.json") if job.folder else None) or {}
        final = summary.get("final")
        figures = (
            (f"{summary['n_labeled']}", f"{final['acc']:.4f}", f"{summary['aubc']:.4f}") if final else ("", "", "")
        )
        where = job.message.partition("\n")[0] if job.exit_code else Path(job.folder).name
        table.add_row(str(job.number), job.overrides, job.state, *figures, where)
    Console(width=None if os.isatty(1) else 160).print(table)
