"""What Hydra and OmegaConf refuse, in one message that names the key, the value and what is allowed."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning.config import conf_dir, options

REFUSALS = (HydraException, OmegaConfBaseException)


def explain(error: BaseException, arguments: Sequence[str]) -> str:
    """A message for an error of composing the configuration.

    Args:
        error: one of `REFUSALS`.
        arguments: the command line.
    """
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={option}: there is no such {group}; there are: {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value: {str(error).splitlines()[0]}"
    if several := re.search(r"Ambiguous value for argument '(.*?)'", str(error)):
        return f"{several[1]}: these are several values; to run one after the other, add --multirun"
    cause = error.__cause__ or error
    unknown = re.search(r"Key '(.*?)' is not in struct|Key '(.*?)' not in '", str(cause))
    key = _overridden(str(error)) or getattr(cause, "full_key", None)
    if unknown and key:
        return _unknown_key(key, arguments)
    reason = str(getattr(cause, "msg", None) or cause).splitlines()[0]
    if isinstance(error, ConfigCompositionException) and key is None:
        return str(error).splitlines()[0] + (f": {reason}" if cause is not error else "")
    return f"{_as_typed(key, arguments)}: {reason}" if key else reason


def null_group(arguments: Sequence[str]) -> str | None:
    """A message for `group=null`, to which Hydra answers with a bare ValueError; None where there is none."""
    for argument in arguments:
        group, _, option = argument.partition("=")
        if option == "null" and options(group):
            return f"{argument}: must be one of {', '.join(options(group))}"
    return None


def _unknown_key(key: str, arguments: Sequence[str]) -> str:
    parent, _, name = key.rpartition(".")
    known = _keys(parent, arguments)
    if not known and parent:
        return _unknown_key(parent, arguments)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {f'{parent}.' if parent else ''}{near[0]}? " if near else ""
    owner = f"{parent} has" if parent else "there are"
    return f"{_as_typed(key, arguments)}: there is no such key; {hint}{owner}: {', '.join(known)}"


def _keys(parent: str, arguments: Sequence[str]) -> list[str]:
    """The keys of a section, under the options that the command line chooses as far as they exist."""
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    chosen = [a for a in arguments if a.split("=")[0] in groups and "," not in a]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            cfg = compose("config", chosen)
        except REFUSALS:
            cfg = compose("config")
    section = OmegaConf.select(cfg, parent) if parent else cfg
    return [str(key) for key in section] if isinstance(section, DictConfig) else []


def _overridden(message: str) -> str | None:
    match = re.search(r"(?:Could not override|Error merging override) '?[+~]*([\w.@/]+)", message)
    return match[1] if match else None


def _as_typed(key: str, arguments: Sequence[str]) -> str:
    """`key=value` where the command line has it."""
    return next((a for a in arguments if a.lstrip("+~").split("=")[0] == key), key)
