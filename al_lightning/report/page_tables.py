"""The tables of the page, as text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report.compare import Comparison


@dataclass(frozen=True)
class Cell:
    """Text of a cell, with a share from 0 to 1 where its background is shaded."""

    text: str
    shade: float | None = None

    @property
    def is_dark(self) -> bool:
        """Whether the background asks for white text."""
        return self.shade is not None and self.shade > 0.6


@dataclass(frozen=True)
class Table:
    """A table of the page: its first `names` columns are names, the others figures."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    names: int = 1
    kind: str = ""


def tables(comparison: Comparison) -> list[Table]:
    """What the statistics say of a comparison; without methods nothing."""
    if not comparison.methods:
        return []
    made = [_areas(comparison), _labels_to(comparison)]
    if comparison.reference and len(comparison.saved):
        made.append(_saved(comparison))
    if len(comparison.pairs):
        made += [_pairs(comparison), _penalty(comparison)]
    return made


def runs_table(comparison: Comparison, summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """What ran: a row a run, one-shot runs last."""
    rows = []
    together = pd.concat([comparison.rounds, comparison.one_shot], ignore_index=True)
    phases = [column for column in together if str(column).startswith("seconds/")]
    for folder, run in together.groupby("folder", sort=False):
        last, summary = run.iloc[-1], summaries.get(str(folder), {})
        planned = summary.get("rounds_planned")
        seconds = run[phases].to_numpy(float)
        rows.append(
            [
                last["method"] + (" (one-shot)" if last["one_shot"] else ""),
                str(last["seed"]),
                last["state"],
                f"{len(run)} of {planned}" if isinstance(planned, int) else str(len(run)),
                f"{last['n_labeled']:,}",
                f"{np.nansum(seconds):,.0f}" if seconds.size else "",
                str(summary.get("threads", "")),
                str(summary.get("device", "")),
                _versions(summary),
                Path(str(folder)).name,
            ]
        )
    header = ("method", "seed", "state", "rounds", "labels", "seconds", "threads", "device", "versions", "run folder")
    versions = {row[-2] for row in rows}
    if len(versions) > 1:
        return Table("What ran", header, _cells(rows), kind="ran")
    rows, header = [[*row[:-2], row[-1]] for row in rows], (*header[:-2], header[-1])
    caption = f"Versions: {', '.join(versions)}." if any(versions) else ""
    return Table("What ran", header, _cells(rows), caption, kind="ran")


def number(value: float, form: str) -> str:
    """A number as text, empty where it is not known."""
    return "" if value is None or np.isnan(value) else format(value, form)


def plus_minus(mean: float, half_width: float, form: str = ".4f") -> str:
    """A mean with the half width of its interval, where it has one."""
    return number(mean, form) + ("" if np.isnan(half_width) else f" ± {half_width:{form}}")


def signed(value: float) -> str:
    """A difference with its sign, zero without; empty where it is not known."""
    text = number(value, "+.4f").replace("-", "−")
    return "0.0000" if text in ("+0.0000", "−0.0000") else text


def percent(target: float) -> str:
    """An accuracy as people say it: 0.995 is 99.5%."""
    return f"{100 * target:.6g}%"


def _areas(comparison: Comparison) -> Table:
    rows = [
        [
            str(row["method"]),
            str(row["seeds"]),
            plus_minus(row["whole"], row["whole_half_width"]),
            plus_minus(row["early"], row["early_half_width"]),
        ]
        for row in comparison.aubc.to_dict("records")
    ]
    header = (
        "method",
        "seeds",
        f"AUBC, {comparison.start:,.0f} to {comparison.end:,.0f} labels",
        f"early, to {comparison.early_end:,.0f} labels",
    )
    return Table("Area under the budget curve", header, _cells(rows), "Mean ± half of the 95% t interval over seeds.")


def _labels_to(comparison: Comparison) -> Table:
    rows = _wide(comparison, comparison.labels_to, lambda row: row["text"])
    header = ("method", *map(percent, comparison.targets))
    caption = "Mean ± half of the 95% t interval over seeds. > n: not reached with n labels."
    return Table("Labels to reach an accuracy", header, _cells(rows), caption)


def _saved(comparison: Comparison) -> Table:
    def text(row: Mapping[Any, Any]) -> str:
        money = number(row["cost"], ",.2f")
        return row["text"] + (f"; money: {money}" if money else "")

    rows = _wide(comparison, comparison.saved, text)
    caption = f"Labels of {comparison.reference} less those of the method, by seed; in brackets the share."
    if comparison.cost_per_label is not None:
        caption += f" Money at {comparison.cost_per_label:g} a label."
    header = ("method", *map(percent, comparison.targets))
    return Table(f"Labels saved against {comparison.reference}", header, _cells(rows), caption)


def _pairs(comparison: Comparison) -> Table:
    rows = [
        [
            str(row["a"]),
            str(row["b"]),
            str(row["seeds"]),
            signed(row["difference"]),
            f"{signed(row['low'])} to {signed(row['high'])}" if np.isfinite(row["low"]) else "",
            _p(row["p"]),
            _p(row["p_holm"]),
            number(row["detectable"], ".2g"),
            "" if np.isnan(row["p"]) else "over 1,000" if pd.isna(row["more_seeds"]) else f"{row['more_seeds']:,.0f}",
        ]
        for row in comparison.pairs.to_dict("records")
    ]
    header = (
        *("a", "b", "seeds", "AUBC a − b", "95% interval", "p", "p, Holm"),
        *("detectable", "more seeds"),
    )
    caption = (
        "Paired by seed. Detectable: the difference that so many seeds would have found with 80% power. More seeds: "
        "as many it would take to find the difference seen."
    )
    return Table("Every pair", header, _cells(rows), caption, names=2, kind="pairs")


def _penalty(comparison: Comparison) -> Table:
    matrix = comparison.penalty
    most = max(1, int(matrix.to_numpy().max()))
    rows = [
        [Cell(str(name)), *(_count(int(count), most, name == other) for other, count in row.items())]
        for name, row in matrix.iterrows()
    ]
    caption = "Budgets at which the method of the row beats the one of the column."
    return Table("Pairwise penalty matrix", ("", *map(str, matrix.columns)), rows, caption, kind="matrix")


def _count(count: int, most: int, is_self: bool) -> Cell:
    return Cell("") if is_self else Cell(str(count), count / most)


def _wide(comparison: Comparison, table: pd.DataFrame, text: Callable[[Mapping[Any, Any]], str]) -> list[list[str]]:
    by_method: dict[str, dict[float, str]] = {}
    for row in table.to_dict("records"):
        by_method.setdefault(row["method"], {})[row["target"]] = text(row)
    return [
        [method, *(by_method[method].get(target, "") for target in comparison.targets)]
        for method in comparison.methods
        if method in by_method
    ]


def _versions(summary: Mapping[str, Any]) -> str:
    versions = summary.get("versions")
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{name} {versions[name]}" for name in ("al_lightning", "torch") if name in versions)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, ".3f")


def _cells(rows: Iterable[Iterable[str]]) -> list[list[Cell]]:
    return [[Cell(text) for text in row] for row in rows]
