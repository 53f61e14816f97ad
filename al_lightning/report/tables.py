"""The tables of a comparison, in the order in which they are read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report import bounds
from al_lightning.report.compare import Comparison
from al_lightning.report.measures import BY_COLUMN
from al_lightning.report.statistics import curve
from al_lightning.report.table import Bar, Cell, Table
from al_lightning.words import number, p_value, plus_minus, signed, with_article

UNADJUSTED = "95% interval, not adjusted"


def tables(comparison: Comparison, summaries: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """All that the statistics say of a comparison, the answer first; what does not apply is left out.

    Args:
        comparison: of one setting.
        summaries: `summary.json` by run folder.
    """
    made: list[Table] = []
    if comparison.methods:
        made.append(verdict_table(comparison))
        if len(comparison.bounds):
            made.append(_bounds(comparison))
        if comparison.targets:
            made.append(_labels_to(comparison))
        if len(comparison.saved):
            made.append(_saved(comparison))
    if len(comparison.one_shot):
        made.append(_one_shot(comparison))
    if comparison.methods:
        made.append(_areas(comparison))
    if len(comparison.pairs):
        made += [_pairs(comparison), _penalty(comparison)]
    return [*made, _curves(comparison), _ran(comparison, summaries)]


def verdict_table(comparison: Comparison) -> Table:
    """A row a method, best first: verdict, area, difference to the reference, labels to a target, failed fits."""
    areas = comparison.aubc.set_index("method").to_dict("index")
    verdicts = comparison.verdicts.set_index("method").to_dict("index")
    fits = comparison.fits.set_index("method").to_dict("index")
    names = {comparison.reference: "reference", **dict.fromkeys(comparison.beyond, bounds.MARK)}
    tested = len(comparison.verdicts.dropna(subset=["p"]))
    target = (min if comparison.lower_is_better else max)(comparison.targets, default=None)
    reached = comparison.labels_to.loc[comparison.labels_to["target"] == target].set_index("method")["text"]
    scale = _scale(comparison.verdicts)
    counts = any(row["fits"] for row in fits.values())
    columns = ["strategy", "verdict", "AUBC"]
    between = UNADJUSTED if tested > 1 else "95% interval"
    if comparison.reference:
        columns += [f"against {comparison.reference} ({between})", "p, Holm" if tested > 1 else "p"]
    columns += [f"labels to {_text(comparison, target)}"] if target else []
    columns += ["seeds", *(["failed fits"] if counts else [])]
    rows = []
    for method in comparison.ranked:
        verdict = verdicts.get(method, {})
        row = [
            Cell(method),
            Cell(verdict.get("verdict", names.get(method, ""))),
            Cell(plus_minus(areas[method]["whole"], areas[method]["whole_half_width"])),
        ]
        if comparison.reference:
            row += [_difference(verdict, scale), Cell(p_value(verdict.get("p_holm", np.nan)))]
        row += [Cell(reached[method])] if target else []
        row += [Cell(str(areas[method]["seeds"]))]
        row += [Cell(f"{fits[method]['failed']} of {fits[method]['fits']}" if fits[method]["fits"] else "")] * counts
        rows.append(row)
    adjusted = f"p: paired t-test, adjusted for {tested} comparisons; level 0.05." if tested > 1 else ""
    data = comparison.aubc.merge(comparison.verdicts.drop(columns="seeds"), "left", "method")
    data = data.merge(comparison.fits, "left", "method").set_index("method").loc[list(comparison.ranked)].reset_index()
    area = f"AUBC: {explained(comparison)}, ± half of its 95% t interval over seeds."
    floor = f"{comparison.reference}, with the same training, is the floor." if comparison.reference else ""
    return Table("verdict", "Verdict", columns, rows, data, tuple(filter(None, (area, adjusted, floor))), left=2)


def explained(comparison: Comparison) -> str:
    """What AUBC is."""
    measure = BY_COLUMN[comparison.measure]
    span = f"from {comparison.start:,.0f} to {comparison.end:,.0f} labels" if comparison.end > comparison.start else ""
    scale = "lower is better" if comparison.lower_is_better else "0 to 1"
    return " ".join(f"area under the budget curve: mean {measure.title} on the test part {span}".split()) + f", {scale}"


def _difference(row: Mapping[str, Any], scale: tuple[float, float]) -> Cell:
    if not row or np.isnan(row["difference"]):
        return Cell("")
    low, high = scale
    ends = (row["low"], row["difference"], row["high"], 0.0)
    bar = Bar(*((float(end) - low) / (high - low) for end in ends)) if high > low else None
    between = f" ({signed(row['low'])} to {signed(row['high'])})" if np.isfinite(row["low"]) else ""
    return Cell(signed(row["difference"]) + between, bar=bar)


def _scale(verdicts: pd.DataFrame) -> tuple[float, float]:
    """What the bars reach over: 0, and the intervals, which for two seeds can be anything, to 3 of the differences."""
    if verdicts.empty:
        return 0.0, 0.0
    most = 3 * float(verdicts["difference"].abs().to_numpy().max())
    ends = np.nan_to_num(verdicts[["low", "difference", "high"]].to_numpy(float)).clip(-most, most)
    return min(0.0, float(ends.min())), max(0.0, float(ends.max()))


def _bounds(comparison: Comparison) -> Table:
    found = comparison.bounds.set_index("method").to_dict("index")
    rows = _cells(
        [method, signed(row["gain"]), bounds.share_text(row), signed(row["left"]), str(row["seeds"])]
        for method in comparison.ranked
        if (row := found.get(method))
    )
    columns = ("strategy", f"AUBC better than {comparison.reference}", "of the way to the ceiling", "left", "seeds")
    title = f"From {comparison.reference}, the floor, to the ceiling"
    return Table("bounds", title, columns, rows, comparison.bounds, (bounds.EXPLAINED,))


def _areas(comparison: Comparison) -> Table:
    rows = _cells(
        [
            row["method"],
            str(row["seeds"]),
            plus_minus(row["whole"], row["whole_half_width"]),
            plus_minus(row["early"], row["early_half_width"]),
        ]
        for row in comparison.aubc.to_dict("records")
    )
    span = f"{comparison.start:,.0f} to {comparison.end:,.0f} labels"
    columns = ("strategy", "seeds", f"AUBC, {span}", f"early, to {comparison.early_end:,.0f} labels")
    notes = ("Mean ± half of the 95% t interval over seeds.",)
    return Table("aubc", "Area under the budget curve", columns, rows, comparison.aubc, notes, folded=True)


def _labels_to(comparison: Comparison) -> Table:
    rows = _wide(comparison, comparison.labels_to, lambda row: row["text"])
    title = f"Labels to reach {with_article(BY_COLUMN[comparison.measure].title)}"
    columns = ("strategy", *(_text(comparison, target) for target in comparison.targets))
    notes = ("Mean ± half of the 95% t interval over seeds. > n: not reached with n labels.",)
    return Table("labels_to", title, columns, rows, comparison.labels_to, notes)


def _saved(comparison: Comparison) -> Table:
    def text(row: Mapping[Any, Any]) -> str:
        money = number(row["cost"], ",.2f")
        return row["text"] + (f"; money: {money}" if money else "")

    rows = _wide(comparison, comparison.saved, text)
    note = f"Labels of {comparison.reference} less those of the strategy, by seed; in brackets the share."
    if comparison.cost_per_label is not None:
        note += f" Money at {comparison.cost_per_label:g} a label."
    columns = ("strategy", *(_text(comparison, target) for target in comparison.targets))
    return Table("saved", f"Labels saved against {comparison.reference}", columns, rows, comparison.saved, (note,))


def _one_shot(comparison: Comparison) -> Table:
    rows = _cells(
        [f"{row['n_labeled']:,.0f}", f"{row['n']:.0f}", plus_minus(row["mean"], row["half_width"])]
        for row in curve(comparison.one_shot, comparison.measure).to_dict("records")
    )
    data = _all_curves(comparison.one_shot.assign(method="trained once"), ["trained once"])
    columns = ("labels", "seeds", BY_COLUMN[comparison.measure].title)
    return Table("one_shot", "Trained once on random labels", columns, rows, data, left=0)


def _pairs(comparison: Comparison) -> Table:
    rows = _cells(
        [
            row["a"],
            row["b"],
            str(row["seeds"]),
            signed(row["difference"]),
            f"{signed(row['low'])} to {signed(row['high'])}" if np.isfinite(row["low"]) else "",
            p_value(row["p"]),
            p_value(row["p_holm"]),
        ]
        for row in comparison.pairs.to_dict("records")
    )
    tested = len(comparison.pairs.dropna(subset=["p"]))
    columns = ("a", "b", "seeds", "AUBC a − b", UNADJUSTED, "p, not adjusted", "p, Holm over all pairs")
    notes = (
        f"Paired by seed. Holm here is over {tested:,} pairs, more than the verdict's comparisons: its p is larger.",
    )
    return Table("pairs", "Every pair", columns, rows, comparison.pairs, notes, left=2, folded=True)


def _penalty(comparison: Comparison) -> Table:
    wins = comparison.penalty
    most = max(1, int(wins.to_numpy().max()))
    rows = [
        [Cell(a), *(Cell("") if a == b else Cell(str(count), count / most) for b, count in zip(wins, row, strict=True))]
        for a, row in zip(wins.index, wins.to_numpy().tolist(), strict=True)
    ]
    long = [(a, b, wins.loc[a, b]) for a in wins.index for b in wins.columns if a != b]
    data = pd.DataFrame(long, columns=pd.Index(("method", "beats", "budgets")))
    notes = ("Budgets at which the strategy of the row beats the one of the column.",)
    return Table("penalty", "Pairwise penalty matrix", ("", *wins.columns), rows, data, notes, folded=True)


def _curves(comparison: Comparison) -> Table:
    columns = ("measure", "method", "n_labeled", "mean", "half_width", "n")
    data = _all_curves(comparison.rounds, comparison.methods)
    notes = ("Every measure of every strategy at every label count, as CSV.",)
    return Table("curve", "Points of the curves", columns, (), data, notes, folded=True)


def _ran(comparison: Comparison, summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    together = pd.concat([comparison.rounds, comparison.one_shot], ignore_index=True)
    phases = [column for column in together if str(column).startswith("seconds/")]
    for folder, run in together.groupby("folder", sort=False):
        last, summary = run.iloc[-1], summaries.get(str(folder), {})
        planned = summary.get("rounds_planned")
        seconds = run[phases].to_numpy(float)
        versions = summary.get("versions")
        known = versions if isinstance(versions, dict) else {}
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
                ", ".join(f"{name} {known[name]}" for name in ("al_lightning", "torch") if name in known),
                Path(str(folder)).name,
            ]
        )
    columns = ["strategy", "seed", "state", "rounds", "labels", "seconds", "threads", "device", "versions", "folder"]
    data = pd.DataFrame(rows, columns=pd.Index(columns))
    versions = set(data["versions"])
    if len(versions) > 1:
        return Table("ran", "What ran", columns, _cells(rows), data, folded=True)
    notes = (f"Versions: {', '.join(versions)}.",) if any(versions) else ()
    rows = [[*row[:-2], row[-1]] for row in rows]
    return Table("ran", "What ran", [*columns[:-2], columns[-1]], _cells(rows), data, notes, folded=True)


def _text(comparison: Comparison, target: float) -> str:
    return BY_COLUMN[comparison.measure].text(target)


def _wide(
    comparison: Comparison, table: pd.DataFrame, text: Callable[[Mapping[Any, Any]], str]
) -> Sequence[Sequence[Cell]]:
    """A row a method, best first, and a column a target."""
    found = {(row["method"], row["target"]): text(row) for row in table.to_dict("records")}
    named = set(table["method"])
    return _cells(
        [method, *(found[method, target] for target in comparison.targets)]
        for method in comparison.ranked
        if method in named
    )


def _all_curves(rounds: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    columns = pd.Index(("measure", "method", "n_labeled", "mean", "half_width", "n"))
    parts = []
    for method in methods:
        rows = rounds.loc[rounds["method"] == method]
        parts += [
            curve(rows, str(measure)).assign(measure=measure, method=method)[columns]
            for measure in rows
            if str(measure).startswith("test/")
        ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _cells(rows: Iterable[Iterable[str]]) -> list[list[Cell]]:
    return [[Cell(text) for text in row] for row in rows]
