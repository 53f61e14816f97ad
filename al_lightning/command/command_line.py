"""The command line, before Hydra acts on it: flags, settings, folders of options, the jobs of a sweep."""

import argparse
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from al_lightning.command import hydra_settings, manual, objective, overrides, sweep
from al_lightning.command.sweep import Sweep
from al_lightning.config import keys
from al_lightning.config.limits import check_parts
from al_lightning.config.schema import Config, conf_dir
from al_lightning.errors import ConfigError
from al_lightning.runs import resume

VERSION_BASE = "1.3"  # of Hydra's: how it is to read conf/
# Of launchers: the keys and types are the plugin's, the values this program's.
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")


class OwnOptions(SearchPathPlugin):
    """Keeps this program's options in Hydra's search where --config-path puts the user's folder in their place."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder, if it is not there."""
        if str(conf_dir()) not in [each.path for each in search_path.get_path()]:
            search_path.append("al_lightning", str(conf_dir()))


@dataclass(frozen=True)
class Line:
    """A command line that this program takes.

    Attributes:
        arguments: as Hydra is to read them.
        sweep: what is known of its jobs; None for a single run.
        ray: settings of `ray.init` as `init`, and of `ray.remote` as `remote`; None where the launcher is another.
        shows: what is to be printed in place of a run.
    """

    arguments: list[str]
    sweep: Sweep | None = None
    ray: dict[str, Any] | None = None
    shows: str = ""


def read(arguments: Sequence[str]) -> Line:
    """Read a command line, and refuse one that this program does not take.

    Args:
        arguments: the command line, without the program.

    Raises:
        ConfigError: a flag that does not exist, a pickle, a folder that is not there, a setting that cannot be meant, a
            setting of Hydra's own that is dangerous, a primary configuration without types, or a sweep without jobs.
        Exception: whatever Hydra raises for a configuration that it cannot compose.
    """
    if any("--version".startswith(each) and len(each) > 3 for each in arguments):  # argparse would show Hydra's
        return Line([], shows=manual.version())
    given = parse(arguments)
    if given.help:
        return Line([], shows=manual.page(composed(parse([]), [])))
    if given.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun: it would load a pickle, which can be any code; type the settings")
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the folder that this command is started in is gone; go to one that exists") from None
    main = _main(given)
    check_parts("--config-name", name(given))
    for flag, folder in (("--config-dir", given.config_dir), ("--config-path", main)):
        check_parts(flag, folder or "")
        if folder is not None and not folder.startswith("pkg://") and not Path(folder).is_dir():
            raise ConfigError(f"{flag} {folder}: there is no such folder")
    places = folders(given)
    groups = [path.name for folder in places for path in folder.iterdir() if path.is_dir()]
    for key, _, value in (each.partition("=") for each in given.overrides):
        if key.lstrip("+~").partition("@")[0] in (*groups, "resume", "hydra.searchpath"):  # to be a file's name
            check_parts(key, value)
    settings = resume.addable(overrides.read(given.overrides, groups))
    spelled = dict(zip(given.overrides, settings, strict=True))
    line = [spelled.get(argument, argument) for argument in arguments]
    if given.config_path:
        line += ["--config-path", main]  # the last one counts
    own = any(re.match(r"[+~]*(hydra\b|experiment\b)", each) for each in settings)
    if not (given.config_dir or given.config_path or given.config_name or given.multirun or own):
        return Line(line)  # without a tenth of a second: no sweep, and Hydra's own settings are as they are
    loader = _loader(given)
    cfg = loader.load_configuration(name(given), settings, RunMode.MULTIRUN)
    if OmegaConf.get_type(cfg) is not Config:
        files = (folder / f"{name(given).removesuffix('.yaml')}.yaml" for folder in places)
        raise ConfigError(
            f"{next(filter(Path.is_file, files), name(given))}: its defaults must begin with `- schema`, the types of "
            "the keys; or with `- config`, which has their values too, where it is not itself named config.yaml"
        )
    hydra = cfg.hydra
    hydra_settings.check(hydra)
    if given.cfg or given.info or not (given.multirun or hydra.mode == RunMode.MULTIRUN):
        return Line(line)
    if typed := next((each for each in settings if each.lstrip("+~").startswith("hydra.sweep.dir")), None):
        raise ConfigError(
            f"{typed}: fixed: a sweep keeps its state in <paths.output_root>/<study>/.sweep; type study=..."
        )
    jobs = overrides.jobs(hydra, settings, groups, loader)
    own_options = places != [conf_dir()]
    for chosen in overrides.choices(jobs, groups) if own_options else ():  # an option may set what is Hydra's
        hydra_settings.check(loader.load_configuration(name(given), chosen, RunMode.RUN).hydra)
    folder, told = str(sweep.new_folder(cfg)), objective.of_sweep(cfg)
    line.insert(line.index(settings[0]) if settings else len(line), f"hydra.sweep.dir={overrides.quoted(folder)}")
    varying = overrides.varying(jobs) if jobs else overrides.swept(hydra, settings)
    return Line(line, Sweep(len(jobs), varying, _at_once(hydra), folder, told), _ray(hydra))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags, and the settings as `overrides`.

    Raises:
        ConfigError: a flag that does not exist, or flags that exclude each other.
    """
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        flags = [flag[2:] for action in parser._actions for flag in action.option_strings if flag[:2] == "--"]
        raise ConfigError(_with_dashes(message, arguments, flags) or message)

    parser.error = fail
    return parser.parse_args(arguments)


def composed(given: argparse.Namespace, settings: Sequence[str]) -> DictConfig:
    """The configuration with Hydra's own settings, composed as Hydra does it."""
    mode = RunMode.MULTIRUN if given.multirun else RunMode.RUN
    return _loader(given).load_configuration(name(given), list(settings), mode)


def folders(given: argparse.Namespace) -> list[Path]:
    """Those with options, in the order in which Hydra looks for one.

    Raises:
        ConfigError: a folder in `hydra.searchpath` that is not there.
        Exception: whatever Hydra raises for a search path or a primary configuration that it cannot read.
    """
    searched = [each for each in given.overrides if each.startswith("hydra.searchpath=")]
    if not (given.config_dir or given.config_path or given.config_name or searched):
        return [conf_dir()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra's, for a folder that is refused here
        _, repository = _loader(given)._parse_overrides_and_create_caching_repo(name(given), searched)
    found = []
    for source in repository.get_sources():
        if source.provider.startswith("hydra.searchpath") and not source.available():
            raise ConfigError(f"hydra.searchpath: {source.path}: there is no such folder")
        if source.scheme() == "pkg" and source.provider != "hydra" and source.available():
            found.append(Path(str(resources.files(source.path.replace("/", ".")))))
        elif source.scheme() == "file":
            found.append(Path(source.path))
    return [folder for folder in found if folder.is_dir()]


def _with_dashes(message: str, arguments: Sequence[str], flags: Sequence[str]) -> str | None:
    """What to say where argparse does not know an argument: mostly a setting that was typed as a flag."""
    unknown = re.match(r"unrecognized arguments: (-*)([^=\s]+)(?:=(\S*))?", message)
    if not unknown:
        return None
    dashes, name, value = unknown.groups()
    if not dashes:
        return f"{message}; flags such as --multirun come before all settings"
    if flag := keys.nearest_option(name, flags):
        return f"{dashes}{name}: there is no such flag; did you mean --{flag}?"
    cfg = composed(parse([]), [])
    key = keys.nearest(name, keys.of(cfg))
    if key is None:
        return f"{message}; settings are typed without dashes, as key=value; --help shows them"
    after = arguments[arguments.index(f"{dashes}{name}") + 1 :] if value is None else [value]
    if "=" not in key:
        is_switch = isinstance(OmegaConf.select(cfg, key), bool)
        alone = str(not name.startswith("no")).lower() if is_switch else "..."
        key += f"={after[0]}" if after and "=" not in after[0] and after[0][:1] != "-" else f"={alone}"
    return f"{dashes}{name}: there is no such flag; settings are typed without dashes: {key}"


def name(given: argparse.Namespace) -> str:
    """Of the primary configuration."""
    return given.config_name or "config"


def _main(given: argparse.Namespace) -> str:
    """Where Hydra looks first; to Hydra itself a relative --config-path would begin in this package's folder."""
    path = given.config_path or str(conf_dir())
    return path if path.startswith("pkg://") else str(Path(path).resolve())


def _loader(given: argparse.Namespace) -> ConfigLoaderImpl:
    search_path = create_config_search_path(_main(given))
    OwnOptions().manipulate_search_path(search_path)
    if given.config_dir:
        path = f"file://{Path(given.config_dir).absolute()}"
        search_path.prepend("command-line", path, SearchPathQuery(provider="schema"))
    return ConfigLoaderImpl(search_path)


def _ray(hydra: DictConfig) -> dict[str, Any] | None:
    if not hydra.launcher._target_.endswith(".RayLauncher"):
        return None
    return cast(dict[str, Any], OmegaConf.to_container(hydra.launcher.ray, resolve=True))


def _at_once(hydra: DictConfig) -> int:
    """How many jobs run side by side; 0 where that is up to a cluster."""
    launcher = hydra.launcher._target_.rpartition(".")[2]
    if launcher == "JoblibLauncher":
        from joblib import effective_n_jobs

        return effective_n_jobs(hydra.launcher.n_jobs)
    return 1 if launcher == "BasicLauncher" else 0
