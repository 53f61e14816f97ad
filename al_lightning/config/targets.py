"""Names of targets: short ones that stay when a file moves, and where they lie today."""

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
# `al_lightning.strategy.margin` is the `margin` of a module of its room: a module, or a package of modules.
ROOMS = {
    "strategy": "al_lightning.acquisition",
    "model": "al_lightning.models.backbones",
    "optimizer": "al_lightning.models.convex",
    "dataset": "al_lightning.data",
    "embedding": "al_lightning.embedding",
    "oracle": "al_lightning.oracle",
    "logger": "al_lightning.tracking",
}
# Rooms by an earlier place: configurations that name it are still there.
BEFORE = {"al_lightning.backbones": "model"}


def public(target: str) -> str:
    """The short name of a target of this package, however it is spelled; another one as it is.

    Examples:
        >>> public("al_lightning.acquisition.scores.margin")
        'al_lightning.strategy.margin'
        >>> public("torch.optim.Adam")
        'torch.optim.Adam'
    """
    places = {place: group for group, place in ROOMS.items()} | BEFORE
    group = next((group for place, group in places.items() if target.startswith(f"{place}.")), None)
    return f"al_lightning.{group}.{target.rpartition('.')[2]}" if group else target


def located(target: str) -> str:
    """Where a target lies, as `module.name`, for a short name or one from an earlier place; another one as it is."""
    short = re.fullmatch(r"al_lightning\.(\w+)\.(\w+)", public(target))
    is_there = public(target) != target and _file(target.rpartition(".")[0])
    return target if is_there or not short or short[1] not in ROOMS else offered(short[1]).get(short[2], target)


def all_located(node: Any) -> Any:
    """A node, at any depth, with every target as :func:`located` has it."""
    if isinstance(node, list):
        return [all_located(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: all_located(value) for key, value in node.items()}
    return found | ({"_target_": located(found["_target_"])} if "_target_" in found else {})


class Room:
    """What a room offers, by attribute: for whoever calls a node's target without this program.

    Args:
        group: a key of `ROOMS`.
    """

    def __init__(self, group: str) -> None:
        self._group = group

    def __getattr__(self, name: str) -> Any:
        if name not in offered(self._group):
            raise AttributeError(f"al_lightning.{self._group} has no {name}")
        module, _, attribute = offered(self._group)[name].rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@cache
def offered(group: str) -> dict[str, str]:
    """Where everything lies that a room defines and does not hide, by name. Nothing is imported."""
    room = ROOMS[group]
    found: dict[str, str] = {}
    for file in [_file(room), *sorted((PACKAGE.parent / room.replace(".", "/")).glob("*.py"))]:
        if file:
            module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
            names = re.findall(r"^(?:def|class) ([A-Za-z]\w*)", file.read_text(encoding="utf-8"), re.MULTILINE)
            found |= {name: f"{module}.{name}" for name in names}
    return found


def _file(module: str) -> Path | None:
    """The file of a module of this package."""
    file = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py") if module.isascii() else PACKAGE
    return file if module.startswith("al_lightning.") and file.is_file() else None
