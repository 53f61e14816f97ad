"""How figures look: colors, panels and their sizes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colors, which people with any kind of color vision can tell apart; yellow is too light for a line.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GRAY = "#666666"
WIDTH = 10.5  # inches of a figure as wide as the page: 9 points read well on a page of 1000 to 1300 pixels
TEXT, SMALL = 9.0, 8.0  # points
SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # else every drawing looks for a free place
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "text.parse_math": False,  # a class may be called $x$
    "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
}


@dataclass(frozen=True)
class Look:
    """How the line of a method is drawn."""

    color: str
    line: Any
    marker: str


@dataclass(frozen=True)
class Drawing:
    """A figure with what is said about it.

    Attributes:
        name: of its files, of letters and hyphens.
        title: the heading above it.
        caption: how to read it, in a sentence or two; plain text.
        alt: what it shows, for those who do not see it; plain text.
        figure: the figure.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """A look a method, in their order: the first is black; after seven the colors come again with other lines."""
    return {
        method: Look(COLORS[i % len(COLORS)], LINES[i // len(COLORS) % len(LINES)], MARKERS[i % len(MARKERS)])
        for i, method in enumerate(methods)
    }


@contextmanager
def styled() -> Iterator[None]:
    """Make figures within this: it sets matplotlib's settings and puts the user's back."""
    with rc_context(SETTINGS):
        yield


def grid(
    panels: int, columns: int, *, panel: tuple[float, float], width: float = WIDTH, **margins: float
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, row by row.

    Args:
        panels: how many, at least 1.
        columns: at most so many in a row.
        panel: inches of a panel's axes, width and height; the width is what the margins leave where it is 0.
        width: inches of the figure.
        **margins: inches: `left`, `right`, `top`, `bottom` of the figure, `across` and `down` between panels.

    Returns:
        The figure, as high as it takes, and the axes of the panels.
    """
    left, right, top, bottom = (margins.get(side, 0.5) for side in ("left", "right", "top", "bottom"))
    across, down = margins.get("across", 0.5), margins.get("down", 0.7)
    rows = -(-panels // columns)
    w, h = panel
    w = w or (width - left - right - across * (columns - 1)) / columns
    height = top + bottom + rows * h + (rows - 1) * down
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    all_axes = []
    for i in range(panels):
        row, column = divmod(i, columns)
        x, y = left + column * (w + across), height - top - h - row * (h + down)
        all_axes.append(figure.add_axes((x / width, y / height, w / width, h / height)))
    return figure, all_axes


def columns_of(panels: int, most: int) -> int:
    """How many panels stand in a row, so that the rows are filled alike."""
    return -(-panels // -(-panels // most))
