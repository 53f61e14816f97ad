"""Names in figures: at the ends of lines, on axes, and how much room they take."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from al_lightning.report.figures.style import TEXT, Look


@dataclass(frozen=True)
class End:
    """Where the line of a name ends, in data coordinates; x is infinite for a line across the whole panel."""

    x: float
    y: float
    name: str
    look: Look


@cache
def text_width(text: str, size: float = TEXT, weight: Literal["normal", "bold"] = "normal") -> float:
    """Inches that a line of text takes; within `styled`."""
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=size, prop=FontProperties(weight=weight)).get_extents().x1) / 72


def wrapped(name: str, width: int = 26) -> str:
    """A name on as many lines as it takes."""
    return "\n".join(textwrap.wrap(name, width, break_on_hyphens=False)) or name


def shortened(name: str, width: int = 16) -> str:
    """A name for the axis of a matrix, cut in the middle."""
    return name if len(name) <= width else f"{name[: width - 6]}…{name[-5:]}"


def in_full(names: Sequence[str]) -> str:
    """A sentence on the names that :func:`shortened` cuts; empty where it cuts none."""
    cut = [name for name in names if shortened(name) != name]
    return f" In full: {'; '.join(cut)}." if cut else ""


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
    height_of_panel = box.height * height
    wanted = [(end.y - up[0]) / (up[1] - up[0]) * height_of_panel for end in ends]
    heights = [(wrapped(end.name).count("\n") + 1) * size * 1.22 / 72 for end in ends]
    placed = spread(wanted, heights, -0.05, height_of_panel + 0.05)
    leader = 0.3 / (box.width * width)
    for end, own, at in zip(ends, wanted, placed, strict=True):
        start = min(max((end.x - across[0]) / (across[1] - across[0]), 0.0), 1.0)
        style: dict[str, Any] = {"transform": axes.transAxes, "color": end.look.color, "scalex": False, "scaley": False}
        begin, edge = (start, own) if start > 0.97 else (1.0, at)
        if begin > start:  # from a line that ends early: dotted, lest it look like data
            axes.plot([start, 1], [own / height_of_panel, edge / height_of_panel], ":", linewidth=0.8, **style)
        axes.plot(
            [begin, 1 + 0.15 * leader, 1 + 0.5 * leader, 1 + 0.75 * leader],
            [y / height_of_panel for y in (edge, edge, at, at)],
            linestyle=end.look.line,
            linewidth=1.2,
            marker=end.look.marker,
            markersize=3,
            markevery=[3],
            clip_on=False,
            **style,
        )
        axes.text(
            1 + leader,
            at / height_of_panel,
            wrapped(end.name),
            transform=axes.transAxes,
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


def _inches(axes: Axes) -> tuple[float, float]:
    width, height = axes.get_figure(root=True).get_size_inches()  # pyright: ignore[reportOptionalMemberAccess]
    return float(width), float(height)
