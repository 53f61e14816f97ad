"""What the strategies queried, and how their models did in the end: all that lies beside `rounds.csv`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_lightning.report.compare import Comparison
from al_lightning.report.run_files import QUERY_COLUMNS, Pool, Reader, round_folder

GALLERY_ROUNDS = 3  # first, middle and last
RELIABILITY_COLUMNS = ("bin", "n", "confidence", "accuracy")
SCORE_COLUMNS = ("low", "high", "pool", "queried")


@dataclass(frozen=True)
class Run:
    """The round of a run that stands for its end."""

    folder: str
    method: str
    seed: int
    round: int
    n_labeled: int


@dataclass(frozen=True)
class Details:
    """What the runs of a comparison have left besides their rounds.

    Attributes:
        summaries: `summary.json` by run folder, one-shot runs among them.
        classes: names; empty where no run says them.
        pool_size: images in the whole pool; None where no run says it.
        pool: None where no run has it.
        queries: a row a queried image: `method, seed, round, rank, index, label, predicted`; -1 where not known.
        last: the runs whose last rounds stand for their methods.
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
    last: Sequence[Run]
    confusion: Mapping[str, np.ndarray]
    reliability: Mapping[str, pd.DataFrame]
    shown: Mapping[str, int]
    scores: Mapping[str, list[tuple[int, pd.DataFrame]]]
    strips: Mapping[str, list[tuple[int, bytes]]]
    notes: tuple[str, ...]

    def with_queries(self, methods: Sequence[str]) -> list[str]:
        """Those of some methods that have queries."""
        have = set(self.queries["method"])
        return [method for method in methods if method in have]

    def test_size(self, method: str) -> float:
        """Test images of a run of a method; 0 where they are not known."""
        runs = sum(run.method == method for run in self.last)
        return float(self.confusion[method].sum()) / runs if runs and method in self.confusion else 0.0

    def queries_of(self, method: str) -> pd.DataFrame:
        """The queries of the run that stands for a method."""
        return self.queries.loc[(self.queries["method"] == method) & (self.queries["seed"] == self.shown[method])]


def read(comparison: Comparison) -> Details:
    """Read what the runs of a comparison have left besides their rounds; what is missing is left out."""
    reader = Reader()
    runs = {
        str(folder): (str(rows["method"].iloc[0]), int(rows["seed"].iloc[0]), sorted(rows["round"]))
        for folder, rows in comparison.rounds.groupby("folder", sort=False)
    }
    folders = [*runs, *map(str, comparison.one_shot["folder"].unique())]
    summaries = {folder: reader.json_of(Path(folder) / "summary.json") for folder in folders}
    last = last_rounds(comparison)
    shown = shown_seeds((method, seed) for method, seed, _ in runs.values())
    one = {method: (folder, numbers) for folder, (method, seed, numbers) in runs.items() if shown[method] == seed}
    return Details(
        summaries=summaries,
        classes=_classes(summaries.values()),
        pool_size=next((size for s in summaries.values() if isinstance(size := s.get("pool_size"), int)), None),
        pool=next((pool for folder in folders if (pool := reader.pool(Path(folder) / "pool.npz"))), None),
        queries=_queries(reader, {folder: (method, seed) for folder, (method, seed, _) in runs.items()}),
        last=last,
        confusion=_confusion(reader, last),
        reliability=_reliability(reader, last),
        shown=shown,
        scores={method: _scores(reader, *one[method]) for method in comparison.methods},
        strips={method: _strips(reader, *one[method]) for method in comparison.methods},
        notes=tuple(reader.notes),
    )


def last_rounds(comparison: Comparison) -> list[Run]:
    """The round of each run that stands for its method in the end: the last at which all methods can be compared.

    Runs that did not get there are left out, unless the method has no other; their own last round stands for them.
    """
    there: list[Run] = []
    short: list[Run] = []
    for folder, rows in comparison.rounds.groupby("folder", sort=False):
        labels = rows["n_labeled"].to_numpy()
        is_there = bool(labels.min() <= comparison.end <= labels.max())
        last = rows.iloc[int(np.where(labels <= comparison.end, labels, 0).argmax() if is_there else labels.argmax())]
        run = Run(str(folder), last["method"], int(last["seed"]), int(last["round"]), int(last["n_labeled"]))
        (there if is_there else short).append(run)
    have = {run.method for run in there}
    return [*there, *(run for run in short if run.method not in have)]


def shown_seeds(runs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The seed of the run that is shown for each method: the lowest that all have, else its own lowest.

    Args:
        runs: method and seed of each.
    """
    seeds: dict[str, set[int]] = {}
    for method, seed in runs:
        seeds.setdefault(method, set()).add(seed)
    common = set.intersection(*seeds.values()) if seeds else set()
    return {method: min(common or own) for method, own in seeds.items()}


def class_balance(details: Details, methods: Sequence[str]) -> pd.DataFrame | None:
    """Share of each class among the queried images, in mean over seeds; and in the pool.

    Returns:
        `pool` first, then a row a method that has queries; a column a class index. None where labels are not known.
    """
    n_classes = len(details.classes)
    if not n_classes or details.queries.empty:
        return None
    rows = {}
    if details.pool is not None and len(label := _within(details.pool.label[details.pool.mask], n_classes)):
        rows["pool"] = np.bincount(label, minlength=n_classes) / len(label)
    shares: dict[str, list[np.ndarray]] = {}
    for (method, _), queries in _by_run(details.queries).items():
        if len(label := _within(queries["label"].to_numpy(), n_classes)):
            shares.setdefault(method, []).append(np.bincount(label, minlength=n_classes) / len(label))
    rows |= {method: np.mean(shares[method], axis=0) for method in methods if method in shares}
    return pd.DataFrame.from_dict(rows, orient="index")


def overlap(details: Details, methods: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """How far two methods queried the same images.

    The Jaccard index (images that both queried, among those that either did) of all that the two runs of a seed had
    queried by the last round that both have; then the mean over seeds.

    Returns:
        Two tables, method x method: the index, nan where two methods share no seed and on the diagonal; and what to
        expect of two random choices of as many images from the whole pool, nan where its size is not known. None for
        fewer than two methods with queries.
    """
    names = details.with_queries(methods)
    if len(names) < 2:
        return None
    seen, chance = (pd.DataFrame(np.nan, index=names, columns=names) for _ in range(2))
    by_run = {
        run: (rows["round"].to_numpy(), rows["index"].to_numpy()) for run, rows in _by_run(details.queries).items()
    }
    seeds = {method: {seed for name, seed in by_run if name == method} for method in names}
    for a, b in combinations(names, 2):
        values, expected = [], []
        for seed in seeds[a] & seeds[b]:
            (rounds_a, index_a), (rounds_b, index_b) = by_run[a, seed], by_run[b, seed]
            last = min(rounds_a.max(), rounds_b.max())
            one, other = set(index_a[rounds_a <= last].tolist()), set(index_b[rounds_b <= last].tolist())
            both = len(one & other)
            values.append(both / (len(one) + len(other) - both))
            both = len(one) * len(other) / details.pool_size if details.pool_size else np.nan
            expected.append(both / (len(one) + len(other) - both))
        if values:
            seen.loc[a, b] = seen.loc[b, a] = np.mean(values)
            chance.loc[a, b] = chance.loc[b, a] = np.mean(expected)
    return seen, chance


def _classes(summaries: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    for summary in summaries:
        if isinstance(names := summary.get("classes"), list):
            # A name may be that of a folder, which may hold anything.
            return tuple("".join(sign if sign.isprintable() else "?" for sign in str(name)) for name in names)
    return ()


def _by_run(queries: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """The queries of each run, by method and seed."""
    groups = queries.groupby(["method", "seed"], sort=False)
    return {(rows["method"].iloc[0], int(rows["seed"].iloc[0])): rows for _, rows in groups}


def _within(label: np.ndarray, n_classes: int) -> np.ndarray:
    return label[(label >= 0) & (label < n_classes)]


def _queries(reader: Reader, runs: Mapping[str, tuple[str, int]]) -> pd.DataFrame:
    tables = []
    for folder, (method, seed) in runs.items():
        table = reader.table(Path(folder) / "queries.csv", QUERY_COLUMNS, ("predicted",))
        if table is not None and len(table):
            table = table.dropna(subset=["round", "index"]).fillna(-1).astype(np.int64)
            table = table.loc[table["round"] >= 0]  # without the initial set
            tables.append(table.assign(method=method, seed=seed))
    if not tables:
        return pd.DataFrame(columns=pd.Index(("method", "seed", *QUERY_COLUMNS, "predicted")))
    return pd.concat(tables, ignore_index=True)


def _confusion(reader: Reader, last: Sequence[Run]) -> dict[str, np.ndarray]:
    sums: dict[str, np.ndarray] = {}
    for run in last:
        matrix = reader.confusion(round_folder(run.folder, run.round) / "confusion.csv")
        if matrix is not None and (run.method not in sums or sums[run.method].shape == matrix.shape):
            sums[run.method] = sums.get(run.method, 0) + matrix
    return sums


def _reliability(reader: Reader, last: Sequence[Run]) -> dict[str, pd.DataFrame]:
    """The bins of all runs of a method as one: images are counted together."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for run in last:
        table = reader.table(round_folder(run.folder, run.round) / "reliability.csv", RELIABILITY_COLUMNS)
        if table is not None:
            tables.setdefault(run.method, []).append(table)
    return {method: pooled_bins(pd.concat(parts)) for method, parts in tables.items()}


def pooled_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Bins of several test runs as one: `bin, n, confidence, accuracy`, means weighted by n, filled bins only."""
    filled = bins.loc[bins["n"] > 0].copy()
    for name in ("confidence", "accuracy"):
        filled[name] *= filled["n"]
    sums = filled.groupby("bin", as_index=False).agg("sum")
    return sums.assign(confidence=sums["confidence"] / sums["n"], accuracy=sums["accuracy"] / sums["n"])


def _scores(reader: Reader, folder: str, numbers: Sequence[int]) -> list[tuple[int, pd.DataFrame]]:
    asking = numbers[:-1]
    found = []
    for number in sorted({asking[i] for i in (0, len(asking) // 2, -1)}) if asking else []:
        table = reader.table(round_folder(folder, number) / "scores.csv", SCORE_COLUMNS)
        if table is not None and len(whole := table.dropna()) and whole["pool"].to_numpy().sum() > 0:
            found.append((number, whole))
    return found


def _strips(reader: Reader, folder: str, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
    asking = numbers[:-1]
    spaced = np.linspace(0, len(asking) - 1, min(GALLERY_ROUNDS, len(asking))).round().astype(int)
    found = [(asking[i], reader.png(round_folder(folder, asking[i]) / "queries.png")) for i in spaced]
    return [(number, data) for number, data in found if data is not None]
