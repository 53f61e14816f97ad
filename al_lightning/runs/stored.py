"""The `config.yaml` of a run folder: the resolved configuration with the version of its format, and how it is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning.config import effects, identity, schema
from al_lightning.config.effects import canonical, leaves
from al_lightning.errors import ConfigError

FILE = "config.yaml"
# Of one call, not of the run.
NOT_KEPT = {"resume": None, "overwrite": False, "skip_changed": False, "dry_run": False, "debug": False}
NAMED = f"named_by: {identity.FORMAT}"  # a line of one that this version has named
SECTIONS = ("al", "train")  # whose keys are the program's own, so that an older file may lack some


def text(cfg: DictConfig) -> str:
    """The content of the file for a configuration."""
    plain = schema.resolved(cfg) | dict(NOT_KEPT)
    return f"format: {identity.FORMAT}\n{OmegaConf.to_yaml(OmegaConf.create(plain))}"


def read(folder: Path) -> DictConfig:
    """The configuration of a run folder, one of an earlier format with what it lacks filled in.

    Raises:
        ConfigError: the file cannot be read, or is of a version that this program cannot go on with.
    """
    try:
        node = OmegaConf.load(folder / FILE)
        found = cast(dict[str, Any], OmegaConf.to_container(node))
        settings = _of_today(found if isinstance(found, dict) else {})
        return cast(DictConfig, OmegaConf.merge(OmegaConf.structured(schema.Config), OmegaConf.create(settings)))
    except (OSError, UnicodeError, yaml.YAMLError, OmegaConfBaseException, TypeError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0]
        raise ConfigError(f"no run folder: its {FILE} cannot be read: {reason}") from error


def earlier(path: Path, settings: dict[str, Any]) -> tuple[Path | None, str]:
    """A run of an earlier version of this program that has the same settings, beside where it would be today.

    Args:
        path: where it would be.
        settings: the resolved configuration.

    Returns:
        Its folder; or None, and how the nearest one differs, empty where there is no other.
    """
    wanted, nearest = identity.counted(settings), ""
    for folder in _beside(path):
        try:
            has = identity.counted(schema.resolved(read(folder)))
        except (ConfigError, OmegaConfBaseException, KeyError, TypeError) as error:
            nearest = nearest or f"{folder.name} is of an earlier version: {error}"
            continue
        odd = [key for key in sorted({*wanted, *has}) if canonical(wanted.get(key)) != canonical(has.get(key))]
        if not odd:
            return folder, ""
        values = {key: has.get(key, effects.of(key).absent) for key in odd}
        there = ", ".join(f"no {key}" if value is effects.ALWAYS else f"{key}={value}" for key, value in values.items())
        nearest = nearest or f"{folder.name} is of an earlier version, with {there}"
    return None, nearest


def _beside(path: Path) -> Iterator[Path]:
    prefix = path.name.rpartition("-")[0]
    for folder in sorted(path.parent.glob(f"{prefix}-????????")):
        text_ = _text_of(folder)
        if text_ and not (text_.startswith(f"format: {identity.FORMAT}\n") and f"\n{NAMED}" in text_):
            yield folder


def _text_of(folder: Path) -> str:
    try:
        return (folder / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


def _of_today(found: dict[str, Any]) -> dict[str, Any]:
    """The settings as this version has them.

    Raises:
        ConfigError: of a later version, or with a setting that is no more.
    """
    version = found.pop("format", 1)
    if not isinstance(version, int) or version > identity.FORMAT:
        raise ConfigError(
            f"its {FILE} has format {version}; this version of al_lightning reads up to {identity.FORMAT}: upgrade it"
        )
    if version < identity.FORMAT:
        found["named_by"] = version
    for key, harmless in effects.GONE.items():
        section, _, name = key.rpartition(".")
        value = (found.get(section) or {}).pop(name, harmless)
        if canonical(value) != canonical(harmless):
            raise ConfigError(
                f"of an earlier version, with {key}={value}, which is no more; begin anew with the whole command"
            )
    found = NOT_KEPT | found  # one of before there was a switch of these
    if found.get("al", {}).pop("initial_balanced", False):
        found["al"]["initial"] = "balanced"
    for (
        key,
        row,
    ) in effects.TABLE.items():  # one of before there were others than `simulated`, which has a value for each
        if key.startswith("oracle.") and row.absent is not None and version < identity.FORMAT:
            found.setdefault("oracle", {}).setdefault(key.partition(".")[2], row.absent)
    given = dict(leaves(found))
    for key, row in effects.TABLE.items():
        section, _, name = key.rpartition(".")
        if section in SECTIONS and key not in given and row.absent is not effects.ALWAYS:
            found.setdefault(section, {})[name] = row.absent
    return found
