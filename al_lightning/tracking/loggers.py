"""The loggers of a run: W&B's mirror, and any logger of Lightning's (TensorBoard, CSV, MLflow, ...) as an observer."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from al_lightning.config.instantiate import check_targets, instantiate, locate
from al_lightning.config.loggers import nodes
from al_lightning.errors import ConfigError
from al_lightning.runs.rounds import Round
from al_lightning.runs.run_info import RunInfo
from al_lightning.tracking import Observer, one_line


def mirrors(logger: Mapping[str, Any], folder: Path) -> list[Observer]:
    """The observers that the section `logger` configures, before anything is written.

    Args:
        logger: the section.
        folder: the run folder. A logger of Lightning's writes to `<study>/<logger's name>/<run>`.

    Raises:
        ConfigError: a logger that cannot be made, for want of its package for example.
    """
    if "_target_" not in logger:
        for key, value in logger.items():
            if key != "name" and key not in nodes(logger):
                raise ConfigError(f"logger.{key}={value}: names no logger; give logger.{key}._target_=...")
    return [_mirror(name, node, nested=name in logger, folder=folder) for name, node in nodes(logger).items()]


def _mirror(name: str, node: dict[str, Any], *, nested: bool, folder: Path) -> Observer:
    key = f"logger.{name}" if nested else "logger"
    check_targets(key, node)
    target = locate(node["_target_"])
    if not (inspect.isclass(target) and issubclass(target, Logger)):
        return instantiate(key, node)
    study, takes = folder.parent, inspect.signature(target).parameters
    node = {option: value for option, value in node.items() if option != "name"}  # that of the option in its group
    where: dict[str, Any] = {"name": folder.name, "run_name": folder.name, "experiment_name": study.name}
    replaces = None
    if "save_dir" not in node:
        replaces = study / name / folder.name
        where |= {"save_dir": str(study / name), "version": ""}  # in that folder itself, not in a version_0
    where = {option: value for option, value in where.items() if option in takes and option not in node}
    try:
        made = instantiate(key, {**node, "name": name}, returns=Logger, **where)
    except ImportError as error:
        raise ConfigError(f"{key}._target_={node['_target_']}: {' '.join(str(error).split())}") from error
    return LightningMirror(made, replaces)


class LightningMirror:
    """Shows a run in a logger of Lightning's: the settings once, and a round's row at `step=round`.

    A process that goes on with a run logs all rounds anew: what the earlier one left in the default folder is moved to
    `<study>/<logger's name>-replaced`, and a server gets a second run.

    Args:
        logger: to log to.
        replaces: the folder that it will write to, if it is this program's choice.
    """

    def __init__(self, logger: Logger, replaces: Path | None) -> None:
        self.logger = logger
        self._replaces = replaces
        self._steps = 0  # optimizer steps of the rounds so far

    def start(self, run: RunInfo) -> None:
        """Log the settings, and the rounds that are committed already."""
        from al_lightning.tracking.wandb_mirror import flat_config

        if self._replaces and self._replaces.exists():
            _set_aside(self._replaces)
        with suppress(NotImplementedError):
            self.logger.log_hyperparams(flat_config(run.settings))
        for done in run.rounds:
            self.round(done)

    def round(self, done: Round) -> None:
        """Log the numbers of a committed round."""
        numbers = {name: float(value) for name, value in done.row.items() if isinstance(value, int | float)}
        self.logger.log_metrics(numbers, step=done.number)
        self.logger.save()
        self._steps += int(done.row["fit/steps"] or 0)  # none where there were no labels to fit a model to

    def finish(self, state: str, summary: dict[str, Any]) -> None:
        """Close the logger."""
        self.logger.finalize("success" if state in ("finished", "waiting") else "failed")

    def of_fit(self, scale: int) -> "FitLogger":
        """The logger as the Trainer of the next round sees it, see :class:`FitLogger`."""
        return FitLogger(self.logger, self._steps, scale)


class FitLogger(Logger):
    """Logs what callbacks log during a fit, at the optimizer steps of the whole run. What fails is said once.

    Args:
        logger: to log to.
        before: optimizer steps of the rounds before.
        scale: optimizer steps in one that Lightning counts: an epoch's, or 1.
    """

    def __init__(self, logger: Logger, before: int, scale: int) -> None:
        super().__init__()
        self._logger, self._before, self._scale = logger, before, scale
        self._failed = False

    @property
    def name(self) -> str | None:
        """That of the logger."""
        return self._logger.name

    @property
    def version(self) -> int | str | None:
        """That of the logger."""
        return self._logger.version

    @property
    def experiment(self) -> Any:
        """That of the logger, for callbacks that draw."""
        return cast(Any, self._logger).experiment

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log at a step that Lightning counted in this fit."""
        try:
            self._logger.log_metrics(metrics, step=self._before + self._scale * (step or 0))
        except Exception as error:  # whatever it is: the fit does not depend on it
            if not self._failed:
                print(
                    f"warning: {type(self._logger).__name__} failed, the run goes on: {one_line(error)}",
                    file=sys.stderr,
                )
            self._failed = True

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: a run's settings are logged once."""


class FitLogging(pl.Callback):
    """Gives a Trainer the run's loggers for the time of its fit: the measures of a round come with its row.

    Args:
        observers: of the run; those of Lightning's loggers count.
        scale: see :class:`FitLogger`.
    """

    def __init__(self, observers: Sequence[Observer], scale: int) -> None:
        self._loggers = [each.of_fit(scale) for each in observers if isinstance(each, LightningMirror)]

    @property
    def has_loggers(self) -> bool:
        """Whether there are any."""
        return bool(self._loggers)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Before the fit."""
        trainer.loggers = list(self._loggers) if stage == "fit" else []

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """After it: Lightning would close them."""
        trainer.loggers = []


def _set_aside(folder: Path) -> None:
    """Move a run's folder from `<study>/<logger>` to `<study>/<logger>-replaced`."""
    replaced = folder.parent.with_name(f"{folder.parent.name}-replaced")
    replaced.mkdir(exist_ok=True)
    number = len(list(replaced.glob(f"{folder.name}.*")))
    folder.rename(replaced / f"{folder.name}.{number + 1}")
