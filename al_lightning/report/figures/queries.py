"""What was details: class balance, overlap of methods, scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from al_lightning.report.details import Details, class_balance, overlap
from al_lightning.report.figures.labels import shortened, text_width, wrapped
from al_lightning.report.figures.lines import ROUND
from al_lightning.report.figures.predictions import NAMED_CLASSES
from al_lightning.report.figures.style import (
    BLUES,
    FILL,
    INK,
    ORANGE_OR_PURPLE,
    SMALL,
    TEXT,
    WIDTH,
    Drawing,
    draw_cells,
    grid,
    looks,
    text_on,
)

NUMBERED_METHODS = 20  # more numbers are more than anybody reads


def balance(details: Details, methods: Sequence[str]) -> Drawing | None:
    """Classes of the queried images against those of the pool, a row a method; None where no label is known."""
    shares = class_balance(details, methods)
    if shares is None or set(shares.index) == {"pool"}:
        return None
    n_classes = shares.shape[1]
    named = n_classes <= NAMED_CLASSES
    even = shares.loc["pool"].to_numpy() if "pool" in shares.index else np.full(n_classes, 1 / n_classes)
    against = "the pool" if "pool" in shares.index else "equal shares"
    if not named:  # the row of the pool would say nothing without its figures
        shares = shares.drop(index="pool", errors="ignore")
    names = [wrapped(str(name)) for name in shares.index]
    left = 0.2 + max(text_width(line, TEXT) for name in names for line in name.split("\n"))
    below = 0.15 + max((text_width(shortened(name), SMALL) for name in details.classes), default=0) if named else 0.4
    row = max(0.28, 0.17 * max(name.count("\n") + 1 for name in names))
    figure, (axes,) = grid(
        1, 1, panel=(0, row * len(names)), width=WIDTH, left=left, right=0.1, top=0.1, bottom=below + 0.15
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(shares.to_numpy() / even).clip(-2, 2)
    ratio = np.nan_to_num(ratio, nan=0)
    cells = ORANGE_OR_PURPLE((ratio + 2) / 4)
    draw_cells(axes, cells, aspect="auto")
    axes.set_yticks(range(len(names)), names, fontsize=TEXT)
    if "pool" in shares.index:
        axes.axhline(0.5, color=INK, linewidth=1)
    if named:
        turn = 90 * any(len(name) > 5 for name in details.classes)
        axes.set_xticks(range(n_classes), [shortened(name) for name in details.classes], rotation=turn)
        for (i, j), share in np.ndenumerate(shares.to_numpy()):
            text = f"{100 * share:.1f}"
            axes.text(j, i, text, ha="center", va="center", color=text_on(cells[i, j]), fontsize=SMALL)
    else:
        axes.set_xlabel(f"{n_classes} classes, in the order of the data set")
    caption = (
        f"Percent of the queried images, mean over seeds. Orange: queried more often than in {against}; purple: less."
    )
    if not named:
        caption = caption.replace("Percent", "Share")
    alt = f"Share of each class among the images that {', '.join(n for n in shares.index if n != 'pool')} queried."
    data = shares.set_axis(list(details.classes), axis=1).rename_axis("method").reset_index()
    return Drawing("class-balance", "Classes of the queried images", caption, alt, figure, data)


def jaccard(details: Details, methods: Sequence[str]) -> Drawing | None:
    """Overlap of the images that two methods queried, as a matrix; None for fewer than two methods."""
    found = overlap(details, methods)
    if found is None or np.isnan(found[0].to_numpy()).all():
        return None
    seen, chance = found
    names = [wrapped(str(name), 20) for name in seen.index]
    side = 0.2 + max(text_width(line, SMALL) for name in names for line in name.split("\n"))
    numbered = len(names) <= NUMBERED_METHODS
    cell = 0.56 if numbered else 0.2
    figure, (axes,) = grid(
        1,
        1,
        panel=(cell * len(names), cell * len(names)),
        width=side + cell * len(names) + 0.1,
        left=side,
        right=0.1,
        top=0.1,
        bottom=side,
    )
    values = seen.to_numpy()
    cells = BLUES(np.nan_to_num(values))
    draw_cells(axes, cells)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    for (i, j), value in np.ndenumerate(values):
        if numbered and np.isfinite(value):
            color = text_on(cells[i, j])
            axes.text(j, i - 0.12, f"{value:.2f}", ha="center", va="center", color=color, fontsize=TEXT)
            if np.isfinite(chance.iloc[i, j]):
                by_chance = f"({chance.iloc[i, j]:.2f})"
                axes.text(j, i + 0.25, by_chance, ha="center", va="center", color=color, fontsize=7)
    caption = (
        "Jaccard index: images that both methods queried, among those that either did, up to the last round that "
        "both have, by seed, then the mean over seeds. "
    )
    caption += (
        "In brackets: two random choices of as many images." if numbered else "Darker is more; numbers in the CSV."
    )
    alt = f"Jaccard index of the images that {', '.join(map(str, seen.index))} queried, pair by pair."
    data = seen.rename_axis("method").reset_index()
    return Drawing("overlap", "Overlap of the queries", caption, alt, figure, data)


def scores(details: Details, methods: Sequence[str]) -> Drawing | None:
    """Histograms of the scores of the pool and of the query: a row a method, columns for first, middle and last."""
    found = {method: details.scores[method] for method in methods if details.scores.get(method)}
    if not found:
        return None
    looked = looks(methods)
    names = {method: wrapped(method, 20) for method in found}
    left = 0.3 + max(text_width(line, TEXT, "bold") for name in names.values() for line in name.split("\n"))
    figure, panels = grid(
        3 * len(found), 3, panel=(0, 0.9), left=left, right=0.15, top=0.3, bottom=0.35, across=0.3, down=0.5
    )
    for i, (method, tables) in enumerate(found.items()):
        for axes in panels[3 * i + len(tables) : 3 * i + 3]:
            axes.remove()
        panels[3 * i].text(
            -0.18 / panels[3 * i].get_position().width / WIDTH,
            0.5,
            names[method],
            transform=panels[3 * i].transAxes,
            ha="right",
            va="center",
            fontweight="bold",
        )
        for axes, (number, table) in zip(panels[3 * i :], tables, strict=False):
            edges = [*table["low"], table["high"].iloc[-1]]
            axes.stairs(table["pool"] / table["pool"].max(), edges, fill=True, color=FILL)
            axes.stairs(
                table["queried"] / max(table["queried"].max(), 1), edges, color=looked[method].color, linewidth=1.4
            )
            counts = f"{table['queried'].sum():,.0f} of {table['pool'].sum():,.0f}"
            axes.set_title(f"round {number}: {counts}", fontsize=SMALL)
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.set_ylim(0, None)
            axes.margins(x=0.01)
    seeds = ", ".join(sorted({str(details.shown[method]) for method in found}))
    caption = (
        f"Scores of the pool (gray) and of the query (line), each scaled to its own highest bar; the images of "
        f"highest score are queried. Seed {seeds}; the first, the middle and the last query."
    )
    alt = f"Histograms of the scores of {', '.join(found)}, pool against query, in three rounds."
    bins = [table.assign(method=name, round=number) for name, tables in found.items() for number, table in tables]
    return Drawing("scores", "Scores of pool and query", caption, alt, figure, pd.concat(bins))
