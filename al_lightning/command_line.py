"""The command line, before Hydra acts on it: flags, settings, Hydra's own settings, the jobs of a sweep.

What Hydra offers and this program does not: pickles, and Hydra's own files, logs and callables.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from al_lightning import keys, manual, objective, overrides, sweep
from al_lightning.config import conf_dir
from al_lightning.errors import ConfigError
from al_lightning.sweep import Sweep

# Sections of Hydra's own settings that are for the user to change, and those that Hydra fills in.
FREE = ("launcher", "sweeper", "mode")
FILLED_IN = ("overrides", "runtime")
FILLED_IN_JOB = ("override_dirname", "config_name")
# What Optuna's plugin draws its trials with.
SAMPLER = re.compile(r"optuna\.samplers\.\w+Sampler")


@dataclass(frozen=True)
class Line:
    """A command line that this program takes.

    Attributes:
        arguments: as Hydra is to read them.
        sweep: what is known of its jobs; None for a single run.
        shows: what is to be printed in place of a run.
    """

    arguments: list[str]
    sweep: Sweep | None = None
    shows: str = ""


def read(arguments: Sequence[str]) -> Line:
    """Read a command line, and refuse one that this program does not take.

    Args:
        arguments: the command line, without the program.

    Raises:
        ConfigError: a flag that does not exist or is not for this program, a setting that cannot be meant, a setting of
            Hydra's own that is fixed, a `_target_` where Hydra would call it, or a sweep without jobs.
        Exception: whatever Hydra raises for a configuration that it cannot compose.
    """
    if any("--version".startswith(each) and len(each) > 3 for each in arguments):  # argparse would show Hydra's
        return Line([], shows=manual.version())
    given = parse(arguments)
    if given.help:
        return Line([], shows=manual.page(composed(parse([]), [])))
    if given.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun: it would load a pickle, which can be any code; type the settings")
    if given.config_path is not None:
        raise ConfigError("--config-path: not for this program; --config-dir adds a folder of options")
    if given.config_dir is not None and not Path(given.config_dir).is_dir():
        raise ConfigError(f"--config-dir {given.config_dir}: there is no such folder")
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the folder that this command is started in is gone; go to one that exists") from None
    groups = [path.name for folder in folders(given) for path in folder.iterdir() if path.is_dir()]
    settings = overrides.read(given.overrides, groups)
    spelled = dict(zip(given.overrides, settings, strict=True))
    line = [spelled.get(argument, argument) for argument in arguments]
    own = any(re.match(r"[+~]*(hydra\b|experiment\b)", each) for each in settings)
    if not (given.config_dir or given.config_name or given.multirun or own):
        return Line(line)  # without a tenth of a second: no sweep, and Hydra's own settings are as they are
    loader = _loader(given)
    cfg = loader.load_configuration(given.config_name or "config", settings, RunMode.MULTIRUN)
    hydra = cfg.hydra
    _check_hydra(hydra)
    if given.cfg or given.info or not (given.multirun or hydra.mode == RunMode.MULTIRUN):
        return Line(line)
    jobs = overrides.jobs(hydra, settings, groups, loader)
    folder, told = str(sweep.new_folder(cfg)), objective.of_sweep(cfg)
    line.insert(line.index(settings[0]) if settings else len(line), f"hydra.sweep.dir={overrides.quoted(folder)}")
    varying = overrides.varying(jobs) if jobs else overrides.swept(hydra, settings)
    return Line(line, Sweep(len(jobs), varying, _at_once(hydra), folder, told))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags, and the settings as `overrides`.

    Raises:
        ConfigError: a flag that does not exist, or flags that exclude each other.
    """
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise ConfigError(_with_dashes(message, arguments) or message)

    parser.error = fail
    return parser.parse_args(arguments)


def composed(given: argparse.Namespace, settings: Sequence[str]) -> DictConfig:
    """The configuration with Hydra's own settings, composed as Hydra does it."""
    mode = RunMode.MULTIRUN if given.multirun else RunMode.RUN
    return _loader(given).load_configuration(given.config_name or "config", list(settings), mode)


def folders(given: argparse.Namespace) -> list[Path]:
    """Those with options: the user's own first."""
    return [*([Path(given.config_dir)] if given.config_dir else []), conf_dir()]


def _with_dashes(message: str, arguments: Sequence[str]) -> str | None:
    """What to say where argparse does not know an argument: mostly a setting that was typed as a flag."""
    unknown = re.match(r"unrecognized arguments: (-*)([^=\s]+)(?:=(\S*))?", message)
    if not unknown:
        return None
    dashes, name, value = unknown.groups()
    if not dashes:
        return f"{message}; flags such as --multirun come before all settings"
    key = keys.nearest(name, keys.of(composed(parse([]), [])))
    if key is None:
        return f"{message}; settings are typed without dashes, as key=value; --help shows them"
    after = arguments[arguments.index(f"{dashes}{name}") + 1 :] if value is None else [value]
    if "=" not in key:
        key += f"={after[0]}" if after and "=" not in after[0] and after[0][:1] != "-" else "=..."
    return f"{dashes}{name}: there is no such flag; settings are typed without dashes: {key}"


def _loader(given: argparse.Namespace) -> ConfigLoaderImpl:
    search_path = create_config_search_path(str(conf_dir()))
    if given.config_dir:
        path = f"file://{Path(given.config_dir).absolute()}"
        search_path.prepend("command-line", path, SearchPathQuery(provider="schema"))
    return ConfigLoaderImpl(search_path)


def _check_hydra(given: DictConfig) -> None:
    from al_lightning.instantiate import check_targets  # a tenth of a second that other command lines do not need

    ours, theirs = _fixed(composed(parse([]), []).hydra), _fixed(given)
    for key in sorted({*ours, *theirs}):
        if repr(ours.get(key)) != repr(theirs.get(key)):  # 0 equals false, but not to Hydra
            raise ConfigError(f"hydra.{key}: fixed; of Hydra's own settings only {', '.join(FREE)} can be changed")
    for key in ("launcher", "sweeper"):
        if not isinstance(given[key], DictConfig):
            raise ConfigError(f"hydra.{key}={given[key]}: choose one with hydra/{key}=...")
        for name, value in cast(dict[str, Any], OmegaConf.to_container(given[key], resolve=True)).items():
            if name == "sampler" and isinstance(value, dict) and SAMPLER.fullmatch(str(value.get("_target_"))):
                value = {each: inner for each, inner in value.items() if each != "_target_"}
            if name == "custom_search_space" and value is not None:  # Optuna's plugin would call what it names
                value = {"_target_": value}
            check_targets(f"hydra.{key}.{name}", value)  # the node's own target: Hydra takes nothing but its plugins
    if given.launcher.get("n_jobs") == 0:
        raise ConfigError("hydra.launcher.n_jobs=0: must be at least 1; -1 is one a core")
    size = given.sweeper.get("max_batch_size")
    if isinstance(size, int) and size < 1:
        raise ConfigError(f"hydra.sweeper.max_batch_size={size}: must be at least 1; null is all jobs at once")


def _fixed(hydra: DictConfig) -> dict[str, Any]:
    """The sections that are not for the user to change, without what Hydra fills in."""
    plain = cast(dict[str, Any], OmegaConf.to_container(hydra))
    job = {name: value for name, value in plain["job"].items() if name not in FILLED_IN_JOB}
    return {key: value for key, value in plain.items() if key not in (*FREE, *FILLED_IN)} | {"job": job}


def _at_once(hydra: DictConfig) -> int:
    """How many jobs run side by side; 0 where that is up to a cluster."""
    launcher = hydra.launcher._target_.rpartition(".")[2]
    if launcher == "JoblibLauncher":
        from joblib import effective_n_jobs

        return effective_n_jobs(hydra.launcher.n_jobs)
    return 1 if launcher == "BasicLauncher" else 0
