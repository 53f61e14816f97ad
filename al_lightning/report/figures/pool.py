"""A map of the pool with the queries of each method."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator

from al_lightning.report.details import Details
from al_lightning.report.figures.labels import wrapped
from al_lightning.report.figures.style import FILL, SMALL, WIDTH, Drawing, columns_of, grid

# Without the ends that are as light or as dark as a page.
_ROUNDS = ListedColormap(colormaps["viridis_r"](np.linspace(0.15, 0.75, 256)))
SHOWN = 3000  # images of the pool: more are one gray cloud


def pool_map(details: Details, methods: Sequence[str]) -> Drawing | None:
    """Queries of one run a method in the plane of the pool's first two principal components, colored by round.

    None where no run has the positions, or none has queried.
    """
    pool, queries = details.pool, details.queries
    found = details.with_queries(methods)
    if pool is None or not found:
        return None
    n = len(pool.label)
    columns, across = columns_of(len(found), 4), 0.2
    size = (WIDTH - 0.2 - across * 3) / 4
    lines = max(wrapped(method, 28).count("\n") for method in found)
    bar = 0.75
    figure, panels = grid(
        len(found),
        columns,
        panel=(size, size),
        width=0.2 + columns * (size + across) - across,
        left=0.1,
        right=0.1,
        top=0.35 + 0.16 * lines,
        bottom=bar,
        across=across,
        down=0.4 + 0.16 * lines,
    )
    there = np.flatnonzero(pool.mask)
    spread = np.linspace(0, len(there) - 1, min(SHOWN, len(there))).astype(int)
    some = np.random.default_rng(0).permutation(there)[spread]  # a data set may be sorted by class
    # A few far images would shrink the map.
    low, high = np.percentile(pool.position[there], (0.2, 99.8), axis=0)
    margin = 0.05 * (high - low) + 1e-9
    place = (pool.position - low + margin) / (high - low + 2 * margin)  # from 0 to 1 in a panel
    last = int(queries["round"].to_numpy().max())
    gray, colored = [], []
    for axes, method in zip(panels, found, strict=True):
        run = details.queries_of(method)
        run = run.loc[run["index"].between(0, n - 1)].sort_values(by="round")
        gray.append(_in_figure(axes, place[some]))
        points = _in_figure(axes, place[run["index"]])
        colored.append(np.column_stack((points, run["round"], np.full(len(run), 9 if len(run) <= 1000 else 4))))
        axes.set(xticks=(), yticks=())
        axes.spines[["top", "right"]].set_visible(True)
        for spine in axes.spines.values():
            spine.set_color(FILL)
        axes.set_title(wrapped(method, 28), fontweight="bold")
    width, height = figure.get_size_inches()
    # One axes for the points of all panels: each set that is drawn as pixels costs a canvas of the whole figure.
    whole = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1), zorder=-1)
    whole.set_axis_off()
    pixels: dict[str, Any] = {"linewidth": 0, "rasterized": True}
    whole.scatter(*_within(np.concatenate(gray)).T, s=3, color="#808080", alpha=0.3, **pixels)
    x, y, asking, size = _within(np.concatenate(colored)).T
    points = whole.scatter(x, y, c=asking, s=size, cmap=_ROUNDS, vmin=0, vmax=max(last, 1), **pixels)
    bar_place = figure.add_axes((0.1 / width, 0.45 / height, min(2.6, width - 0.2) / width, 0.11 / height))
    colorbar = figure.colorbar(points, cax=bar_place, orientation="horizontal")
    colorbar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    colorbar.set_label("round of the query", fontsize=SMALL)
    colorbar.locator = MaxNLocator(5, integer=True)
    colorbar.update_ticks()
    share = 100 * pool.explained
    seeds = ", ".join(sorted({str(details.shown[method]) for method in found}))
    caption = (
        f"First two principal components of the pixels, {share[0]:.0f}% and {share[1]:.0f}% of the variance. Gray: "
        f"{len(some):,} of {len(there):,} images of the pool; colored: queried. Seed {seeds}."
    )
    alt = f"Map of the pool with the images that {', '.join(found)} queried, colored by round."
    return Drawing("pool-map", "Where in the pool", caption, alt, figure)


def _in_figure(axes: Axes, points: np.ndarray) -> np.ndarray:
    """Points in a panel, `[n, 2]` from 0 to 1, in the figure; nan where they leave the panel."""
    box = axes.get_position()
    inside = ((points >= 0) & (points <= 1)).all(axis=1, keepdims=True)
    return np.where(inside, (box.x0, box.y0) + points * (box.width, box.height), np.nan)


def _within(points: np.ndarray) -> np.ndarray:
    return points[np.isfinite(points[:, 0])]
