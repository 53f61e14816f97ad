"""What the learner hands over, as the server uses it: looked up by image, and in lines from which images are taken."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from al_lightning.label.free import Line, line, places

ARRAYS = ("item", "first", "second", "probability", "margin", "n_labeled", "event")  # of a file


@dataclass(frozen=True)
class Predictions:
    """What the model of a query makes of every image that it knows.

    Attributes:
        query: whose model it is.
        n_labeled: labels that it was fitted to.
        event: the last one that it knows of.
        row: `int64`, by image, its place in the arrays below; -1 where the model does not know it.
        first: `int16 [n]`, the most probable class.
        second: `int16 [n]`, the next.
        probability: `float32 [n]`, of the first.
        margin: `float32 [n]`, between the two.
        unsure: images without an answer, the smallest margin first.
        grid: by predicted class, the surest first, of the same.
    """

    query: int
    n_labeled: int
    event: int
    row: np.ndarray
    first: np.ndarray
    second: np.ndarray
    probability: np.ndarray
    margin: np.ndarray
    unsure: Line
    grid: dict[int, Line]

    def of(self, item: int) -> tuple[int, float, int, float] | None:
        """Most probable class, its probability, the next class, and the margin; None for an image not known."""
        if item >= len(self.row) or (at := self.row[item]) < 0:
            return None
        return int(self.first[at]), float(self.probability[at]), int(self.second[at]), float(self.margin[at])

    def first_of(self, items: np.ndarray) -> np.ndarray:
        """The predicted class of each image; 0 for those not known."""
        at = np.where(items < len(self.row), self.row[np.minimum(items, len(self.row) - 1)], -1)
        return np.where(at < 0, 0, self.first[at])


def newest(folder: Path) -> int:
    """The last query that has a file of predictions; 0 where none has."""
    numbers = (each.stem.partition("-")[2] for each in folder.glob("predictions-*.npz"))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def read(folder: Path, query: int, is_open: np.ndarray) -> Predictions | None:
    """Read the predictions of a query.

    Args:
        folder: `live/` of the project.
        query: its id.
        is_open: `bool`, by image, whether it has no answer.

    Returns:
        None where the file cannot be read, as one that is gone: the next refit writes another.
    """
    try:
        with np.load(folder / f"predictions-{query}.npz", allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    items = arrays["item"]
    size = max(len(is_open), int(items.max(initial=0)) + 1)
    row = places(items, size)
    at = row[np.flatnonzero(is_open)]
    at = at[at >= 0]
    unsure = items[at[np.argsort(arrays["margin"][at], kind="stable")]]
    at = at[np.lexsort((-arrays["probability"][at], arrays["first"][at]))]
    by_class, classes, place = items[at], arrays["first"][at], places(items[at], size)
    present, starts = np.unique(classes, return_index=True)
    ends = [*starts[1:].tolist(), len(at)][: len(present)]  # there may be no image left
    return Predictions(
        query=query,
        n_labeled=int(arrays["n_labeled"]),
        event=int(arrays["event"]),
        row=row,
        first=arrays["first"],
        second=arrays["second"],
        probability=arrays["probability"],
        margin=arrays["margin"],
        unsure=line(unsure, size),
        grid={
            int(label): Line(by_class, place, int(start), end)
            for label, start, end in zip(present, starts, ends, strict=True)
        },
    )
