"""The settings of a command line, one by one: text that stays as typed, one option of a group, the jobs of a sweep."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from omegaconf import DictConfig

from al_lightning.errors import ConfigError

# Keys that hold a name or a path. Hydra reads 2024_01_15 and 1.10 as numbers, which have another spelling.
TEXT = re.compile(r"study|resume|paths\.\w+|dataset\.(root|cache)|logger\.(project|entity)|\w+\.name")
PLAIN = re.compile(r"[\w.+-]+")


def read(typed: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The settings for Hydra, with names and paths in quotes where it would read a number.

    Args:
        typed: the settings, without flags.
        groups: the groups that have options.

    Raises:
        ConfigError: options of a group in brackets.
        OverrideParseException: what is not key=value.
    """
    parsed = OverridesParser.create().parse_overrides(list(typed))
    for each in parsed:
        _check_group(each, groups)
    return [_spelled(each) for each in parsed]


def jobs(hydra: DictConfig, settings: Sequence[str], groups: Sequence[str], loader: ConfigLoader) -> list[list[str]]:
    """The settings of every job of a sweep, as Hydra's own sweeper makes them; empty where another one sweeps.

    Args:
        hydra: Hydra's composed settings.
        settings: as :func:`read` returns them.
        groups: the groups that have options.
        loader: finds the options that `glob` stands for.

    Raises:
        ConfigError: a sweep over nothing.
        HydraException: values that this sweeper cannot enumerate.
    """
    if not hydra.sweeper._target_.endswith(".BasicSweeper"):
        return []
    lines = [f"{key}={values}" for key, values in (hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*lines, *settings])
    for each in parsed:
        _check_group(each, groups)
        if each.is_interval_sweep():
            raise ConfigError(f"{each.input_line}: Hydra's own sweeper takes no interval; name the values")
        if each.is_sweep_override() and each.is_discrete_sweep() and not [*islice(each.sweep_iterator(), 1)]:
            raise ConfigError(f"{each.input_line}: stands for no value at all, so the sweep has no job")
    return BasicSweeper.split_arguments(parsed, None)[0]


def choices(jobs: Sequence[Sequence[str]], groups: Sequence[str]) -> list[list[str]]:
    """What the jobs choose of groups, each combination once, with their settings of Hydra's own."""

    def is_choice(setting: str) -> bool:
        key = setting.lstrip("+~").split("=")[0]
        return key in groups or "/" in key or key.startswith("hydra.")

    return [list(each) for each in sorted({tuple(filter(is_choice, job)) for job in jobs})]


def varying(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The keys whose values tell the jobs apart."""
    return [values[0].partition("=")[0] for values in zip(*jobs, strict=True) if len(set(values)) > 1]


def swept(hydra: DictConfig, settings: Sequence[str]) -> list[str]:
    """The keys whose values another sweeper than Hydra's own chooses."""
    parsed = OverridesParser.create().parse_overrides(list(settings))
    return [*(hydra.sweeper.get("params") or {}), *(e.get_key_element() for e in parsed if e.is_sweep_override())]


def quoted(text: str) -> str:
    """A text as Hydra reads it back, whatever it holds."""
    return QuotedString(text.replace("${", "\\${"), Quote.single).with_quotes()


def _check_group(override: Override, groups: Sequence[str]) -> None:
    if override.is_delete() or not (override.key_or_group in groups or "/" in override.key_or_group):
        return
    values = [*override.sweep_iterator()] if isinstance(override.value(), ChoiceSweep) else [override.value()]
    for value in values:
        if isinstance(value, list):
            choice = f"{override.get_key_element()}={','.join(map(str, value))}"
            how = f"to run one after the other: --multirun {choice}" if len(value) > 1 else "type it without brackets"
            raise ConfigError(f"{override.input_line}: a group takes one option; {how}")


def _spelled(override: Override) -> str:
    line = cast(str, override.input_line)
    if override.is_delete() or not TEXT.fullmatch(override.key_or_group):
        return line
    value = override.value()
    key, _, typed = line.partition("=")
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    parts = typed.split(",") if isinstance(value, ChoiceSweep) else [typed]
    if len(parts) != len(values):  # a text in quotes may hold a comma; a number beside it is refused later
        return line
    return f"{key}={','.join(map(_quoted, parts, values))}"


def _quoted(typed: str, value: object) -> str:
    """The text of an element, in quotes where Hydra took it for a number or a truth value."""
    is_name = isinstance(value, int | float) and PLAIN.fullmatch(typed.strip())
    return f"'{typed.strip()}'" if is_name else typed
