"""The leaderboard's figure: how far the learning curves are above random's, a panel a cell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from leaderboard_runs import Run
from leaderboard_tables import BOUNDS, RANDOM, Cell
from matplotlib.lines import Line2D

from al_lightning.report.figures.style import COLORS, FILL, INK, grid, styled

COLUMNS = 2


def draw(runs: Sequence[Run], cells: Sequence[Cell], shown: Sequence[str], file: Path) -> None:
    """Draw the curves of some in color, and of all others in gray.

    Args:
        runs: of :func:`leaderboard_runs.load`.
        cells: a panel each; those without runs of random are left out.
        shown: at most six.
        file: PNG; is not written where there is nothing to draw.
    """
    drawn = [(cell, curves) for cell in cells if len(curves := _differences(runs, cell)) > 1]
    if not drawn:
        return
    with styled():
        margins = {"left": 0.75, "right": 0.2, "top": 0.75, "bottom": 0.55, "across": 0.7, "down": 0.65}
        figure, panels = grid(len(drawn), COLUMNS, panel=(0, 1.75), **margins)
        looks = dict(zip(shown, COLORS[1:], strict=False))
        for axes, (cell, curves) in zip(panels, drawn, strict=True):
            for name, values in curves.items():
                if name not in looks and name != RANDOM:
                    axes.plot(cell.n_labeled, values, color=FILL, linewidth=0.8, zorder=1)
            axes.axhline(0, color=INK, linewidth=1.4, zorder=2)
            for name, color in looks.items():
                if name in curves:
                    axes.plot(cell.n_labeled, curves[name], color=color, linewidth=1.8, zorder=3)
            lowest = min(float(values.min()) for values in curves.values())
            high = max(1.1 * max(float(values.max()) for values in curves.values()), 0.5)
            axes.set_ylim(max(1.1 * lowest, -1.5 * high), high)
            axes.set_xlim(cell.n_labeled[0], cell.n_labeled[-1])
            axes.set_title(f"{cell.setting}, queries of {cell.query_size}")
            axes.grid(axis="y")
        for axes in panels[::COLUMNS]:
            axes.set_ylabel("points above random")
        for axes in panels[-COLUMNS:]:
            axes.set_xlabel("labeled images")
        lines = [Line2D([], [], color=color, linewidth=1.8, label=name) for name, color in looks.items()]
        lines += [Line2D([], [], color=INK, linewidth=1.4, label="random")]
        lines += [Line2D([], [], color=FILL, linewidth=0.8, label="all others")]
        figure.legend(handles=lines, loc="upper center", ncols=len(lines), frameon=False)
        figure.savefig(file, dpi=110, facecolor="white", metadata={"Software": None})


def _differences(runs: Sequence[Run], cell: Cell) -> dict[str, npt.NDArray[np.floating]]:
    """Accuracy less random's of the same seed by round, in points, in mean over seeds, by strategy."""
    own = [run for run in runs if run.cell == (cell.setting, cell.query_size) and run.strategy not in BOUNDS]
    random = {run.seed: run.curve for run in own if run.strategy == RANDOM}
    pairs: dict[str, list[npt.NDArray[np.floating]]] = {}
    for run in own:
        if run.seed in random:
            pairs.setdefault(run.strategy, []).append(100 * np.subtract(run.curve, random[run.seed]))
    return {name: np.mean(each, axis=0) for name, each in pairs.items()}
