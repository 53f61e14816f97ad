"""What the values of the settings may be: a message that names the key, the value and what is allowed."""

import math
import os
import re
from typing import TYPE_CHECKING, Any

from al_lightning.config.stop_rules import parse
from al_lightning.errors import ConfigError

if TYPE_CHECKING:
    from al_lightning.config.schema import ActiveLearning, Config

ENGINES = ("fast", "plain", "graph")
EMBEDDING_ENGINES = ("plain", "ray")
SCHEDULES = ("constant", "linear", "cosine")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
CANDIDATES = ("all", "random", "neighbors")
INITIAL = ("random", "balanced", "typiclust", "probcover", "maxherding", "kmeans")
SCORING_PRECISIONS = ("fp32", "bf16")
OBJECTIVES = (*(f"val/{name}" for name in ("acc", "balanced_acc", "f1", "auroc", "nll", "ece")), "aubc")

_LENGTH = "a fit is as long as trainer.max_epochs and train.min_steps say"
_DATA = "every labeled image is trained on, and every test image is measured, once a round"
_DEVICE = "trainer.devices says how many processes of one machine train"
_FILES = "a run writes into its own folder only"
# The arguments of Lightning's Trainer that the loop owns, and why; it takes all others.
OWNED = {
    "callbacks": "they have a section of their own: callbacks.NAME._target_=...",
    **dict.fromkeys(("min_epochs", "max_steps", "min_steps", "max_time"), _LENGTH),
    **dict.fromkeys(("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"), _DATA),
    **dict.fromkeys(("overfit_batches", "val_check_interval", "check_val_every_n_epoch"), _DATA),
    **dict.fromkeys(("reload_dataloaders_every_n_epochs", "barebones"), _DATA),
    "fast_dev_run": f"{_DATA}; for a short run: experiment=quick",
    **dict.fromkeys(("strategy", "num_nodes", "plugins", "sync_batchnorm", "use_distributed_sampler"), _DEVICE),
    **dict.fromkeys(("default_root_dir", "model_registry"), _FILES),
    "profiler": "train.profile=true writes what the operations of a round took",
}
MOST_DEVICES = 64  # no machine has more
LONGEST = 4096  # characters of a setting: as many as a path may have


def check_values(key: str, value: Any) -> None:
    """Refuse what no setting can be, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str) or not name:
                raise ConfigError(f"{key}={value}: the keys of a section must be text")
            check_values(f"{key}.{name}" if key else name, inner)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            check_values(f"{key}[{position}]", inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key}={value}: must be a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"{key}={value}: must be a whole number of at most 19 digits")  # 64 bits
    elif isinstance(value, str) and (len(value) > LONGEST or re.search("[\ud800-\udfff]", value)):
        raise ConfigError(f"{key}={value}: must be text of at most {LONGEST} characters, in UTF-8")


def check(config: "Config") -> None:
    """Refuse values of the fixed sections that cannot work.

    Raises:
        ConfigError: names the key, the value and what is allowed.
    """
    _size("al.initial_size", config.al.initial_size, least=0)
    _one_of("al.initial", config.al.initial, INITIAL)
    _size("al.query_size", config.al.query_size)
    _size("al.val_size", config.al.val_size, least=0)
    _check_candidates(config.al)
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
    _check_stop(config.al)
    if config.al.control is not None and not 0 < config.al.control <= 0.5:
        raise ConfigError(f"al.control={config.al.control}: must be a share above 0 and at most 0.5, or null")
    check_objective(config.al.objective, config.al.val_size)
    _within("batch_size", config.batch_size, 2, 65_536, " (batch normalization needs two images)")
    _within("train.min_steps", config.train.min_steps, 0, 1_000_000)
    _within("train.max_cycles", config.train.max_cycles, 1, 100)
    for key in ("min_fit_acc", "min_fit_recall"):
        if (share := getattr(config.train, key)) is not None and not 0 <= share <= 1:
            raise ConfigError(f"train.{key}={share}: must be a share from 0 to 1, or null")
    if config.train.max_fit_loss is not None and config.train.max_fit_loss <= 0:
        raise ConfigError(f"train.max_fit_loss={config.train.max_fit_loss}: must be above 0, or null")
    _one_of("train.engine", config.train.engine, ENGINES)
    _one_of("train.schedule", config.train.schedule, SCHEDULES)
    if not 0 <= config.seed < 2**32:
        raise ConfigError(f"seed={config.seed}: must be from 0 to {2**32 - 1}")
    folder_name("study", config.study)
    _folder("paths.output_root", config.paths.output_root)
    _folder("paths.data", config.paths.data)
    for key, otherwise in (("root", ""), ("cache", ", or null")):
        if (value := config.dataset.get(key)) is not None:
            _folder(f"dataset.{key}", value, otherwise)
    _check_masks(config.dataset)
    for group in ("dataset", "embedding", "strategy", "model", "optimizer", "oracle", "trainer", "logger"):
        folder_name(f"{group}.name", getattr(config, group).get("name"))
    _one_of("embedding.engine", config.embedding.get("engine", "plain"), EMBEDDING_ENGINES)
    _one_of("trainer.accelerator", config.trainer.get("accelerator"), ACCELERATORS)
    _one_of("trainer.precision", config.trainer.get("precision"), PRECISIONS)
    epochs = config.trainer.get("max_epochs")
    if type(epochs) is not int:  # a bool is an int to Python
        raise ConfigError(f"trainer.max_epochs={epochs}: must be a whole number, at least 1")
    _within("trainer.max_epochs", epochs, 1, 100_000)
    clip = config.trainer.get("gradient_clip_val")
    if isinstance(clip, int | float) and clip < 0:
        raise ConfigError(f"trainer.gradient_clip_val={clip}: must be at least 0; null is no clipping")
    _check_devices(config)
    if (value := config.trainer.get("logger")) is not False:
        raise ConfigError(f"trainer.logger={value}: must be false; loggers are chosen by logger=csv, wandb, ...")
    if (value := config.trainer.get("enable_checkpointing")) is not False:
        raise ConfigError(f"trainer.enable_checkpointing={value}: must be false, {_FILES}")
    for key in config.trainer:
        if reason := OWNED.get(key):
            raise ConfigError(f"trainer.{key}={config.trainer[key]}: the loop decides it: {reason}")
    batches = config.trainer.get("accumulate_grad_batches", 1)
    if type(batches) is not int or batches < 1:
        raise ConfigError(f"trainer.accumulate_grad_batches={batches}: must be a whole number, at least 1")
    if batches > 1 and config.train.engine != "plain":
        raise ConfigError(
            f"trainer.accumulate_grad_batches={batches}: train.engine={config.train.engine} steps after every batch; "
            "use train.engine=plain"
        )
    for key, value in config.optimizer.items():
        if isinstance(value, int | float) and abs(value) > 1000:
            raise ConfigError(f"optimizer.{key}={value}: must be at most 1000")


def _check_devices(config: "Config") -> None:
    n = config.trainer.get("devices")
    if type(n) is not int or not 1 <= n <= MOST_DEVICES:
        raise ConfigError(f"trainer.devices={n}: must be a whole number from 1 to {MOST_DEVICES}, of GPUs or processes")
    if n == 1:
        return
    if config.train.engine != "plain":
        raise ConfigError(
            f"trainer.devices={n}: train.engine={config.train.engine} trains on one device; add train.engine=plain"
        )
    if (members := config.model.get("members", 1)) != 1:
        raise ConfigError(f"trainer.devices={n} model.members={members}: a committee is fitted on one device")
    _at_least("batch_size", config.batch_size, 2 * n, f" with trainer.devices={n}: each takes two images or more of it")


def check_objective(objective: str | None, val_size: int | float) -> None:
    """Refuse an objective that is no validation measure, or that there are no labels for.

    Raises:
        ConfigError: names the key, the value and what is allowed.
    """
    if objective is None:
        return
    if objective not in OBJECTIVES:
        raise ConfigError(
            f"al.objective={objective}: must be one of {', '.join(OBJECTIVES)}; the test part decides nothing"
        )
    if not val_size > 0:
        raise ConfigError(f"al.objective={objective}: needs validation labels: add al.val_size=100, or another number")


def _check_candidates(al: "ActiveLearning") -> None:
    if al.pool_sample is not None:
        _size("al.pool_sample", al.pool_sample)
    if al.candidates is not None:
        _one_of("al.candidates", al.candidates, CANDIDATES)
        if al.candidates == "random" and al.pool_sample is None:
            raise ConfigError("al.candidates=random: how many? add al.pool_sample=10000, or another number")
        if al.candidates != "random" and al.pool_sample is not None:
            raise ConfigError(
                f"al.candidates={al.candidates} al.pool_sample={al.pool_sample}: images are drawn with "
                "al.candidates=random only; take one of the two away"
            )
    _within("al.n_neighbors", al.n_neighbors, 1, 10_000)


def _check_stop(al: "ActiveLearning") -> None:
    if not al.price > 0:
        raise ConfigError(f"al.price={al.price}: must be above 0")
    if not isinstance(al.stop, list):
        raise ConfigError(f"al.stop={al.stop}: must be a list of rules: al.stop=[{al.stop or ''}]")
    rules = [parse(text) for text in al.stop]
    if (twice := {rule.name for rule in rules}) and len(twice) < len(rules):
        raise ConfigError(f"al.stop={al.stop}: a rule of each kind at most")
    for rule in rules:
        if rule.name in ("accuracy", "gain") and not al.val_size:
            raise ConfigError(f"al.stop={rule.text} al.val_size=0: the rule looks at validation labels; give it some")


def _check_masks(node: dict[str, Any]) -> None:
    """The keys of :mod:`al_lightning.data.masks`; the images are held against them when they are loaded."""
    if (size := node.get("subset")) is not None:
        _size("dataset.subset", size)
    factor, repeat = node.get("imbalance"), node.get("repeat", 1)
    if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int | float) or factor < 1):
        raise ConfigError(f"dataset.imbalance={factor}: must be a number, at least 1, or null")
    if type(repeat) is not int or not 1 <= repeat <= 100:
        raise ConfigError(f"dataset.repeat={repeat}: must be a whole number from 1 to 100")


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


def text(key: str, value: object) -> None:
    """Refuse what is not text."""
    if value is None:
        raise ConfigError(f"{key}: is not set; must be text")
    if not isinstance(value, str):
        like = "true or false" if isinstance(value, bool) else "a number"
        hint = f"; text that looks like {like} stands in quotes" if isinstance(value, int | float) else ""
        raise ConfigError(f"{key}={value}: must be text{hint}")


def _folder(key: str, value: object, otherwise: str = "") -> None:
    text(key, value)
    if not str(value).strip():  # to Python an empty path is the current folder
        raise ConfigError(f"{key}='{value}': must name a folder{otherwise}; . is where the command is started")
    check_parts(key, str(value))


def check_parts(key: str, path: str) -> None:
    """Refuse what no file system takes as a path, where `pathlib` would raise whatever is asked about it."""
    if (most := max(len(part.encode(errors="replace")) for part in re.split(r"[/,\s\[\]{}]", path))) > 255:
        raise ConfigError(f"{key}={path[:40]}...: a name of {most} bytes; no file, folder or option has more than 255")


def folder_name(key: str, value: object) -> None:
    """Refuse what cannot name a folder, or would lead out of the one it is in."""
    text(key, value)
    name = str(value)
    allowed = name.strip(".") and all(c.isalnum() or c in "-_." for c in name)
    if not allowed or len(name) > 64 or len(name.encode()) > 255 or os.sep in name:
        hint = "; to run one after the other, add --multirun" if "," in name else ""
        raise ConfigError(f"{key}={name}: names a folder: 1 to 64 letters, digits, '-', '_' or '.'{hint}")
