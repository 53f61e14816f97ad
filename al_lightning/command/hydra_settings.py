"""Hydra's own settings: free, but for those by which a configuration could run any code or mislead a run."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, cast

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import DictConfig, OmegaConf

from al_lightning.errors import ConfigError

# What a logging configuration may make: its keys `class` and `()` can name any callable.
LOGGING = (
    "logging.StreamHandler",
    "logging.FileHandler",
    "logging.NullHandler",
    "logging.Formatter",
    "colorlog.ColoredFormatter",
)
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
# Of this program's launchers, by the package that has them.
EXTRAS = {"hydra_submitit_launcher": "slurm", "hydra_ray_launcher": "ray-launcher"}


def check(hydra: DictConfig) -> None:
    """Refuse what is dangerous in Hydra's composed settings.

    Raises:
        ConfigError: names the key, the value and what is allowed.
    """
    from al_lightning.config.instantiate import (
        check_targets,  # a tenth of a second that other command lines do not need
    )

    raw = cast(dict[str, Any], OmegaConf.to_container(hydra))  # an interpolation may be another value in each job
    if raw["job"]["chdir"]:
        why = "relative paths (paths.output_root, dataset.root) would lead elsewhere in every job"
        raise ConfigError(f"hydra.job.chdir={raw['job']['chdir']}: must be false: {why}")
    env, copied = raw["job"]["env_set"], raw["job"]["env_copy"]
    if not isinstance(env, dict) or set(env) - set(copied):
        why = "it could allow any target (AL_LIGHTNING_ALLOW) or lead to other programs (PATH)"
        raise ConfigError(f"hydra.job.env_set={env}: must be empty: {why}; set variables in the shell")
    folder = raw["output_subdir"]
    if folder is not None and (not re.fullmatch(r"[\w.-]+", folder) or not folder.strip(".")):
        why = "Hydra writes a config.yaml there, which may be that of a run elsewhere"
        raise ConfigError(f"hydra.output_subdir={folder}: must be the name of a folder, or null: {why}")
    _check_verbose(raw["verbose"])
    for key in ("job_logging", "hydra_logging"):
        _check_logging(f"hydra.{key}", raw[key])
    _check_installed(hydra)
    for key in ("callbacks", "launcher", "sweeper"):
        if not isinstance(hydra[key], DictConfig):
            raise ConfigError(f"hydra.{key}={hydra[key]}: choose one with hydra/{key}=...")
        installed = () if key == "callbacks" else {target for node in _installed(key) for target in _targets(node)}
        node = cast(dict[str, Any], OmegaConf.to_container(hydra[key], resolve=True))
        for name, value in node.items():  # the node's own target: Hydra takes nothing but its plugins
            check_targets(f"hydra.{key}.{name}", _without(value, installed))
        if key == "sweeper":
            if search_space := node.get("custom_search_space"):  # of Optuna's: a target by another name
                check_targets("hydra.sweeper.custom_search_space", {"_target_": search_space})
            _check_sweeper(node)
    if hydra.launcher.get("n_jobs") == 0:
        raise ConfigError("hydra.launcher.n_jobs=0: must be at least 1; -1 is one a core")


def _check_installed(hydra: DictConfig) -> None:
    launcher = hydra.launcher if isinstance(hydra.launcher, DictConfig) else {}
    package = str(launcher.get("_target_")).partition(".")[2].partition(".")[0]
    if package in EXTRAS and find_spec(f"hydra_plugins.{package}") is None:
        chosen = hydra.runtime.choices["hydra/launcher"]
        raise ConfigError(f"hydra/launcher={chosen}: not installed: pip install 'al-lightning[{EXTRAS[package]}]'")


def _check_verbose(value: Any) -> None:
    names = value if isinstance(value, list) else [value]
    if not isinstance(value, bool) and not all(isinstance(name, str) for name in names):
        raise ConfigError(f"hydra.verbose={value}: must be true, false, or names of loggers")


def _check_logging(key: str, node: Any) -> None:
    """Refuse a logging configuration that would call or import something else than the standard handlers."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("class", "()") and value not in LOGGING:
                raise ConfigError(f"{key}.{name}={value}: must be one of {', '.join(LOGGING)}")
            if name not in ("filename", "format", "datefmt"):  # which are text, whatever they stand for
                _check_logging(f"{key}.{name}", value)
    elif isinstance(node, list):
        for position, value in enumerate(node):
            _check_logging(f"{key}[{position}]", value)
    elif isinstance(node, str) and re.search(r"\$\{|^\w+://", node) and node not in STREAMS:
        raise ConfigError(f"{key}={node}: must be plain text, or one of {', '.join(STREAMS)}")


def _check_sweeper(sweeper: dict[str, Any]) -> None:
    size = sweeper.get("max_batch_size")
    if isinstance(size, int) and size < 1:
        raise ConfigError(f"hydra.sweeper.max_batch_size={size}: must be at least 1; null is all jobs at once")
    for key in _keys(sweeper):
        if re.match(r"[+~]*hydra\b", key):  # it would be of a job, after this check
            raise ConfigError(f"hydra.sweeper: {key}: a sweep is over this program's settings, not Hydra's")


def _keys(node: Any) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else ():
        yield str(name)
        yield from _keys(value)


def _installed(group: str) -> Iterator[Any]:
    """The nodes that installed plugins come with: their launchers or sweepers, and the parts of these."""
    waiting = [ConfigStore.instance().repo["hydra"][group]]
    while waiting:
        for each in waiting.pop().values():
            if isinstance(each, ConfigNode):
                yield OmegaConf.to_container(each.node)
            else:
                waiting.append(each)


def _targets(node: Any) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else ():
        if name == "_target_":
            yield value
        yield from _targets(value)


def _without(node: Any, targets: Any) -> Any:
    """The node without the targets given."""
    if isinstance(node, dict):
        return {
            name: _without(value, targets)
            for name, value in node.items()
            if not (name == "_target_" and value in targets)
        }
    return [_without(value, targets) for value in node] if isinstance(node, list) else node
