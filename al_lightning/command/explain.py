"""What Hydra and OmegaConf refuse, in one message that names the key, the value and what is allowed."""

import argparse
import re
import shlex
import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from al_lightning.command import command_line
from al_lightning.config import keys
from al_lightning.config.schema import GROUPS, conf_dir
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
    if isinstance(error, OverrideParseException):
        return _unreadable(error, command_line.parse(arguments))
    given = command_line.parse(arguments)
    file = _file_of(error, given)
    chosen = [*map(_parts, given.overrides), ("", command_line.name(given))]
    own = [path for each in chosen if (path := _own_file(*each, given))]
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        near = keys.nearest_option(option, error.options)
        hint = f"did you mean {near}? " if near else ""
        said = f"{group}={option}: there is no such {group}; {hint}there are: {', '.join(error.options)}"
        having = [path for path in own if option in path.read_text(encoding="utf-8", errors="replace")]
        return said if f"{group}={option}" in given.overrides or not having else f"{having[0]}: {said}"
    if isinstance(error, YAMLError):
        mark = getattr(error, "problem_mark", None)
        return f"{mark.name if mark else _culprit(given)}: cannot be read: {' '.join(str(error).split())}"
    if several := re.search(r"Ambiguous value for argument '(.*?)'", str(error)):
        return (
            f"{several[1]}: these are several values; to run one after the other, add --multirun; "
            f"a text with commas stands in quotes: {_quoted(several[1])}"
        )
    cause = (error.__cause__ or error.__context__ if file else error.__cause__) or error
    space = next((each for each in given.overrides if re.match(r"[+]*hydra\.sweeper\.params\b", each)), None)
    if space and re.search(r"\bNone(Type)?\b", str(cause)):  # OmegaConf adds nothing to what is null
        return (
            f"{space}: can only be changed where a file has set it; type its keys as settings of their own, such as "
            "optimizer.lr='interval(0.001,0.1)', or give them in an experiment's file"
        )
    unknown = re.search(r"Key '.*?' is not in struct|Key '.*?' not in '|delete from .* does not exist", str(cause))
    key = _overridden(str(error)) or getattr(cause, "full_key", None)
    typed = None
    if key:
        typed = _in_file(file, key) if file else _as_typed(key, given.overrides, _first_line(cause))
    if unknown and key:
        cfg = _chosen(given)
        if key in [*keys.of(cfg), *keys.of(cfg.hydra, "hydra.")]:  # null, which Hydra takes for absent
            return f"{typed}: this key cannot be taken away; give it a value"
        return keys.unknown(typed or key, key, cfg, _folders(given))
    if typed and typed.endswith("="):
        return f"{typed}: there is no value after the ="
    if file and key in (*GROUPS, "experiment") and "@package" not in file.read_text(encoding="utf-8"):
        return f"{file}: {_first_line(cause)}; a file that sets keys of other sections begins with # @package _global_"
    if key:
        return f"{typed}: {_first_line(cause)}"
    message = ": ".join(dict.fromkeys(_first_line(each) for each in (error, cause) if str(each)))
    if file:
        return f"{file}: {message}"
    if any(argument in message for argument in arguments):
        return message
    culprit = _culprit(given) or " ".join(arguments)
    group, option = _parts(culprit)
    if culprit in given.overrides and (names := _options(group, given)) and option not in names:
        return f"{culprit}: must be one of {', '.join(names)}"
    return f"{culprit}: {message or type(error).__name__}"


def is_before_jobs(error: BaseException) -> bool:
    """Whether an error was raised before any job had begun: then it is about what was typed."""
    functions = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
    # A launcher composes the jobs of a sweeper that is not Hydra's own; whatever else it says is not about settings.
    return "_job" not in functions and ("launch" not in functions or isinstance(error, REFUSALS))


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


def _unreadable(error: OverrideParseException, given: argparse.Namespace) -> str:
    """What Hydra's grammar does not take: mostly a value that has to stand in quotes."""
    key, equals, value = error.override.partition("=")
    if not equals:
        owner = next((group for group in (*GROUPS, "experiment") if key in _options(group, given)), None)
        hint = f"; did you mean {owner}={key}?" if owner else ""
        return f"{error.override}: cannot be read as key=value{hint}"
    if not value.strip() or value.lstrip()[:1] in ('"', "'", "[", "{", "$") or not re.fullmatch(r"[+~]*[\w./@-]+", key):
        return f"{error.override}: cannot be read as key=value: {_first_line(error)}"
    return (
        f"{error.override}: cannot be read as key=value; "
        f"a value with such characters stands in quotes, once more for the shell: {_quoted(error.override)}"
    )


def _quoted(argument: str) -> str:
    key, _, value = argument.partition("=")
    value = value.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{key}="{value}"')


def _file_of(error: BaseException, given: argparse.Namespace) -> Path | None:
    """The user's file in which Hydra stopped, where it says so."""
    named = re.match(r"In '([^']+)'", str(error))
    group, _, option = named[1].rpartition("/") if named else ("", "", "")
    return _own_file(group, option, given) if named else None


def _parts(setting: str) -> tuple[str, str]:
    key, _, value = setting.partition("=")
    return key, value


def _folders(given: argparse.Namespace) -> list[Path]:
    """Those with options; those of the flags where what names the others cannot be read, which is then being told."""
    try:
        return command_line.folders(given)
    except Exception:
        own = [Path(each) for each in (given.config_path, given.config_dir) if each]
        return [folder for folder in [*own, conf_dir()] if folder.is_dir()]


def _options(group: str, given: argparse.Namespace) -> list[str]:
    return sorted({file.stem for folder in _folders(given) for file in (folder / group).glob("*.yaml")})


def _own_file(group: str, option: str, given: argparse.Namespace) -> Path | None:
    """The user's file of an option, where Hydra finds it before one of this program."""
    name = Path(group) / f"{option.removesuffix('.yaml')}.yaml"
    folder = next((folder for folder in _folders(given) if (folder / name).is_file()), None)
    return folder / name if folder and folder != conf_dir() else None


def _in_file(file: Path, key: str) -> str:
    """`file:line: key`, with the first line that has the last part of the key."""
    name = re.escape(key.rpartition(".")[2])
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    number = next((i for i, line in enumerate(lines, 1) if re.search(rf"(^|[\s{{,]){name}['\"]?\s*:", line)), None)
    return f"{file}:{number}: {key}" if number else f"{file}: {key}"


def _culprit(given: argparse.Namespace) -> str:
    """The setting with which a configuration stops to compose, or its own file, where Hydra does not say; else all."""
    # Options may be found in hydra.searchpath, and other settings depend on them.
    ordered = sorted(given.overrides, key=lambda each: (not each.startswith("hydra.searchpath"), not _is_choice(each)))
    for end in range(bool(ordered and ordered[0].startswith("hydra.searchpath")), len(ordered) + 1):
        try:
            cfg = command_line.composed(given, ordered[:end])
            OmegaConf.resolve(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))
        except Exception:
            return ordered[end - 1] if end else str(_own_file("", command_line.name(given), given) or " ".join(ordered))
    return " ".join(given.overrides)


def _is_choice(setting: str) -> bool:
    key = setting.split("=")[0]
    return key in (*GROUPS, "experiment", "hydra.searchpath") or key.startswith("hydra/")


def _chosen(given: argparse.Namespace) -> DictConfig:
    """The configuration under the options that the command line chooses as far as they exist."""
    try:
        chosen = [each for each in given.overrides if _is_choice(each) and (each[:6] == "hydra." or "," not in each)]
        return command_line.composed(given, chosen)
    except (*REFUSALS, YAMLError):
        return command_line.composed(command_line.parse([]), [])


def _overridden(message: str) -> str | None:
    what = r"Could not override|Could not delete from config\.|Error merging override"
    match = re.search(rf"(?:{what}) '?[+~]*([\w.@/]+)", message)
    return match[1] if match else None


def _as_typed(key: str, settings: Sequence[str], message: str) -> str:
    """`key=value` where the command line has it; of several the one whose value is in the message, else the last."""
    typed = [each for each in settings if each.lstrip("+~").split("=")[0] == key]
    meant = [each for each in typed if f"'{each.partition('=')[2]}'" in message]
    return [key, *typed, *meant][-1]
