"""A table as everything that shows it needs it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Bar:
    """A difference with its interval, on the scale that all bars of a table share.

    Attributes:
        low: where the interval begins, from 0 to 1; nan where there is none, likewise `high`.
        middle: the difference.
        high: where it ends.
        zero: no difference.
    """

    low: float
    middle: float
    high: float
    zero: float


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: what it says.
        shade: share from 0 to 1 of the background, where that is shaded.
        bar: drawn beside the text where there is one.
    """

    text: str
    shade: float | None = None
    bar: Bar | None = None


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: of its files, and a class of its HTML.
        title: the heading above it.
        columns: heads of the columns.
        rows: as people read them; none where only `data` is of use.
        data: the same with all digits, as programs read it.
        notes: sentences below it.
        left: how many columns, from the first, hold words; the others hold figures.
        folded: it stands behind the others: folded on the page, and not on the screen.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    data: pd.DataFrame
    notes: Sequence[str] = ()
    left: int = 1
    folded: bool = False
