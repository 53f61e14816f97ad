"""Who answers a query: the data set's own labels (`simulated`), or whoever a user's own oracle asks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

SKIP, UNSURE = "skip", "unsure"  # answers that are no label


@dataclass(frozen=True)
class Question:
    """The images of a query that have no answer yet.

    Attributes:
        round: that asked; -1 for the initial set.
        indices: positions in the data set, in the order of the query.
        ids: of the images.
        classes: names, in the order of the class indices.
        folder: of the run that asks.
        before: images that the run has asked for earlier, too: an answer that has changed is taken.
    """

    round: int
    indices: Sequence[int]
    ids: Sequence[str]
    classes: Sequence[str]
    folder: Path = Path()
    before: Collection[int] = ()


@dataclass(frozen=True)
class Answer:
    """What was said of an image.

    Attributes:
        index: position in the data set.
        answer: a class index, `skip` or `unsure`.
        by: who said it.
        at: when, in ISO 8601; empty: now.
        source: the answer's id where the oracle keeps it.
    """

    index: int
    answer: int | str
    by: str
    at: str = ""
    source: str = ""


class Oracle(Protocol):
    """Answers queries, at once or in time: a run that lacks answers ends, and asks again when it goes on.

    Made with `data`, the :class:`~al_lightning.data.images.ImageData`, and `seed`, that of the run, besides its own
    settings.
    """

    def ask(self, question: Question) -> Sequence[Answer]:
        """The answers so far, at most one an image, in any order. What was answered is not asked again."""
        ...


def __getattr__(name: str) -> Any:
    if name == "Simulated":  # the short name of a target
        from al_lightning.oracle.simulated import Simulated

        return Simulated
    if name == "People":
        from al_lightning.oracle.people import People

        return People
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
