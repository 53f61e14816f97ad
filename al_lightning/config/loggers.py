"""The section `logger`: the loggers that it names."""

from collections.abc import Mapping
from typing import Any

from al_lightning.config.targets import public

WANDB = "al_lightning.logger.WandbMirror"


def nodes(logger: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes of single loggers, by name: of the section `logger` itself, and of its sections that have a target.

    `{name: wandb, _target_: ..., csv: {_target_: ...}}` is two, `wandb` and `csv`.
    """
    inner = {str(key): dict(node) for key, node in logger.items() if isinstance(node, Mapping) and "_target_" in node}
    own = {key: value for key, value in logger.items() if key not in inner}
    return ({str(own["name"]): own} if "_target_" in own else {}) | inner


def wandb_node(logger: Mapping[str, Any]) -> dict[str, Any] | None:
    """The node of W&B's mirror, if the section `logger` has it."""
    return next((node for node in nodes(logger).values() if public(node["_target_"]) == WANDB), None)
