"""The jobs of a sweep, in whatever process and on whatever machine: no run twice, a GPU each, and how they ended.

They know of each other by files in a folder beside their runs, `<output_root>/<study>/.sweep/<when>`. A job finds it as
`hydra.sweep.dir`, which is in the configuration that a launcher brings to it.
"""

import json
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from al_lightning.config import limits
from al_lightning.disk import look_anew
from al_lightning.errors import ConfigError

_KNOWN = "sweep"  # the file with what is known before the first job
STOP = "stop"  # the file by which jobs are told to end
_OWN = (
    _KNOWN,
    STOP,
    "*.job",
    "*.part",
    "*.alive",
    "*.claim",
    "*.slot",
    "*.turn",
    "multirun.yaml",
)  # the last is Hydra's


@dataclass(frozen=True)
class Sweep:
    """What is known of a sweep before its first job.

    Attributes:
        n_jobs: how many there are; 0 where another sweeper than Hydra's own decides.
        keys: those whose values tell the jobs apart.
        at_once: how many run side by side; 0 where that is up to a cluster.
        folder: of its files, which :func:`begin` makes.
        objective: the measure that the jobs return, as in `al.objective`.
    """

    n_jobs: int
    keys: list[str]
    at_once: int
    folder: str = ""
    objective: str | None = None

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

    def missing(self, done: "Sequence[Job]") -> list[int]:
        """Numbers of the jobs that left no outcome, as far as it is known how many there are."""
        numbers = {job.number for job in done}
        return [number for number in range(1, max([self.n_jobs, *numbers]) + 1) if number not in numbers]


@dataclass(frozen=True)
class Job:
    """How a job of a sweep ended.

    Attributes:
        number: position in the sweep, from 1.
        overrides: what tells it from the other jobs, as typed.
        state: `finished`, `resumed` or `re-run` (and finished: an earlier process had been interrupted, or had
            failed), `skipped` (had been finished before), `same` (as the run of an earlier job),
            `waiting` (for answers of the oracle), `interrupted` (also while it runs), `elsewhere` (a process that is
            not of this sweep has it open), `failed` or `refused` (its configuration cannot work); with `dry_run` what
            would be: `new`, `goes on` or `done`.
        folder: the run folder; empty where the job did not get that far.
        message: why it failed, or who has the run.
        seconds: that it took, or with `dry_run` might take.
        fits: with `dry_run`, fits to do.
        labels: with `dry_run`, labels paid for at the end.
        n_labeled: that the last round trained on, of those that the job asks for.
        accuracy: of that round, on the test part.
        aubc: area under the budget curve up to that round.
        objective: what a sweeper is told, see :mod:`.objective`; None where the run has not finished.
        asked: the section `al`, where the run is `elsewhere`: at the end of the sweep it is looked at again.
    """

    number: int
    overrides: str
    state: str
    folder: str = ""
    message: str = ""
    seconds: float = 0.0
    fits: int = 0
    labels: int | None = None
    n_labeled: int | None = None
    accuracy: float | None = None
    aubc: float | None = None
    objective: float | None = None
    asked: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """0, 1 for a failure, 2 for a configuration that was refused."""
        return {"failed": 1, "interrupted": 1, "refused": 2}.get(self.state, 0)


def new_folder(cfg: DictConfig) -> Path:
    """A name that no other sweep has for its folder, in the study of the composed configuration.

    Raises:
        ConfigError: a study or an output root that cannot be.
    """
    from al_lightning.runs.folder_state import SWEEPS  # with NumPy, which other command lines do not need

    limits.folder_name("study", cfg.study)
    limits.text("paths.output_root", cfg.paths.output_root)
    name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(3)}"
    return Path(cfg.paths.output_root).expanduser().absolute() / cfg.study / SWEEPS / name


def begin(sweep: Sweep) -> list[Path]:
    """Make the folder of a sweep and tell the jobs what is known.

    Returns:
        The folders that were not there, the sweep's own first, for :func:`end`.

    Raises:
        ConfigError: it cannot be made.
    """
    folder = Path(sweep.folder)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True)
        (folder / _KNOWN).write_text(json.dumps(asdict(sweep)), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"paths.output_root: cannot write to {folder}: {error.strerror}") from error
    return made


def end(made: Sequence[Path], went_well: bool, is_queued: bool) -> None:
    """Clear up after a sweep. What its sweeper has written, such as Optuna's results, is moved to the study.

    Args:
        made: as :func:`begin` returns it.
        went_well: whether all jobs did; where not, what the launcher has logged (submitit's `.submitit`) stays.
        is_queued: whether jobs may begin yet; that they are not to is still said to them.
    """
    folder, sweeps = made[0], made[0].parent
    with suppress(OSError):
        for file in [file for pattern in _OWN for file in folder.glob(pattern)]:
            if not (is_queued and file.name == STOP):
                file.unlink(missing_ok=True)
        for file in [each for each in folder.iterdir() if each.is_file() and each.name != STOP]:
            kept = _free(sweeps.parent / file.name)
            file.rename(kept)
            print(f"{file.name} of the sweeper: {kept}")
        if went_well:
            shutil.rmtree(folder)
        for logs in folder.glob(".submitit"):
            print(f"what its jobs have printed: {logs}")
        if (folder / STOP).exists():
            print(f"jobs that a cluster still has queued end when they begin, by {folder / STOP}")
    with suppress(OSError):  # up to the first that holds something
        for empty in dict.fromkeys((folder, sweeps, *made)):
            if empty.exists():
                empty.rmdir()


def _free(path: Path) -> Path:
    """The path, with a number where it is taken."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def here() -> Path | None:
    """The folder of the sweep that this process runs a job of; None outside of one."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir)


def known(folder: Path) -> Sweep:
    """What is known of the sweep, in any of its jobs."""
    try:
        return Sweep(**json.loads((folder / _KNOWN).read_text(encoding="utf-8")))
    except OSError:  # somebody has cleared up while it runs
        return Sweep(0, [], 0)


def prefix() -> str:
    """What begins a line of a job that may not be the only one to print; empty for a run and for jobs in turn."""
    folder = here()
    if folder is None or (sweep := known(folder)).at_once == 1:
        return ""
    return f"{sweep.name(HydraConfig.get().job.num + 1)}  "


def record(folder: Path, job: Job) -> None:
    """Leave the outcome of a job; that it cannot be written is no failure of the run, see :meth:`Sweep.missing`."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{job.number}.part"
        part.write_text(json.dumps(asdict(job)), encoding="utf-8")
        part.replace(folder / f"{job.number}.job")


def jobs(folder: Path) -> list[Job]:
    """The outcomes that were left, by number."""
    look_anew(folder)  # others write there too
    texts = [file.read_text(encoding="utf-8") for file in folder.glob("*.job")]
    return sorted((Job(**json.loads(text)) for text in texts), key=lambda job: job.number)
