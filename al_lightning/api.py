"""A run from its composed configuration, for the command and for :func:`run`, which does from Python what it does."""

import copy
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.version import VersionBase, setbase
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from al_lightning.command import command_line, explain, hydra_settings, output
from al_lightning.config import data_root, schema
from al_lightning.errors import ConfigError
from al_lightning.runs import provenance, resume, stored
from al_lightning.signals import Interrupted, raised

if TYPE_CHECKING:
    from al_lightning.loop import Outcome

FLAGS = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
LIGHTNING = ("pytorch_lightning", "lightning.pytorch")  # loggers that a run makes quiet


def run(overrides: Sequence[str]) -> "Outcome":
    """Run one configuration, or go on with it, as `python -m al_lightning` with the same settings does.

    An initialized Hydra of the caller's stays as it is. Of Hydra's own settings, those of its callbacks and its logging
    do nothing here.

    Args:
        overrides: what is typed after the command: settings, and `--config-dir`, `--config-path`, `--config-name`.

    Returns:
        The run folder; the state, `finished`, `resumed`, `re-run`, `skipped` or `waiting` (for answers); and what
        `summary.json` holds. With `dry_run=true`: the folder that it would be; `new`, `goes on` or `done`; and an empty
        summary.

    Raises:
        ConfigError: a sweep, or settings that cannot work, with the message of the command.
        UserError: whatever else ends the command with a message; the rounds that are committed stand.
        KeyboardInterrupt, SystemExit: a signal asked the process to stop; the same call goes on.

    Examples:
        >>> import al_lightning
        >>> outcome = al_lightning.run(["dataset=digits", "strategy=margin"])  # doctest: +SKIP
        >>> outcome.summary["final"]["acc"]  # doctest: +SKIP
    """
    typed = _checked(overrides)
    try:
        with output.lenient(), _apart(typed), raised():
            return _run(settings(*_explained(typed)))
    except Interrupted as stop:
        raise (KeyboardInterrupt() if stop.by_keyboard else SystemExit(stop.exit_code)) from stop


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration that :func:`run` would run; arguments and errors as there."""
    typed = _checked(overrides)
    with _apart(typed):
        return _explained(typed)[0]


def settings(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """What is to be run: the composed configuration, or that of the run folder it names.

    Args:
        cfg: as Hydra composes it; Hydra's own settings are in its singleton.
        overrides: the settings that were typed.

    Raises:
        ConfigError: settings that cannot work.
    """
    # Again: a sweeper that is not Hydra's own makes its jobs by itself.
    hydra_settings.check(cast(DictConfig, HydraConfig.get()))
    if OmegaConf.select(cfg, "resume", throw_on_resolution_failure=False) is not None:
        return resume.stored_settings(cfg, overrides)
    schema.typed(cfg)  # what is wrong here is said before the imports that take seconds
    data_root.settle(cfg)
    path = schema.run_folder(cfg)
    if not path.exists():
        found, nearest = stored.earlier(path, schema.resolved(cfg))
        if found:
            print(f"{found}: made by an earlier version, with these settings")
            cfg.resume, cfg.named_by = str(found), stored.read(found).named_by
        elif nearest:
            print(f"note: {nearest}; {path.name} begins anew", file=sys.stderr)
    return cfg


def _run(cfg: DictConfig) -> "Outcome":
    from al_lightning import loop
    from al_lightning.runs import estimate

    if cfg.dry_run:
        found = estimate.dry_run(cfg)
        return loop.Outcome(found.folder, found.state, {})
    return loop.run(cfg)


def _checked(overrides: Sequence[str]) -> list[str]:
    """The settings as they are typed after the command.

    Raises:
        ConfigError: a text in place of a list, or a flag that is the command's only.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"al_lightning.run takes a list of settings: al_lightning.run({overrides.split()})")
    for flag in [each.partition("=")[0] for each in overrides if each.startswith("-")]:
        if flag in ("--multirun", "-m"):
            raise _no_sweep(flag)
        if flag not in FLAGS:
            raise ConfigError(f"{flag}: al_lightning.run takes settings and {', '.join(FLAGS[::2])}")
    return list(overrides)


def _no_sweep(what: str) -> ConfigError:
    return ConfigError(
        f"{what}: a sweep is for the command; call al_lightning.run once for each run, or give the command"
    )


def _explained(typed: list[str]) -> tuple[DictConfig, list[str]]:
    """What :func:`_composed` returns.

    Raises:
        ConfigError: it cannot be composed; says why and what to type.
    """
    try:
        return _composed(typed)
    except Exception as error:
        raise ConfigError(explain.explain(error, typed)) from error


def _composed(typed: list[str]) -> tuple[DictConfig, list[str]]:
    """The configuration and the settings that were typed, read as those of the command; Hydra gets its own.

    Raises:
        ConfigError: a sweep, or what the command refuses.
        Exception: whatever Hydra raises for a configuration that it cannot compose.
    """
    line = command_line.read(typed)
    if line.sweep:
        raise _no_sweep(" ".join(typed))
    setup_globals()  # Hydra's resolvers, such as ${now:%Y}
    given = command_line.parse(line.arguments)
    whole = command_line.composed(given, given.overrides)
    HydraConfig.instance().set_config(whole)
    with read_write(whole.hydra.runtime):
        whole.hydra.runtime.output_dir = str(Path(whole.hydra.run.dir).absolute())
    HydraConfig.instance().set_config(whole)
    cfg = copy.deepcopy(whole)
    with read_write(cfg), open_dict(cfg):
        del cfg["hydra"]
    return cfg, cast(list[str], OmegaConf.to_container(whole.hydra.overrides.task))


@contextmanager
def _apart(typed: list[str]) -> Iterator[None]:
    """Give the run what there is one of in a process, such as Hydra's settings; the caller has it back afterwards.

    Args:
        typed: the command line that the run says it was made by.
    """
    hydra, version, arguments = HydraConfig.instance().cfg, VersionBase.instance().version_base, sys.argv
    levels = {name: logging.getLogger(name).level for name in LIGHTNING}
    setbase(command_line.VERSION_BASE)
    sys.argv = [str(provenance.PACKAGE / "__main__.py"), *typed]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        HydraConfig.instance().cfg, VersionBase.instance().version_base, sys.argv = hydra, version, arguments
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
