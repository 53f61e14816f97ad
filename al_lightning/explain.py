"""What Hydra and OmegaConf refuse, in one message that names the key, the value and what is allowed."""

import re
import traceback
from collections.abc import Sequence
from difflib import get_close_matches

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning.config import conf_dir, options
from al_lightning.errors import ConfigError

REFUSALS = (HydraException, OmegaConfBaseException)
LINE = 800  # characters


def explain(error: BaseException, arguments: Sequence[str]) -> str:
    """A message for an error of composing the configuration.

    Args:
        error: a `ConfigError`, one of `REFUSALS`, or whatever else Hydra lets through.
        arguments: the command line.
    """
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={option}: there is no such {group}; there are: {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value: {_first_line(error)}"
    if several := re.search(r"Ambiguous value for argument '(.*?)'", str(error)):
        return f"{several[1]}: these are several values; to run one after the other, add --multirun"
    cause = error.__cause__ or error
    unknown = re.search(r"Key '(.*?)' is not in struct|Key '(.*?)' not in '", str(cause))
    key = _overridden(str(error)) or getattr(cause, "full_key", None)
    if unknown and key:
        return _unknown_key(key, arguments)
    if key:
        return f"{_as_typed(key, arguments)}: {_first_line(cause)}"
    message = ": ".join(dict.fromkeys(_first_line(each) for each in (error, cause) if str(each)))
    if any(argument in message for argument in arguments):
        return message
    culprit = _culprit(arguments)
    if names := options(culprit.split("=")[0]):
        return f"{culprit}: must be one of {', '.join(names)}"
    return f"{culprit}: {message or type(error).__name__}"


def is_before_jobs(error: BaseException) -> bool:
    """Whether an error was raised before any job had begun: then it is about what was typed."""
    functions = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
    return not functions & {"run_job", "launch"}  # of Hydra and of its launchers


def wants_traceback(given: DictConfig | Sequence[str]) -> bool:
    """Whether `debug=true` is in a configuration, or on the command line of one that cannot be composed."""
    if isinstance(given, DictConfig):
        return OmegaConf.select(given, "debug", throw_on_resolution_failure=False) is True
    return any(argument.lstrip("+").lower() == "debug=true" for argument in given)


def short(message: str) -> str:
    """A message of at most 8 lines that fits on a screen: a value that it quotes may have any length."""
    lines = [
        f"{line[: LINE // 2]} ... {line[-LINE // 2 :]}" if len(line) > LINE else line for line in message.splitlines()
    ]
    return "\n".join(lines[:8])


def _first_line(error: BaseException) -> str:
    return (str(getattr(error, "msg", None) or error).splitlines() or [type(error).__name__])[0]


def _culprit(arguments: Sequence[str]) -> str:
    """The argument with which a configuration stops to compose, where Hydra does not say; else all of them."""
    settings = [each for each in arguments if re.search("^~|=", each)]
    ordered = sorted(settings, key=lambda each: not options(each.split("=")[0]))  # other arguments depend on options
    for end, last in enumerate(ordered, 1):
        try:
            cfg = _composed(ordered[:end])
            OmegaConf.resolve(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))
        except Exception:
            return last
    return " ".join(arguments)


def _composed(arguments: Sequence[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", list(arguments), return_hydra_config=True)


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
    try:
        cfg = _composed([a for a in arguments if a.split("=")[0] in groups and "," not in a])
    except REFUSALS:
        cfg = _composed([])
    section = OmegaConf.select(cfg, parent) if parent else cfg
    return [str(key) for key in section if key != "hydra"] if isinstance(section, DictConfig) else []


def _overridden(message: str) -> str | None:
    match = re.search(r"(?:Could not override|Error merging override) '?[+~]*([\w.@/]+)", message)
    return match[1] if match else None


def _as_typed(key: str, arguments: Sequence[str]) -> str:
    """`key=value` where the command line has it."""
    return next((a for a in arguments if a.lstrip("+~").split("=")[0] == key), key)
