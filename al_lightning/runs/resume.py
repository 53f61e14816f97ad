"""Going on with a run by its folder: `resume=RUN_FOLDER`."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning.config import data_root, effects, identity, schema
from al_lightning.config.effects import Effect
from al_lightning.errors import ConfigError
from al_lightning.runs import stored

SHOWN = 3  # runs of a study that a message names
ROOT, DATA = "dataset.root", "paths.data"  # the images may have moved: they are held against those of the rounds


def command(folder: Path) -> str:
    """The command that goes on with a run."""
    value = str(folder)
    if not re.fullmatch(r"[\w.-]*/[\w./-]+", value, re.ASCII):  # Hydra's grammar wants the rest quoted
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"python -m al_lightning {shlex.quote(f'resume={value}')}"


def _some(runs: Sequence[str]) -> str:
    return f"{', '.join(runs[:SHOWN])}{', ...' if len(runs) > SHOWN else ''}"


def addable(settings: Sequence[str]) -> list[str]:
    """The settings of a command line as Hydra is to read them.

    Beside `resume=...` those of the data set and the oracle are of the run's, which the composed ones may not have.
    """
    resumes = any(each.startswith("resume=") and each != "resume=null" for each in settings)
    return [f"++{each}" if resumes and each.startswith(("dataset.", "oracle.")) else each for each in settings]


def stored_settings(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of the run that `resume` names.

    Args:
        cfg: as composed from the command line.
        overrides: the command line, as Hydra split it.

    Returns:
        What the folder's `config.yaml` says, with what was typed beside `resume`, for a run in that folder.

    Raises:
        ConfigError: it is no run folder, its settings are not those that it was named after, or more was typed than
            may be.
    """
    folder = Path(cfg.resume).expanduser().resolve()
    said = f"resume={cfg.resume}"
    try:
        settings = stored.read(folder)
    except ConfigError as error:
        if runs := sorted(file.parent.name for file in folder.glob(f"*/{stored.FILE}")):
            raise ConfigError(
                f"{said}: a study, not a run; give its sweep's command again, or one of its runs: {_some(runs)}"
            ) from error
        if runs := sorted(str(file.parent.relative_to(folder)) for file in folder.glob(f"*/*/{stored.FILE}")):
            raise ConfigError(f"{said}: a folder of studies, not a run; its runs are {_some(runs)}") from error
        raise ConfigError(f"{said}: {error}") from error
    here = Path.cwd()
    settings.resume = str(folder.relative_to(here) if folder.is_relative_to(here) and folder != here else folder)
    if missing := sorted(OmegaConf.missing_keys(settings)):
        raise ConfigError(f"{said}: no run folder: its {stored.FILE} has no {missing[0]}")
    try:
        schema.typed(settings)
    except ConfigError as error:
        raise ConfigError(f"{said}: its {stored.FILE}: {error}") from error
    name = identity.name(schema.resolved(settings))
    if settings.named_by == identity.FORMAT and name != folder.name:
        raise ConfigError(
            f"{said}: its {stored.FILE} is that of another run ({name}): the file was changed, or the folder renamed"
        )
    for override in overrides:
        _apply(settings, cfg, override)
    return settings


def _apply(settings: DictConfig, cfg: DictConfig, override: str) -> None:
    """Take over what was typed beside `resume`.

    Raises:
        ConfigError: it changes the results of a round, or the run has no such setting.
    """
    key = override.lstrip("+~").partition("=")[0]
    if key == "resume":
        return
    if key == "overwrite" or not (key == ROOT or effects.of(key).effect in (Effect.WAY, Effect.PLACE)):
        raise ConfigError(
            f"{override.lstrip('+')}: a run goes on with the settings it began with; beside resume=... there may be "
            f"only {', '.join(beside())}"
        )
    if key.startswith("dataset.") and key.partition(".")[2] not in settings.dataset:
        raise ConfigError(f"{override.lstrip('+')}: dataset={settings.dataset.name} has no such setting")
    if key == ROOT:
        settings.moved_from = settings.moved_from or settings.dataset.root
    elif key == DATA:
        settings.dataset = identity.replaced(schema.resolved(settings)["dataset"], settings.paths.data, cfg.paths.data)
    try:
        # A group that was chosen replaces the stored one, it is not added to it.
        OmegaConf.update(settings, key, OmegaConf.select(cfg, key), merge=False)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{override.lstrip('+')}: {str(error).partition(chr(10))[0]}") from error
    if key == ROOT:
        data_root.settle(settings)


def beside() -> list[str]:
    """What may be typed beside `resume=...`: what changes no result of a round; the images are looked at."""
    free = [key for key, row in effects.TABLE.items() if row.effect in (Effect.WAY, Effect.PLACE)]
    return sorted({*free, ROOT} - {"resume", "overwrite", "named_by", "moved_from", "experiment"})
