"""What the comparisons with the reference say of each method, and of all of them in one sentence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report.measures import Measure
from al_lightning.report.statistics import ALPHA, detectable, seeds_needed
from al_lightning.words import counted, listed, p_equation, signed

BETTER, WORSE, OPEN, UNKNOWN = "better", "worse", "not distinguishable", "unknown"
LEAST_SEEDS = 3  # fewer know too little of the spread to say what more would show
MOST_SEEDS = 100  # more than that nobody will run
_SAME = 1e-12  # a difference that is rounding


def verdicts_table(against: pd.DataFrame, measure: Measure, reference_mean: float, span: str) -> pd.DataFrame:
    """What the tests against the reference say: their rows with five columns more.

    `method` in place of `a`; `verdict`; `detectable`, the smallest true difference that so many seeds find with 80%
    power at the strictest of Holm's levels, if the spread is the one seen; `more_seeds` that would find the difference
    seen, inf above 100; both nan for fewer than three seeds. `sentence` says it all.

    Args:
        against: see :func:`al_lightning.report.pairs.pairs_table`; the reference is the second of every pair.
        measure: that the areas are of.
        reference_mean: mean area of the reference.
        span: labels that the areas are over, in words.
    """
    tested = len(against.dropna(subset=["p"]))
    table = against.rename(columns={"a": "method"}).drop(columns=["b"])
    told = []
    for row in against.to_dict("records"):
        verdict = _verdict(row, measure)
        found, more = _could_show(row, ALPHA / max(1, tested))
        told.append((verdict, found, more))
    for i, name in enumerate(("verdict", "detectable", "more_seeds")):
        table[name] = pd.Series([each[i] for each in told], dtype=object if i == 0 else float)
    rooms = _rooms(measure, reference_mean)
    sentences = [
        _sentence({**row, "reference": reference}, tested, rooms, span)
        for row, reference in zip(table.to_dict("records"), against["b"], strict=True)
    ]
    return table.assign(sentence=pd.Series(sentences, dtype=object))


def headline(verdicts: pd.DataFrame, reference: str | None, methods: int, measure: Measure) -> str:
    """The answer in a sentence or three.

    Args:
        verdicts: see :func:`verdicts_table`.
        reference: None: there is none.
        methods: how many there are, the reference among them.
        measure: that the areas are of.
    """
    if not methods:
        return "These runs trained once and never queried: there are no strategies to compare."
    if reference is None:
        return "There are no runs of random, so whether a strategy is worth it cannot be said."
    if verdicts.empty:
        only = (
            f"are no runs but {reference}'s" if methods == 1 else f"is no strategy but {reference} that is attainable"
        )
        return f"There {only}: there is nothing to compare it with."
    by = verdicts.sort_values("difference", ascending=measure.lower_is_better, kind="stable")
    of = {name: rows.to_dict("records") for name, rows in by.groupby("verdict", sort=False)}
    better, worse, unclear, unknown = (of.get(name, []) for name in (BETTER, WORSE, OPEN, UNKNOWN))
    said = []
    if better:
        said.append(f"{_with_differences(better, ' AUBC')} {_verb(better, 'beats', 'beat')} {reference}.")
    if worse:
        unit = "" if better else " AUBC"
        said.append(f"{_with_differences(worse, unit)} {_verb(worse, 'is', 'are')} worse than {reference}.")
    if unclear:
        seeds = sorted({row["seeds"] for row in unclear})
        with_seeds = f"{seeds[0]} to {counted(seeds[-1], 'seed')}" if len(seeds) > 1 else counted(seeds[0], "seed")
        if len(unclear) == len(by) > 1:
            who = "No strategy is"
        elif len(unclear) > 2 and not unknown:
            who = "No other strategy is"
        else:
            who = f"{listed([row['method'] for row in unclear])} {_verb(unclear, 'is', 'are')} not"
        said.append(f"{who} distinguishable from {reference} with {with_seeds}.")
    if unknown:
        who = "any strategy" if len(unknown) == len(by) > 2 else listed([row["method"] for row in unknown])
        said.append(f"No verdict on {who}: {_why_unknown(unknown)}.")
    return " ".join(said)


def excludes_zero(row: Mapping[Any, Any]) -> bool:
    """Whether the interval of a difference, as it stands, leaves out 0."""
    return bool(row["low"] > _SAME or row["high"] < -_SAME)


def _verdict(row: Mapping[Any, Any], measure: Measure) -> str:
    if np.isnan(row["p"]):
        return OPEN if row["seeds"] > 1 and abs(row["difference"]) <= _SAME else UNKNOWN
    if row["p_holm"] >= ALPHA:
        return OPEN
    return BETTER if (row["difference"] > 0) != measure.lower_is_better else WORSE


def _could_show(row: Mapping[Any, Any], level: float) -> tuple[float, float]:
    """The detectable difference, and the seeds that are missing to find the one seen; nan where neither is known."""
    n, spread = row["seeds"], row["spread"]
    if n < LEAST_SEEDS or np.isnan(row["p"]):
        return np.nan, np.nan
    needed = seeds_needed(abs(row["difference"]) / spread, level, n + MOST_SEEDS)
    return detectable(n, level) * spread, np.inf if needed is None else max(0, needed - n)


def _rooms(measure: Measure, reference_mean: float) -> tuple[float, float]:
    """How much better, and how much worse than the reference an area can be."""
    if measure.lower_is_better:
        return reference_mean, np.inf
    return 1 - reference_mean, reference_mean


def _sentence(row: Mapping[Any, Any], tested: int, rooms: tuple[float, float], span: str) -> str:
    method, reference, seeds = row["method"], row["reference"], row["seeds"]
    if seeds == 0:
        return f"{method}: no seed whose runs cover {span} labels is also one of {reference}'s, so no verdict."
    difference = signed(row["difference"])
    if seeds == 1:
        return f"{method}: one seed, so no interval and no verdict: AUBC {difference} against {reference}."
    if np.isnan(row["p"]):
        if row["verdict"] == OPEN:
            return f"{method}: not distinguishable from {reference}: the same AUBC in each of {seeds} seeds."
        why = "there is no spread to test it against, so no verdict"
        return f"{method}: AUBC {difference} against {reference} in each of {seeds} seeds: {why}."
    figures = (
        f"AUBC {difference} (95% interval{', not adjusted,' if tested > 1 else ''} {signed(row['low'])} to "
        f"{signed(row['high'])}; {p_equation(row['p_holm'])}"
        f"{f', adjusted for {tested} comparisons' if tested > 1 else ''}; {counted(seeds, 'seed')})."
    )
    if row["verdict"] != OPEN:
        return f"{method}: {row['verdict']} than {reference}: {figures}"
    said = [f"{method}: not distinguishable from {reference}: {figures}"]
    if excludes_zero(row):
        said.append(f"Alone its interval leaves out 0; with {tested} comparisons that happens by chance too often.")
    return " ".join([*said, *_what_it_takes(row, rooms)])


def _what_it_takes(row: Mapping[Any, Any], rooms: tuple[float, float]) -> list[str]:
    seeds, least = counted(row["seeds"], "seed"), row["detectable"]
    if np.isnan(least):
        return [f"{seeds} say too little of the spread to tell how many it takes."]
    if least >= max(rooms):
        found = f"{seeds} as scattered as these can find no difference at all"
    elif least >= rooms[0]:
        found = f"{seeds} as scattered as these can find no improvement: there is room for {rooms[0]:.2g}"
    else:
        found = f"{seeds} would have found a difference of {least:.2g} (80% power)"
    if np.isinf(row["more_seeds"]):
        return [f"{found}; not even {MOST_SEEDS} more would find one of the size seen."]
    return [f"{found}; about {row['more_seeds']:,.0f} more would find one of the size seen."]


def _with_differences(rows: list[dict[Any, Any]], unit: str) -> str:
    first, *others = rows
    names = [f"{first['method']} ({signed(first['difference'])}{unit})"]
    return listed(names + [f"{row['method']} ({signed(row['difference'])})" for row in others])


def _verb(rows: list[dict[Any, Any]], singular: str, plural: str) -> str:
    return singular if len(rows) == 1 else plural


def _why_unknown(rows: list[dict[Any, Any]]) -> str:
    reasons = {0: "no seed in common", 1: "one seed in common"}
    return " or ".join(dict.fromkeys(reasons.get(row["seeds"], "no spread over the seeds") for row in rows))
