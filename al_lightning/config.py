"""The settings: types of the fixed sections, their ranges, and the hash that names a run.

The groups (`dataset`, `strategy`, ...) are open: what they may hold is what their target accepts, which
:mod:`al_lightning.instantiate` checks.
"""

import math
import os
import re
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning import data_root
from al_lightning.errors import ConfigError

ENGINES = ("fast", "plain", "graph")
SCHEDULES = ("constant", "linear", "cosine")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
SCORING_PRECISIONS = ("fp32", "bf16")
LONGEST = 4096  # characters of a setting: as many as a path may have


@dataclass
class ActiveLearning:
    """Section `al`: sizes are images, or fractions of the whole pool."""

    initial_size: int | float = MISSING
    initial_balanced: bool = MISSING
    query_size: int | float = MISSING
    rounds: int | None = MISSING
    budget: int | None = MISSING
    val_size: int | float = MISSING
    n_clusters: int = MISSING
    mc_samples: int = MISSING
    pool_sample: int | float | None = MISSING
    pool_batch_size: int | None = MISSING
    scoring_precision: str = MISSING


@dataclass
class Train:
    """Section `train`: what a fit does besides what Lightning's Trainer decides."""

    engine: str = MISSING
    min_steps: int = MISSING
    schedule: str = MISSING
    bn_recalibrate: bool = MISSING
    tf32: bool = MISSING
    profile: bool = MISSING


@dataclass
class Paths:
    """Section `paths`: where things lie; never part of what a run computes."""

    output_root: str = MISSING
    data: str = MISSING


@dataclass
class Config:
    """The whole configuration, as `conf/config.yaml` fills it."""

    seed: int = MISSING
    study: str = MISSING
    batch_size: int = MISSING
    dry_run: bool = MISSING
    debug: bool = MISSING
    resume: str | None = None
    overwrite: bool = MISSING
    skip_changed: bool = MISSING
    al: ActiveLearning = field(default_factory=ActiveLearning)
    train: Train = field(default_factory=Train)
    paths: Paths = field(default_factory=Paths)
    dataset: Any = MISSING
    strategy: Any = MISSING
    model: Any = MISSING
    optimizer: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    # An experiment file says here what it is for; the settings it makes are found in their own sections.
    experiment: str | None = None


@dataclass
class Nothing:
    """Has no keys."""


@dataclass
class WithoutCallbacks(HydraConf):
    """Hydra's own settings, less callbacks: it would call any target given there before this program can look."""

    callbacks: dict[str, Nothing] = field(default_factory=dict)


ConfigStore.instance().store(name="schema", node=Config)
ConfigStore.instance().store(group="hydra", name="config", node=WithoutCallbacks, provider="hydra")


def conf_dir() -> Path:
    """The folder of configuration files: inside an installed wheel, else beside the package in the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def typed(cfg: DictConfig) -> Config:
    """Resolve a composed configuration and check the fixed sections.

    Raises:
        ConfigError: a value is missing, unknown, of the wrong type or out of range.
    """
    for section, kind in (("", Config), ("al", ActiveLearning), ("train", Train), ("paths", Paths)):
        known = [field.name for field in fields(kind)]
        if absent := [name for name in known if name not in (cfg[section] if section else cfg)]:
            raise ConfigError(f"~{absent[0]}: this key cannot be taken away; give it a value")
        for key in cfg[section] if section else cfg:
            if key not in known:  # added on the command line with +
                full, owner = (f"{section}.{key}", f"{section} has") if section else (key, "there are")
                raise ConfigError(f"{full}: there is no such key; {owner}: {', '.join(known)}")
    try:
        if missing := sorted(OmegaConf.missing_keys(cfg)):
            raise ConfigError(f"{missing[0]}: no value is set; give one with {missing[0]}=...")
        config = cast(Config, OmegaConf.to_object(cfg))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error.msg).splitlines()[0]}") from error
    _check_values("", resolved(cfg))
    _check(config)
    return config


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dictionaries and lists, every interpolation replaced by its value."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))


# Not part of the fingerprint: they change where and how long a run runs, not what it computes. A strategy's own
# node holds the clusters and samples that it uses, so `al` need not say them twice.
_INERT = {
    "": ("paths", "study", "logger", "dry_run", "debug", "resume", "overwrite", "skip_changed", "experiment"),
    "al": ("rounds", "budget", "n_clusters", "mc_samples", "pool_batch_size"),
    "train": ("profile",),
    "dataset": ("download", "cache"),
    "trainer": ("name", "accelerator", "devices"),
}


def fingerprint(cfg: DictConfig) -> str:
    """8 hex digits over every setting that changes results.

    A data set that lies in `paths.data` may move, while a `dataset.root` elsewhere counts, however it is spelled. A
    configuration that was resolved and written to disk has the same fingerprint.
    """
    settings = resolved(cfg)
    data, root = settings["paths"]["data"], settings["dataset"].get("root")
    if isinstance(root, str):
        inside = data_root.inside(data, root, data_root.lexical)
        settings["dataset"]["root"] = str(data_root.lexical(root)) if inside is None else f"-/{inside}"
    if data:
        settings = _without(data, settings)
    for section, keys in _INERT.items():
        part = settings[section] if section else settings
        for key in keys:
            part.pop(key, None)
    return blake2b(_canonical(settings).encode(), digest_size=4).hexdigest()


def _without(path: str, value: Any) -> Any:
    """The value with `-` for a folder that it begins with."""
    if isinstance(value, dict):
        return {key: _without(path, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(path, item) for item in value]
    return "-" + value[len(path) :] if isinstance(value, str) and f"{value}/".startswith(f"{path}/") else value


def _canonical(value: Any) -> str:
    """One spelling for equal settings: sorted keys, and 1 is 1.0."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_canonical(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def run_folder(cfg: DictConfig) -> Path:
    """The folder of a run, `<output_root>/<study>/<dataset>-<model>-<strategy>-s<seed>-<fingerprint>`."""
    name = f"{cfg.dataset.name}-{cfg.model.name}-{cfg.strategy.name}-s{cfg.seed}-{fingerprint(cfg)}"
    return Path(cfg.paths.output_root) / cfg.study / name


def options(group: str) -> list[str]:
    """The options of a group that come with the package."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def _check_values(key: str, value: Any) -> None:
    """Refuse what no setting can be, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str) or not name:
                raise ConfigError(f"{key}={value}: the keys of a section must be text")
            _check_values(f"{key}.{name}" if key else name, inner)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _check_values(f"{key}[{position}]", inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key}={value}: must be a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"{key}={value}: must be a whole number of at most 19 digits")  # 64 bits
    elif isinstance(value, str) and (len(value) > LONGEST or re.search("[\ud800-\udfff]", value)):
        raise ConfigError(f"{key}={value}: must be text of at most {LONGEST} characters, in UTF-8")


def _check(config: Config) -> None:
    _size("al.initial_size", config.al.initial_size)
    _size("al.query_size", config.al.query_size)
    _size("al.val_size", config.al.val_size, least=0)
    if config.al.pool_sample is not None:
        _size("al.pool_sample", config.al.pool_sample)
    if config.al.rounds is not None:
        _at_least("al.rounds", config.al.rounds, 0)
    if config.al.budget is not None:
        _at_least("al.budget", config.al.budget, 1)
    elif config.al.rounds is None:
        raise ConfigError("al.rounds=null al.budget=null: one of the two has to end the run")
    _at_least("al.n_clusters", config.al.n_clusters, 2)
    _within("al.mc_samples", config.al.mc_samples, 1, 10_000)
    if config.al.pool_batch_size is not None:
        _within("al.pool_batch_size", config.al.pool_batch_size, 1, 65_536)
    _one_of("al.scoring_precision", config.al.scoring_precision, SCORING_PRECISIONS)
    _within("batch_size", config.batch_size, 2, 65_536, " (batch normalization needs two images)")
    _within("train.min_steps", config.train.min_steps, 0, 1_000_000)
    _one_of("train.engine", config.train.engine, ENGINES)
    _one_of("train.schedule", config.train.schedule, SCHEDULES)
    if not 0 <= config.seed < 2**32:
        raise ConfigError(f"seed={config.seed}: must be from 0 to {2**32 - 1}")
    _folder_name("study", config.study)
    for group in ("dataset", "strategy", "model", "optimizer", "trainer", "logger"):
        node = getattr(config, group)
        if not isinstance(node, dict):
            raise ConfigError(f"{group}={node}: must be one of {', '.join(options(group))}")
        _folder_name(f"{group}.name", node.get("name"))
    _one_of("trainer.accelerator", config.trainer.get("accelerator"), ACCELERATORS)
    _one_of("trainer.precision", config.trainer.get("precision"), PRECISIONS)
    epochs = config.trainer.get("max_epochs")
    if type(epochs) is not int:  # a bool is an int to Python
        raise ConfigError(f"trainer.max_epochs={epochs}: must be a whole number, at least 1")
    _within("trainer.max_epochs", epochs, 1, 100_000)
    devices = config.trainer.get("devices")
    if type(devices) is not int or devices != 1:
        raise ConfigError(f"trainer.devices={devices}: must be 1, a run uses one device")
    for key in ("logger", "enable_checkpointing"):
        if (value := config.trainer.get(key)) is not False:
            raise ConfigError(f"trainer.{key}={value}: must be false, a run writes into its own folder only")
    for key, value in config.optimizer.items():
        if isinstance(value, int | float) and abs(value) > 1000:
            raise ConfigError(f"optimizer.{key}={value}: must be at most 1000")


def _at_least(key: str, value: int, least: int, why: str = "") -> None:
    if value < least:
        raise ConfigError(f"{key}={value}: must be at least {least}{why}")


def _within(key: str, value: int, least: int, most: int, why: str = "") -> None:
    _at_least(key, value, least, why)
    if value > most:
        raise ConfigError(f"{key}={value}: must be at most {most}")


def _one_of(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key}={value}: must be one of {', '.join(allowed)}")


def _size(key: str, value: int | float, least: int = 1) -> None:
    fraction = isinstance(value, float) and 0 < value < 1
    images = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not (fraction or images):
        raise ConfigError(f"{key}={value}: must be a whole number of images, at least {least}, or a fraction in (0, 1)")


def _folder_name(key: str, value: object) -> None:
    allowed = isinstance(value, str) and value.strip(".") and all(c.isalnum() or c in "-_." for c in value)
    if not allowed or len(str(value)) > 64 or os.sep in str(value):
        hint = "; to run one after the other, add --multirun" if "," in str(value) else ""
        raise ConfigError(f"{key}={value}: names a folder: 1 to 64 letters, digits, '-', '_' or '.'{hint}")
