"""What Hydra's command line offers and this program does not: pickles, and Hydra's own files, logs and callables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from al_lightning.config import conf_dir
from al_lightning.errors import ConfigError

# Sections of Hydra's own settings that are for the user to change, and those that Hydra fills in.
FREE = ("launcher", "sweeper", "mode")
FILLED_IN = ("overrides", "runtime")
FILLED_IN_JOB = ("override_dirname", "config_name")


def check(arguments: Sequence[str]) -> None:
    """Refuse a command line that this program does not take, before Hydra acts on it.

    Args:
        arguments: the command line, without the program.

    Raises:
        ConfigError: a flag that does not exist or is not for this program, a setting of Hydra's own that is fixed, or
            a `_target_` where Hydra would call it.
        Exception: whatever Hydra raises for a configuration that it cannot compose.
    """
    parser = get_args_parser()
    parser.error = _fail
    given = parser.parse_args(arguments)
    if given.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun: it would load a pickle, which can be any code; type the settings")
    if given.config_path is not None:
        raise ConfigError("--config-path: not for this program; --config-dir adds a folder of options")
    if given.config_dir or given.config_name or any("hydra" in each.split("=")[0] for each in given.overrides):
        _check_hydra(given.config_name or "config", given.config_dir, given.overrides)


def _fail(message: str) -> NoReturn:
    hint = "; flags such as --multirun come before all settings" if "unrecognized" in message else ""
    raise ConfigError(f"{message}{hint}")


def _check_hydra(config_name: str, config_dir: str | None, overrides: list[str]) -> None:
    from al_lightning.instantiate import check_targets  # a tenth of a second that other command lines do not need

    given = _composed(config_name, config_dir, overrides)
    ours, theirs = _fixed(_composed("config", None, [])), _fixed(given)
    for key in sorted({*ours, *theirs}):
        if repr(ours.get(key)) != repr(theirs.get(key)):  # 0 equals false, but not to Hydra
            raise ConfigError(f"hydra.{key}: fixed; of Hydra's own settings only {', '.join(FREE)} can be changed")
    for key in ("launcher", "sweeper"):
        if not isinstance(given[key], DictConfig):
            raise ConfigError(f"hydra.{key}={given[key]}: choose one with hydra/{key}=...")
        for name, value in cast(dict[str, Any], OmegaConf.to_container(given[key], resolve=True)).items():
            check_targets(f"hydra.{key}.{name}", value)  # the node's own target: Hydra takes nothing but its plugins


def _fixed(hydra: DictConfig) -> dict[str, Any]:
    """The sections that are not for the user to change, without what Hydra fills in."""
    plain = cast(dict[str, Any], OmegaConf.to_container(hydra))
    job = {name: value for name, value in plain["job"].items() if name not in FILLED_IN_JOB}
    return {key: value for key, value in plain.items() if key not in (*FREE, *FILLED_IN)} | {"job": job}


def _composed(config_name: str, config_dir: str | None, overrides: list[str]) -> DictConfig:
    """Hydra's own settings, composed as it does itself."""
    search_path = create_config_search_path(str(conf_dir()))
    if config_dir:
        path = f"file://{Path(config_dir).absolute()}"
        search_path.prepend("command-line", path, SearchPathQuery(provider="schema"))
    return ConfigLoaderImpl(search_path).load_configuration(config_name, overrides, RunMode.MULTIRUN).hydra
