"""How figures look: colors, names at the ends of lines, and saving."""

import re
import textwrap
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html import escape
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

# Okabe and Ito's colors, which people with any kind of color vision can tell apart; yellow is too light for a line.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GRAY = "#666666"
WIDTH = 10.5  # inches of a figure as wide as the page: 9 points read well on a page of 1000 to 1300 pixels
TEXT, SMALL = 9.0, 8.0  # points
SETTINGS: Mapping[str, Any] = {
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
class End:
    """Where the line of a name ends, in data coordinates; x is infinite for a line across the whole panel."""

    x: float
    y: float
    name: str
    look: Look


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
    with rc_context(dict(SETTINGS)):
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


@cache
def text_width(text: str, size: float = TEXT, weight: Literal["normal", "bold"] = "normal") -> float:
    """Inches that a line of text takes; within `styled`."""
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=size, prop=FontProperties(weight=weight)).get_extents().x1) / 72


def wrapped(name: str, width: int = 26) -> str:
    """A name on as many lines as it takes."""
    return "\n".join(textwrap.wrap(name, width, break_on_hyphens=False)) or name


def shortened(name: str, width: int = 14) -> str:
    """A name for the axis of a matrix, cut in the middle."""
    return name if len(name) <= width else f"{name[: width - 6]}…{name[-5:]}"


def labels_width(names: Sequence[str], size: float = TEXT) -> float:
    """Inches that names at the ends of lines take, their leaders included."""
    lines = [line for name in names for line in wrapped(name).split("\n")]
    return 0.42 + max((text_width(line, size, "bold") for line in lines), default=0)


def end_labels(axes: Axes, ends: Sequence[End], size: float = TEXT) -> None:
    """Write names right of the axes, each as close to the end of its line as the others let it, with a leader to it.

    Call it last: the limits of the axes must stand. The figure must leave `labels_width` at the right.

    Args:
        axes: of the lines.
        ends: of the lines.
        size: points.
    """
    box, (width, height) = axes.get_position(), _inches(axes)
    across, up = axes.get_xlim(), axes.get_ylim()
    wanted = [(end.y - up[0]) / (up[1] - up[0]) * box.height * height for end in ends]
    heights = [(wrapped(end.name).count("\n") + 1) * size * 1.22 / 72 for end in ends]
    placed = spread(wanted, heights, -0.05, box.height * height + 0.05)
    leader = 0.3 / (box.width * width)
    for end, own, at in zip(ends, wanted, placed, strict=True):
        start = min(max((end.x - across[0]) / (across[1] - across[0]), 0.0), 1.0)
        axes.plot(
            [start, 1 + 0.2 * leader, 1 + 0.6 * leader, 1 + 0.85 * leader],
            [y / (box.height * height) for y in (own, own if start > 0.97 else at, at, at)],
            transform=axes.transAxes,
            color=end.look.color,
            linewidth=0.7,
            marker=end.look.marker,
            markersize=3,
            markevery=[3],
            clip_on=False,
            scalex=False,
            scaley=False,
        )
        axes.text(
            1 + leader,
            at / (box.height * height),
            wrapped(end.name),
            transform=axes.transAxes,
            color=end.look.color,
            fontsize=size,
            fontweight="bold",
            va="center",
            linespacing=1.1,
        )


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Where labels go so that none overlaps: as close as can be to where they are wanted, in the same order.

    Labels that touch form a block, which lies where the mean of its members wants it (least squares).

    Args:
        wanted: centers.
        heights: of the labels, in the same unit.
        low: where the lowest may begin.
        high: where the highest may end; the labels go beyond it where they do not fit.

    Returns:
        Centers.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    blocks: list[list[Any]] = []  # [members, height of all of them, sum of where each wants the block to begin]
    for i in order:
        blocks.append([[i], heights[i], wanted[i] - heights[i] / 2])
        while len(blocks) > 1 and _begin(blocks[-2], low, high) + blocks[-2][1] > _begin(blocks[-1], low, high):
            members, height, total = blocks.pop()
            into = blocks[-1]
            blocks[-1] = [into[0] + members, into[1] + height, into[2] + total - len(members) * into[1]]
    centers = [0.0] * len(wanted)
    for block in blocks:
        at = _begin(block, low, high)
        for i in block[0]:
            centers[i] = at + heights[i] / 2
            at += heights[i]
    return centers


def _begin(block: list[Any], low: float, high: float) -> float:
    members, height, total = block
    return max(low, min(total / len(members), high - height))


def save(drawing: Drawing, folder: Path, prefix: str) -> str:
    """Save a figure as `<prefix>-<name>.svg` and `.png`.

    Returns:
        The SVG as an element of an HTML page: it holds no address, and no identifier that another figure has.
    """
    stem = f"{prefix}-{drawing.name}"
    text = StringIO()
    with rc_context({**SETTINGS, "svg.hashsalt": stem}):
        drawing.figure.savefig(text, format="svg", dpi=150, metadata={"Date": None, "Title": drawing.alt})
        png = BytesIO()
        drawing.figure.savefig(
            png, format="png", dpi=150, metadata={"Title": _latin(drawing.alt)}, pil_kwargs={"compress_level": 3}
        )
    write(folder / f"{stem}.svg", text.getvalue().encode())
    write(folder / f"{stem}.png", png.getvalue())
    return inline(text.getvalue(), drawing.alt, float(drawing.figure.get_size_inches()[0]) / WIDTH)


def write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all: a browser may be reading the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    part.replace(file)


def inline(svg: str, alt: str, share: float) -> str:
    """What an HTML page holds of an SVG file of matplotlib's.

    Args:
        svg: the file.
        alt: what it shows.
        share: of the page's width, from 0 to 1.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<title>.*?</title>|<!--.*?-->", "", body, flags=re.DOTALL)
    # Groups are numbered anew in every figure, and nothing refers to them; what is referred to has a hash.
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    body = re.sub(r"\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', body)
    head = (
        f'<svg role="img" aria-label="{escape(alt)}" {box[0] if box else ""} style="width:{100 * share:.4g}%" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">'
    )
    return re.sub(r"\n\s*", "\n", head + body[body.index(">") + 1 :])


def _inches(axes: Axes) -> tuple[float, float]:
    width, height = axes.get_figure(root=True).get_size_inches()  # pyright: ignore[reportOptionalMemberAccess]
    return float(width), float(height)


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def slug(text: str, taken: set[str]) -> str:
    """A file name's worth of a text, not in `taken`, and put there."""
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "setting"
    name = next(name for n in count(1) if (name := base if n == 1 else f"{base}-{n}") not in taken)
    taken.add(name)
    return name


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")  # all that a PNG's text may hold
