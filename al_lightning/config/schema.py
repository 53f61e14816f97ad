"""The settings: types of the fixed sections, their ranges, and where a run of them lies.

The groups (`dataset`, `strategy`, ...) are open: what they may hold is what their target accepts, which
:mod:`al_lightning.config.instantiate` checks.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning.config import identity, keys, limits
from al_lightning.errors import ConfigError

GROUPS = ("dataset", "embedding", "strategy", "model", "optimizer", "oracle", "trainer", "logger")


@dataclass
class ActiveLearning:
    """Section `al`: sizes are images, or fractions of the whole pool."""

    initial_size: int | float = MISSING
    initial: str = MISSING
    query_size: int | float = MISSING
    rounds: int | None = MISSING
    budget: int | None = MISSING
    val_size: int | float = MISSING
    n_clusters: int = MISSING
    mc_samples: int = MISSING
    pool_sample: int | float | None = MISSING
    candidates: str | None = None
    n_neighbors: int = 100
    pool_batch_size: int | None = MISSING
    scoring_precision: str = MISSING
    objective: str | None = None
    stop: Any = field(default_factory=list)  # a list of rules; a primary configuration of before has none of these
    price: float = 1.0
    control: float | None = None


@dataclass
class Train:
    """Section `train`: what a fit does besides what Lightning's Trainer decides."""

    engine: str = MISSING
    min_steps: int = MISSING
    schedule: str = MISSING
    max_cycles: int = MISSING
    min_fit_acc: float | None = MISSING
    max_fit_loss: float | None = MISSING
    min_fit_recall: float | None = MISSING
    tf32: bool = MISSING
    profile: bool = MISSING


@dataclass
class Paths:
    """Section `paths`: where things lie; never part of what a run computes."""

    output_root: Any = MISSING  # text, as `study`
    data: Any = MISSING


@dataclass
class Config:
    """The whole configuration, as `conf/config.yaml` fills it."""

    seed: int = MISSING
    study: Any = MISSING  # text; as `str` it would take the number of a file's `1.10`, and spell it 1.1
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
    embedding: Any = field(default_factory=lambda: {"name": "none"})  # a primary configuration of before has none
    strategy: Any = MISSING
    model: Any = MISSING
    optimizer: Any = MISSING
    oracle: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    # An experiment file says here what it is for; the settings it makes are found in their own sections.
    experiment: str | None = None
    # Of a run that goes on: the `dataset.root` that it began with, and the format of the version that named its folder.
    moved_from: str | None = None
    named_by: int = identity.FORMAT


ConfigStore.instance().store(name="schema", node=Config)


def conf_dir() -> Path:
    """The folder of configuration files: inside an installed wheel, else beside the package in the checkout."""
    package = Path(__file__).resolve().parents[1]
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
                full = f"{section}.{key}" if section else str(key)
                raise ConfigError(keys.unknown(full, full, cfg, [conf_dir()]))
    try:
        if missing := sorted(OmegaConf.missing_keys(cfg)):
            raise ConfigError(f"{missing[0]}: no value is set; give one with {missing[0]}=...")
        config = cast(Config, OmegaConf.to_object(cfg))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error.msg).splitlines()[0]}") from error
    limits.check_values("", resolved(cfg))
    for group in GROUPS:
        if not isinstance(node := getattr(config, group), dict):
            raise ConfigError(f"{group}={node}: must be one of {', '.join(options(group))}")
    for group in ("dataset", "embedding", "model"):
        if not {"name", "_target_"} & {*getattr(config, group)}:  # only what config.yaml has for every option
            raise ConfigError(f"~{group}: this key cannot be taken away; give it a value")
    limits.check(config)
    name = identity.name(resolved(cfg))
    if len(name.encode()) > 255:
        raise ConfigError(f"{name}: too long for a folder; shorten dataset.name, model.name or strategy.name")
    return config


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dictionaries and lists, every interpolation replaced by its value."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))


def run_folder(cfg: DictConfig) -> Path:
    """The folder of a run, `<output_root>/<study>/<dataset>-<model>-<strategy>-s<seed>-<fingerprint>`.

    With `resume=...` it is the one that is named there.
    """
    if cfg.resume is not None:
        return Path(cfg.resume)
    return Path(cfg.paths.output_root).expanduser() / cfg.study / identity.name(resolved(cfg))


def options(group: str) -> list[str]:
    """The options of a group that come with the package."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
