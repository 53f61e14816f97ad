"""What the strategies asked for, and how their models did in the end: all that lies beside `rounds.csv`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report.compare import Comparison
from al_lightning.report.run_files import QUERY_COLUMNS, Pool, Reader, round_folder

GALLERY_ROUNDS = 6
RELIABILITY_COLUMNS = ("bin", "n", "confidence", "accuracy")
SCORE_COLUMNS = ("low", "high", "pool", "queried")


@dataclass(frozen=True)
class Asked:
    """What the runs of a comparison have left besides their rounds.

    Attributes:
        summaries: `summary.json` by run folder, one-shot runs among them.
        classes: names; empty where no run says them.
        pool_size: images in the whole pool; None where no run says it.
        pool: None where no run has it.
        queries: a row a queried image: `method, seed, round, rank, index, label`.
        last: a row a run whose last round stands for its method: `folder, method, seed, round, n_labeled`.
        confusion: by method, `int64 [K, K]`, summed over the runs of `last`.
        reliability: by method, `bin, n, confidence, accuracy`, pooled over the runs of `last`.
        shown: by method, the seed of the run that stands for it where one run is shown.
        scores: by method, the round and `low, high, pool, queried` of its first, middle and last query.
        strips: by method, the round and the PNG of queried images, some rounds.
        notes: sentences on what could not be read.
    """

    summaries: Mapping[str, dict[str, Any]]
    classes: tuple[str, ...]
    pool_size: int | None
    pool: Pool | None
    queries: pd.DataFrame
    last: pd.DataFrame
    confusion: Mapping[str, np.ndarray]
    reliability: Mapping[str, pd.DataFrame]
    shown: Mapping[str, int]
    scores: Mapping[str, list[tuple[int, pd.DataFrame]]]
    strips: Mapping[str, list[tuple[int, bytes]]]
    notes: tuple[str, ...]


def read(comparison: Comparison) -> Asked:
    """Read what the runs of a comparison have left besides their rounds; what is missing is left out."""
    reader = Reader()
    rounds = comparison.rounds
    runs = rounds[["folder", "method", "seed"]].drop_duplicates("folder")
    folders = [*runs["folder"], *comparison.one_shot["folder"].unique()]
    summaries = {folder: reader.json_of(Path(folder) / "summary.json") for folder in folders}
    last = last_rounds(comparison)
    shown = shown_seeds(runs)
    one = {run.method: run.folder for run in runs.itertuples() if shown[run.method] == run.seed}
    numbers = {method: sorted(rounds.loc[rounds["folder"] == folder, "round"]) for method, folder in one.items()}
    return Asked(
        summaries=summaries,
        classes=_classes(summaries.values()),
        pool_size=next((int(s["pool_size"]) for s in summaries.values() if isinstance(s.get("pool_size"), int)), None),
        pool=next((pool for folder in folders if (pool := reader.pool(Path(folder) / "pool.npz"))), None),
        queries=_queries(reader, runs),
        last=last,
        confusion=_confusion(reader, last),
        reliability=_reliability(reader, last),
        shown=shown,
        scores={m: _scores(reader, one[m], numbers[m]) for m in comparison.methods if m in one},
        strips={m: _strips(reader, one[m], numbers[m]) for m in comparison.methods if m in one},
        notes=tuple(reader.notes),
    )


def last_rounds(comparison: Comparison) -> pd.DataFrame:
    """The round of each run that stands for its method in the end: the last at which all methods can be compared.

    Runs that did not get there are left out, unless the method has no other.

    Returns:
        A row a run: `folder, method, seed, round, n_labeled`.
    """
    rows = comparison.rounds[["folder", "method", "seed", "round", "n_labeled"]]
    most = rows.groupby("folder")["n_labeled"].transform("max")
    there = most >= comparison.end
    has = there.groupby(rows["method"]).transform("any")
    rows = rows[(there & (rows["n_labeled"] <= comparison.end)) | ~has]
    return rows.loc[rows.groupby("folder", sort=False)["n_labeled"].idxmax()].reset_index(drop=True)


def shown_seeds(runs: pd.DataFrame) -> dict[str, int]:
    """The seed of the run that is shown for each method: the lowest that all have, else its own lowest."""
    seeds = {str(method): set(group) for method, group in runs.groupby("method")["seed"]}
    common = set.intersection(*seeds.values()) if seeds else set()
    return {method: int(min(common or own)) for method, own in seeds.items()}


def class_balance(asked: Asked, methods: Sequence[str]) -> pd.DataFrame | None:
    """Share of each class among the queried images, in mean over seeds; and in the pool.

    Returns:
        `pool` first, then a row a method that has queries; a column a class index. None where labels are not known.
    """
    n_classes = len(asked.classes)
    if not n_classes or asked.queries.empty:
        return None
    known = asked.queries[asked.queries["label"].between(0, n_classes - 1)]
    rows = {}
    if asked.pool is not None and ((asked.pool.label >= 0) & (asked.pool.label < n_classes)).any():
        label = asked.pool.label[(asked.pool.label >= 0) & (asked.pool.label < n_classes)]
        rows["pool"] = np.bincount(label, minlength=n_classes) / len(label)
    counts = known.groupby(["method", "seed", "label"]).size().unstack(fill_value=0)
    shares = counts.reindex(columns=range(n_classes), fill_value=0)
    shares = shares.div(shares.sum(axis=1), axis=0).groupby("method").mean()
    rows |= {method: shares.loc[method].to_numpy() for method in methods if method in shares.index}
    return pd.DataFrame.from_dict(rows, orient="index", columns=range(n_classes))


def overlap(asked: Asked, methods: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """How far two methods asked for the same images.

    The Jaccard index (images that both asked for, among those that either did) of all that the two runs of a seed had
    asked for by the last round that both have; then the mean over seeds.

    Returns:
        Two tables, method x method: the index, nan where two methods share no seed and on the diagonal; and what to
        expect of two random choices of as many images from the whole pool, nan where its size is not known. None for
        fewer than two methods with queries.
    """
    queries = asked.queries
    names = [method for method in methods if (queries["method"] == method).any()]
    if len(names) < 2:
        return None
    seen, chance = (pd.DataFrame(np.nan, index=names, columns=names) for _ in range(2))
    by_run = {
        key: (group["round"].to_numpy(), group["index"].to_numpy())
        for key, group in queries.groupby(["method", "seed"], sort=False)
    }
    seeds = {method: {int(seed) for name, seed in by_run if name == method} for method in names}
    for a, b in combinations(names, 2):
        values, expected = [], []
        for seed in seeds[a] & seeds[b]:
            (rounds_a, index_a), (rounds_b, index_b) = by_run[a, seed], by_run[b, seed]
            last = min(rounds_a.max(), rounds_b.max())
            one, other = set(index_a[rounds_a <= last].tolist()), set(index_b[rounds_b <= last].tolist())
            both = len(one & other)
            values.append(both / (len(one) + len(other) - both))
            both = len(one) * len(other) / asked.pool_size if asked.pool_size else np.nan
            expected.append(both / (len(one) + len(other) - both))
        if values:
            seen.loc[a, b] = seen.loc[b, a] = np.mean(values)
            chance.loc[a, b] = chance.loc[b, a] = np.mean(expected)
    return seen, chance


def _classes(summaries: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    for summary in summaries:
        if isinstance(names := summary.get("classes"), list):
            return tuple(map(str, names))
    return ()


def _queries(reader: Reader, runs: pd.DataFrame) -> pd.DataFrame:
    tables = []
    for run in runs.itertuples():
        table = reader.table(Path(str(run.folder)) / "queries.csv", QUERY_COLUMNS)
        if table is not None and len(table):
            table = table.dropna(subset=["round", "index"]).fillna(-1).astype(np.int64)
            tables.append(table.assign(method=run.method, seed=run.seed))
    if not tables:
        return pd.DataFrame(columns=["method", "seed", *QUERY_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def _confusion(reader: Reader, last: pd.DataFrame) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    for run in last.itertuples():
        matrix = reader.confusion(round_folder(str(run.folder), int(run.round)) / "confusion.csv")  # pyright: ignore
        if matrix is not None and (run.method not in sums or sums[run.method].shape == matrix.shape):
            sums[run.method] = sums.get(run.method, 0) + matrix
    return sums


def _reliability(reader: Reader, last: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The bins of all runs of a method as one: images are counted together."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for run in last.itertuples():
        table = reader.table(round_folder(str(run.folder), int(run.round)) / "reliability.csv", RELIABILITY_COLUMNS)
        if table is not None:
            tables.setdefault(str(run.method), []).append(table)
    return {method: pooled_bins(pd.concat(parts)) for method, parts in tables.items()}


def pooled_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Bins of several test runs as one: `bin, n, confidence, accuracy`, means weighted by n, filled bins only."""
    filled = bins[bins["n"] > 0]
    weighted = filled.assign(confidence=filled["confidence"] * filled["n"], accuracy=filled["accuracy"] * filled["n"])
    sums = weighted.groupby("bin", as_index=False)[["n", "confidence", "accuracy"]].sum()
    return sums.assign(confidence=sums["confidence"] / sums["n"], accuracy=sums["accuracy"] / sums["n"])


def _scores(reader: Reader, folder: str, numbers: Sequence[int]) -> list[tuple[int, pd.DataFrame]]:
    asking = numbers[:-1]
    found = []
    for number in sorted({asking[i] for i in (0, len(asking) // 2, -1)}) if asking else []:
        table = reader.table(round_folder(folder, number) / "scores.csv", SCORE_COLUMNS)
        if table is not None and len(table) and table["pool"].sum() > 0:
            found.append((number, table))
    return found


def _strips(reader: Reader, folder: str, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
    asking = numbers[:-1]
    spaced = np.linspace(0, len(asking) - 1, min(GALLERY_ROUNDS, len(asking))).round().astype(int)
    found = [(asking[i], reader.png(round_folder(folder, asking[i]) / "queries.png")) for i in spaced]
    return [(number, data) for number, data in found if data is not None]
