"""Going on with a run by its folder: `resume=RUN_FOLDER`."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning import config
from al_lightning.errors import ConfigError

# What may be typed beside it: none of it changes the results of a round.
BESIDE = ("al.rounds", "al.budget", "logger", "trainer.accelerator", "skip_changed", "dry_run", "debug")
SHOWN = 3  # runs of a study that a message names


def command(folder: Path) -> str:
    """The command that goes on with a run."""
    value = str(folder)
    if not re.fullmatch(r"[\w.-]*/[\w./-]+", value, re.ASCII):  # Hydra's grammar wants the rest quoted
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"python -m al_lightning {shlex.quote(f'resume={value}')}"


def stored(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
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
        read = OmegaConf.merge(OmegaConf.structured(config.Config), OmegaConf.load(folder / "config.yaml"))
    except (OSError, UnicodeError, yaml.YAMLError, OmegaConfBaseException, TypeError, ValueError) as error:
        if runs := sorted(file.parent.name for file in folder.glob("*/config.yaml")):
            raise ConfigError(
                f"{said}: a study, not a run; give its sweep's command again, or one of its runs: "
                f"{', '.join(runs[:SHOWN])}{', ...' if len(runs) > SHOWN else ''}"
            ) from error
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0]
        raise ConfigError(f"{said}: no run folder: its config.yaml cannot be read: {reason}") from error
    settings = cast(DictConfig, read)
    settings.overwrite, settings.skip_changed, settings.resume = False, False, None
    settings.debug, settings.dry_run = cfg.debug, cfg.dry_run
    if missing := sorted(OmegaConf.missing_keys(settings)):
        raise ConfigError(f"{said}: no run folder: its config.yaml has no {missing[0]}")
    try:
        config.typed(settings)
    except ConfigError as error:
        raise ConfigError(f"{said}: its config.yaml: {error}") from error
    if config.run_folder(settings).name != folder.name:
        raise ConfigError(
            f"{said}: its config.yaml is that of another run ({config.run_folder(settings).name}): "
            "the file was changed, or the folder renamed"
        )
    # It may have been moved.
    here, root = Path.cwd(), folder.parent.parent
    settings.paths.output_root = str(root.relative_to(here) if root.is_relative_to(here) else root)
    settings.study = folder.parent.name
    for override in overrides:
        key = override.split("=")[0]
        if key not in ("resume", *BESIDE) and key.split(".")[0] not in BESIDE:
            raise ConfigError(
                f"{override}: a run goes on with the settings it began with; beside resume=... there may be only "
                f"{', '.join(BESIDE)}"
            )
        if key != "resume":
            OmegaConf.update(settings, key, OmegaConf.select(cfg, key))
    return settings
