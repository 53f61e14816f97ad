"""What every key of the configuration changes: the one table that the fingerprint, `resume=` and the report read."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Effect(Enum):
    """What a key changes."""

    RESULT = "what a run computes"
    NODE = "nothing itself: a node that uses it holds its value, and counts"
    WAY = "how far a run goes, or how it gets there"
    PLACE = "where something lies, or is shown"


ALWAYS = object()  # no value of the key is as good as none


@dataclass(frozen=True)
class Key:
    """A row of the table.

    Attributes:
        effect: of the key.
        absent: the value at which everything is as it was before there was the key; `ALWAYS`: there is none.
        alike: further such values, which only spell out what other keys decide.
    """

    effect: Effect
    absent: Any = ALWAYS
    alike: tuple[Any, ...] = ()


def _result(absent: Any) -> Key:
    return Key(Effect.RESULT, absent)


def _way(absent: Any) -> Key:
    return Key(Effect.WAY, absent)


_WAY, _PLACE, _NODE = Key(Effect.WAY), Key(Effect.PLACE), Key(Effect.NODE)

# A section stands for the keys in it that have no row. What has none at all changes the result, at any value: settings
# of a user's own code are among them.
TABLE: dict[str, Key] = {
    "dry_run": _WAY,
    "debug": _WAY,
    "resume": _WAY,
    "overwrite": _WAY,
    "skip_changed": _WAY,
    "experiment": _WAY,
    "study": _PLACE,
    "paths": _PLACE,
    "logger": _PLACE,
    "moved_from": _PLACE,
    "named_by": _WAY,
    # A longer run has the shorter one as its beginning.
    "al.rounds": _WAY,
    "al.budget": _WAY,
    "al.n_clusters": _NODE,
    "al.mc_samples": _NODE,
    "al.objective": _way(None),
    "al.pool_batch_size": _way(None),
    "al.initial": _result("random"),
    "al.val_size": _result(0),
    "al.pool_sample": _result(None),
    "al.candidates": Key(Effect.RESULT, absent=None, alike=("all", "random")),
    "al.n_neighbors": _result(100),
    "al.control": _result(None),
    "al.stop": _way([]),
    "al.price": _way(1.0),
    "al.scoring_precision": _result("fp32"),
    "train.profile": _way(False),
    "train.engine": _result("plain"),
    "train.min_steps": _result(0),
    "train.schedule": _result("constant"),
    "train.max_cycles": _result(1),
    "train.min_fit_acc": _result(None),
    "train.max_fit_loss": _result(None),
    "train.min_fit_recall": _result(None),
    "train.tf32": _result(False),
    "dataset.download": _PLACE,
    "dataset.cache": _PLACE,
    "dataset.own_folders": _PLACE,
    "dataset.augment.crop": _result(0),
    "dataset.augment.flip": _result(False),
    "dataset.imbalance": _result(None),
    "dataset.subset": _result(None),
    "dataset.repeat": _result(1),
    "dataset.parts": _result("auto"),
    "dataset.levels": _result(16),
    "dataset.max_pixels": _result(250_000_000),
    "dataset.exclude": _result([]),
    "dataset.follow_links": _result(False),
    "dataset.duplicates": _result("keep"),
    "dataset.labels": _result("folders"),
    "dataset.classes": _result(None),
    "dataset.ids": _result("path"),
    "embedding.engine": _way("plain"),
    "embedding.name": _result("none"),
    "embedding.weights": _result(None),
    "embedding.filters": _result(None),
    "embedding.image_size": _result(None),
    "strategy.noise": _result(None),
    "strategy.beta": _result(1.0),
    "model.dropout": _result(0.0),
    "model.live_taps": _result(False),
    "model.members": _result(1),
    "model.ensemble": _result("deep"),
    "model.sampling": _result(None),
    "model.stem": _result("auto"),
    "model.pretrained": _result(False),
    "model.weights": _result(None),
    "model.freeze": _result(0),
    "optimizer.fused": _result(None),
    "oracle.name": _result("simulated"),
    "oracle._target_": _result("al_lightning.oracle.Simulated"),
    "oracle.noise": _result(0.0),
    "oracle.store": Key(Effect.PLACE, absent=None),
    "oracle.exchange": _result(None),
    # The device is no part of what is asked for: a round says where it was computed.
    "trainer.name": _WAY,
    "trainer.accelerator": _WAY,
    "trainer.devices": _result(1),  # how many, which is what batches are divided by
    "trainer.precision": _result("32-true"),
    "trainer.deterministic": _result(False),
    "trainer.gradient_clip_val": _result(None),
    "trainer.gradient_clip_algorithm": _result(None),
    "trainer.benchmark": _result(None),
    "trainer.accumulate_grad_batches": _result(1),
    "trainer.detect_anomaly": _WAY,
    "trainer.log_every_n_steps": _WAY,
    "trainer.logger": _WAY,
    "trainer.enable_checkpointing": _WAY,
    "trainer.enable_progress_bar": _WAY,
    "trainer.enable_model_summary": _WAY,
    "trainer.num_sanity_val_steps": _WAY,
}

# Keys that there were, and their value at which a run is as it is without them.
GONE: dict[str, Any] = {"train.bn_recalibrate": False}


def of(key: str) -> Key:
    """The row of a key, by its full dotted name."""
    if key.endswith("._partial_"):  # whether a target is called at once follows from its group
        return _WAY
    while key and key not in TABLE:
        key = key.rpartition(".")[0]
    return TABLE.get(key, Key(Effect.RESULT))


def counts(key: str, value: Any) -> bool:
    """Whether a setting changes what a run computes from what it would be without the key."""
    row = of(key)
    if row.effect is not Effect.RESULT or row.absent is ALWAYS:
        return row.effect is Effect.RESULT
    return canonical(value) not in map(canonical, (row.absent, *row.alike))


def canonical(value: Any) -> str:
    """One spelling for equal settings: sorted keys, and 1 is 1.0."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{canonical(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value)


def leaves(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The values of nested sections by dotted key; a list is a value."""
    if not isinstance(node, dict):
        return [(prefix, node)]
    return [leaf for key, value in node.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))]
