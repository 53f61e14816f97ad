"""Every table of the comparison as CSV, with all digits, and as Markdown, rounded."""

from collections.abc import Iterable, Sequence
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd

from al_lightning.report.compare import RULES, Comparison
from al_lightning.report.statistics import curve

_MARKDOWN = str.maketrans(
    {**{sign: f"\\{sign}" for sign in "\\|`*_[]"}, "\n": " ", "\r": " ", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def write_tables(comparisons: Sequence[Comparison], folder: Path) -> list[Path]:
    """Write the tables of all settings, `<name>.csv` and `<name>.md` each, with a first column `setting`.

    `aubc`, `labels_to`, `saved`, `pairs`, `penalty`, `verdicts`: see :class:`al_lightning.report.compare.Comparison`
    (`penalty` a row a pair). `curve`: `measure, method, n_labeled, mean, half_width, n`, for every measure. `one_shot`:
    the same for runs that trained once. `notes`, and `rules` without a setting.

    Args:
        comparisons: see :func:`al_lightning.report.compare.compare`.
        folder: made where it is not there.

    Returns:
        The files.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, table in _tables(comparisons).items():
        files += [folder / f"{name}.csv", folder / f"{name}.md"]
        table.to_csv(files[-2], index=False, lineterminator="\n")
        files[-1].write_text(markdown(table), encoding="utf-8")
    return files


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown: numbers to the right and rounded, signs with a meaning in Markdown or HTML escaped."""
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    lines = [
        "| " + " | ".join(_cell(column) for column in table.columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in numeric) + "|",
        *("| " + " | ".join(map(_cell, row)) + " |" for row in table.itertuples(index=False, name=None)),
    ]
    return "\n".join(lines) + "\n"


def _tables(comparisons: Sequence[Comparison]) -> dict[str, pd.DataFrame]:
    tables = {
        name: _stacked((comparison.setting, getattr(comparison, name)) for comparison in comparisons)
        for name in ("aubc", "labels_to", "saved", "pairs", "verdicts")
    }
    tables["penalty"] = _stacked((comparison.setting, _penalty(comparison.penalty)) for comparison in comparisons)
    tables["curve"] = _stacked((each.setting, _curves(each.rounds, each.methods)) for each in comparisons)
    once = "trained once"
    tables["one_shot"] = _stacked(
        (each.setting, _curves(each.one_shot.assign(method=once), [once])) for each in comparisons
    )
    tables["notes"] = _stacked((each.setting, pd.DataFrame({"note": list(each.notes)})) for each in comparisons)
    tables["rules"] = pd.DataFrame({"rule": range(1, len(RULES) + 1), "text": RULES})
    return tables


def _stacked(tables: Iterable[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    named = [table.assign(setting=setting) for setting, table in tables]
    whole = pd.concat([table for table in named if len(table)] or named[:1], ignore_index=True)
    whole.insert(0, "setting", whole.pop("setting"))
    return whole


def _penalty(wins: pd.DataFrame) -> pd.DataFrame:
    rows = [(a, b, wins.loc[a, b]) for a in wins.index for b in wins.columns if a != b]
    return pd.DataFrame(rows, columns=pd.Index(("method", "beats", "budgets")))


def _curves(rounds: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    parts = [pd.DataFrame(columns=pd.Index(("measure", "method", "n_labeled", "mean", "half_width", "n")))]
    for method in methods:
        rows = rounds.loc[rounds["method"] == method]
        for measure in [column for column in rows if str(column).startswith("test/")]:
            points = curve(rows, measure)
            points.insert(0, "measure", measure)
            points.insert(1, "method", method)
            parts.append(points)
    return pd.concat(parts[1:], ignore_index=True) if len(parts) > 1 else parts[0]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return "" if isnan(value) else _rounded(float(value))
    return str(value).translate(_MARKDOWN)


def _rounded(value: float) -> str:
    if value.is_integer() or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.2g}"
