"""Learning curves as tables and as a picture: one part a data set, one curve a strategy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from al_lightning.report.statistics import Interval, areas, curve, paired

# Okabe and Ito's colors, which people with any kind of color vision can tell apart.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
REFERENCE = "random"


def series(rounds: pd.DataFrame) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """The curves of every data set: names of strategies, with what tells their variants apart, and their rounds.

    Random comes first, as the reference.
    """
    for dataset, rows in rounds.groupby("dataset"):
        named = {str(name): runs for name, runs in rows.groupby(rows["strategy"] + rows["variant"])}
        yield str(dataset), dict(sorted(named.items(), key=lambda item: (not item[0].startswith(REFERENCE), item[0])))


def print_tables(rounds: pd.DataFrame) -> None:
    """Print for every data set accuracy against labels, and the areas under the curves."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    for dataset, curves in series(rounds):
        points = {name: {p["n_labeled"]: p for p in curve(runs).to_dict("records")} for name, runs in curves.items()}
        table = Table("labels", title=f"{dataset}: test accuracy", title_justify="left", box=None, padding=(0, 2))
        for name, runs in curves.items():
            table.add_column(f"{name} ({runs['seed'].nunique()})", justify="right")
        for labels in sorted(set().union(*points.values())):
            cells = [_cell(points[name].get(labels)) for name in curves]
            table.add_row(str(labels), *cells)
        console.print(table)
        console.print(_areas_text(curves))


def _cell(point: dict[Any, Any] | None) -> str:
    return str(Interval(point["mean"], point["half_width"], point["n"])) if point else ""


def _areas_text(curves: dict[str, pd.DataFrame]) -> str:
    last = max(runs["n_labeled"].max() for runs in curves.values())
    by_seed = {}
    for name, runs in curves.items():
        whole = runs.loc[runs.groupby("folder")["n_labeled"].transform("max") == last]
        if len(whole):
            by_seed[name] = areas(whole)
    lines = [
        "In brackets: seeds. ±: 95% t interval of the mean over seeds.",
        f"AUBC: area under the curve over its range of labels, for runs that reached {last} labels.",
    ]
    reference = by_seed.get(REFERENCE)
    for name, values in by_seed.items():
        line = f"AUBC {name} ({len(values)}): {values.mean():.4f}"
        difference = paired(values, reference) if reference is not None and name != REFERENCE else None
        if difference is not None:
            line += f", by seed {difference} over {REFERENCE}"
        lines.append(line)
    return "\n".join(lines)


def draw(rounds: pd.DataFrame, file: Path) -> None:
    """Save the curves with their intervals: a panel a data set, names at the ends of the lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(series(rounds))
    figure = Figure(figsize=(7.2 * len(panels), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (dataset, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        ends = []
        for i, (name, runs) in enumerate(curves.items()):
            mean, color = curve(runs), COLORS[i % len(COLORS)]
            axes.plot(mean["n_labeled"], mean["mean"], color=color, marker="o", markersize=3.5, linewidth=1.8)
            low, high = mean["mean"] - mean["half_width"], mean["mean"] + mean["half_width"]
            axes.fill_between(mean["n_labeled"], low, high, color=color, alpha=0.15, linewidth=0)
            ends.append((mean["mean"].iloc[-1], mean["n_labeled"].iloc[-1], name, color))
        _label_ends(axes, ends)
        seeds = rounds.loc[rounds["dataset"] == dataset, "seed"].nunique()
        axes.set_title(f"{dataset}, {seeds} seed{'s: mean and 95% t interval' if seeds > 1 else ''}", loc="left")
        axes.set(xlabel="labeled images", ylabel="test accuracy")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(file, dpi=150)


def _label_ends(axes: Any, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each name at the right of its line's end, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    gap, below = 0.05 * (high - low), -float("inf")
    for accuracy, labels, name, color in sorted(ends):
        below = max(accuracy, below + gap)
        axes.annotate(f" {name}", (labels, below), color=color, va="center", fontweight="bold", annotation_clip=False)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.025 * (right - left) * max(len(end[2]) for end in ends))
