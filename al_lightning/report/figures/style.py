"""How figures look: colors, panels and their sizes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure

# Okabe and Ito's colors, which people with any kind of color vision can tell apart; yellow is too light for a line.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GRAY = "#666666"
INK, RULE, FILL = "#1a1a1a", "#e4e4e4", "#c4c4c4"  # text and axes, lines of grids, areas that stand behind
# Names of the colors that the page changes with the reader's scheme, light or dark; see page.css.
THEMED = {
    **{color.lower(): f"--line-{i}" for i, color in enumerate(COLORS)},
    INK: "--ink",
    RULE: "--rule",
    FILL: "--fill",
    GRAY: "--gray",
}
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
    "grid.color": RULE,
    # Nothing lies behind a figure: it stands on a light page and on a dark one.
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.labelcolor": INK,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "text.parse_math": False,  # a class may be called $x$
    "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
    "pdf.fonttype": 42,  # likewise; journals refuse fonts of type 3
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
        data: the numbers that are drawn, where they are a table.
        folded: what stands in place of the figure until the reader opens it; empty where it is open.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    data: pd.DataFrame | None = None
    folded: str = ""


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


def fading(*colors: str) -> ListedColormap:
    """Shades of a color from nothing to all of it, or of two with nothing between: for cells on a page of any color."""
    steps = np.linspace(0, 1, 128)
    shades = [np.column_stack((np.tile(to_rgb(color), (len(steps), 1)), steps)) for color in colors]
    return ListedColormap(shades[0] if len(shades) == 1 else np.concatenate((shades[0][::-1], shades[1])))


BLUES = fading("#1f66c1")
ORANGE_OR_PURPLE = fading("#7440b3", "#b35806")  # low, high


def text_on(shade: np.ndarray) -> str:
    """The color of text in a cell, white or that of all text, whichever stands out more on a light page.

    Args:
        shade: red, green, blue and opacity of the cell, from 0 to 1.
    """
    over_white = np.array(shade[:3]) * shade[3] + 1 - shade[3]
    linear = np.where(over_white <= 0.04045, over_white / 12.92, ((over_white + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))  # WCAG 2.2, "relative luminance"
    return "white" if luminance < 0.2 else INK  # there both have a contrast of 4.2


def draw_cells(axes: Axes, shades: np.ndarray, **settings: Any) -> None:
    """Draw a matrix of cells, with their numbers as coordinates.

    The files hold a few pixels a cell, not as many as the figure has dots: a study of many methods has many matrices.

    Args:
        axes: the panel.
        shades: float `[rows, columns, 4]`, red, green, blue and opacity of each cell, from 0 to 1.
        **settings: of `imshow`.
    """
    rows, columns, _ = shades.shape
    pixels = np.repeat(np.repeat((255 * shades).round().astype(np.uint8), 8, axis=0), 8, axis=1)
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    axes.imshow(pixels, interpolation="none", extent=extent, **settings)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def columns_of(panels: int, most: int) -> int:
    """How many panels stand in a row, so that the rows are filled alike."""
    return -(-panels // -(-panels // most))
