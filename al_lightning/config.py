"""The settings: types of the fixed sections, their ranges, and the hash that names a run.

The groups (`dataset`, `strategy`, ...) are open: what they may hold is what their target accepts, which
:mod:`al_lightning.instantiate` checks.
"""

from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from al_lightning import data_root, keys, limits
from al_lightning.errors import ConfigError

GROUPS = ("dataset", "strategy", "model", "optimizer", "trainer", "logger")


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
    max_cycles: int = MISSING
    min_fit_acc: float | None = MISSING
    max_fit_loss: float | None = MISSING
    min_fit_recall: float | None = MISSING
    bn_recalibrate: bool = MISSING
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
    strategy: Any = MISSING
    model: Any = MISSING
    optimizer: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
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
    limits.check(config)
    name = run_folder(cfg).name
    if len(name.encode()) > 255:
        raise ConfigError(f"{name}: too long for a folder; shorten dataset.name, model.name or strategy.name")
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
    "dataset": ("download", "cache", "own_folders"),
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
    if not settings["callbacks"]:  # as a run of before there were any
        del settings["callbacks"]
    for section, names in _INERT.items():
        part = settings[section] if section else settings
        for key in names:
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
    return Path(cfg.paths.output_root).expanduser() / cfg.study / name


def options(group: str) -> list[str]:
    """The options of a group that come with the package."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
