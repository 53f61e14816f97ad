"""Stopping rules as they are typed: `al.stop=[accuracy:0.95,stable:0.99:act]`."""

from dataclasses import dataclass

from al_lightning.errors import ConfigError

# What each of them needs: the least and the largest value, and what the value is, for messages.
RULES = {
    "labels": (1, 1e12, "labels paid for at most, 1 or more"),
    "money": (0, 1e12, "money spent at most, 0 or more, at al.price a label"),
    "accuracy": (0, 1, "an accuracy to be reached, from 0 to 1, on the labels of al.val_size"),
    "stable": (0, 1, "an agreement of successive models, from 0 to 1"),
    "gain": (0, 1e12, "0 or more: what a point (0.01) of accuracy is worth in money; on the labels of al.val_size"),
}


@dataclass(frozen=True)
class StopRule:
    """A stopping rule.

    Attributes:
        name: of :data:`RULES`.
        value: see there.
        acts: whether it ends the run; else it only says so.
        text: as it is typed.
    """

    name: str
    value: float
    acts: bool
    text: str


def parse(text: str) -> StopRule:
    """Read `NAME:VALUE` or `NAME:VALUE:act`.

    Raises:
        ConfigError: it is something else.
    """
    name, _, rest = str(text).partition(":")
    value, _, act = rest.partition(":")
    try:
        low, high, meaning = RULES[name]
        number = float(value)
    except (KeyError, ValueError):
        kinds = ", ".join(RULES)
        raise ConfigError(f"al.stop={text}: must be NAME:VALUE or NAME:VALUE:act; NAME is one of {kinds}") from None
    if not low <= number <= high or act not in ("", "act"):
        raise ConfigError(f"al.stop={text}: must be {name}:VALUE or {name}:VALUE:act; VALUE is {meaning}")
    return StopRule(name, number, act == "act", str(text))
