"""The comparison printed on the terminal, at most 120 columns wide."""

from collections.abc import Iterable, Sequence
from math import isnan

import pandas as pd
from rich.console import Console
from rich.table import Table

from al_lightning.report.compare import RULES, Comparison
from al_lightning.report.statistics import curve

WIDTH = 120
MOST_PAIRS = 28  # of 8 methods; of more, only those with the reference are printed


def print_verdict(comparisons: Sequence[Comparison], notes: Iterable[str] = ()) -> None:
    """Print what was compared, its tables, a sentence a method, and the rules.

    Args:
        comparisons: see :func:`al_lightning.report.compare.compare`.
        notes: on reading the runs: `attrs["notes"]` of what :func:`al_lightning.report.load` gives.
    """
    # Names of methods and folders may hold brackets and colons: nothing is markup.
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    for note in notes:
        console.print(f"note: {note}")
    for comparison in comparisons:
        _print(comparison, console)
    console.print("\nRules", style="bold")
    for number, rule in enumerate(RULES, 1):
        console.print(f"{number}. {rule}")


def _print(comparison: Comparison, console: Console) -> None:
    console.print(f"\n{comparison.setting}", style="bold")
    for note in comparison.notes:
        console.print(f"note: {note}")
    tables: list[Table] = []
    if comparison.methods:
        tables.append(_aubc(comparison))
        if comparison.targets:
            tables.append(_by_target(comparison.labels_to, "labels to test accuracy"))
    if len(comparison.saved):
        title = f"labels saved against {comparison.reference} (share of its labels)"
        if comparison.cost_per_label is not None:
            title += f": money, at {comparison.cost_per_label:g} a label"
        tables.append(_by_target(comparison.saved, title))
    if len(comparison.pairs):
        tables.append(_pairs(comparison))
    if len(comparison.one_shot):
        tables.append(_one_shot(comparison.one_shot))
    for table in tables:
        title, table.title = table.title, None  # Rich would wrap it at the width of the table
        console.print(f"\n{title}", style="italic")
        console.print(table)
    console.print()
    for sentence in comparison.verdicts["sentence"]:
        console.print(sentence)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, box=None, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", overflow="fold")
    return table


def _aubc(comparison: Comparison) -> Table:
    table = _table("area under the budget curve (AUBC)", "method", "seeds", "whole", "early")
    for row in comparison.aubc.to_dict("records"):
        whole, early = (_plus_minus(row[name], row[f"{name}_half_width"]) for name in ("whole", "early"))
        table.add_row(row["method"], str(row["seeds"]), whole, early)
    return table


def _by_target(rows: pd.DataFrame, title: str) -> Table:
    """A row a method, a column a target."""
    cells: dict[str, dict[float, str]] = {}
    for row in rows.to_dict("records"):
        cost = row.get("cost", float("nan"))
        text = row["text"] if isnan(cost) else f"{row['text']}: {cost:,.2f}"
        cells.setdefault(row["method"], {})[row["target"]] = text
    targets = list(dict.fromkeys(rows["target"]))
    table = _table(title, "method", *(f"{100 * target:g}%" for target in targets))
    for method, texts in cells.items():
        table.add_row(method, *(texts[target] for target in targets))
    return table


def _pairs(comparison: Comparison) -> Table:
    rows = comparison.pairs
    title = "pairs: difference in AUBC, first less second"
    if len(rows) > MOST_PAIRS and comparison.reference:
        title += f"; those with {comparison.reference}, of {len(rows):,} in tables/pairs.csv"
        rows = rows.loc[rows["b"] == comparison.reference]
    columns = ("seeds", "difference", "95% interval", "p", "p (Holm)", "would be found", "more seeds")
    table = _table(title, "first", "second", *columns, left=2)
    for row in rows.to_dict("records"):
        several = row["seeds"] > 1
        table.add_row(
            row["a"],
            row["b"],
            str(row["seeds"]),
            f"{row['difference']:+.4f}" if row["seeds"] else "",
            f"{row['low']:.4f} to {row['high']:.4f}" if several else "",
            _p(row["p"]) if several else "",
            _p(row["p_holm"]) if several else "",
            f"{row['detectable']:.2g}" if several else "",
            (f"{row['more_seeds']:,}" if row["more_seeds"] is not None else "> 1,000") if several else "",
        )
    return table


def _one_shot(rows: pd.DataFrame) -> Table:
    table = _table("trained once on random labels", "labels", "seeds", "test accuracy", left=0)
    for row in curve(rows).to_dict("records"):
        table.add_row(f"{row['n_labeled']:.0f}", f"{row['n']:.0f}", _plus_minus(row["mean"], row["half_width"]))
    return table


def _plus_minus(mean: float, half_width: float) -> str:
    if isnan(mean):
        return ""
    return f"{mean:.4f}" if isnan(half_width) else f"{mean:.4f} ± {half_width:.4f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3g}"
