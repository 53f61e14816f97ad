"""What a round costs as the pool grows, from 10,000 to 10,000,000 images. Rewrites SCALE.md.

What has been measured stands in PLACE/measured.jsonl, and is not measured again.

    OMP_NUM_THREADS=1 python benchmarks/scale.py --place /tmp/scale
"""

import argparse
import csv
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path
from typing import Any

from candidates import lines as of_runs
from million import most_memory, prepare
from results import machine
from scale_plan import plan

from al_lightning.config import schema

FILE = Path(__file__).with_name("SCALE.md")
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
D, QUERY = 64, 100  # of the table of all strategies
WIDE, LARGE = 512, 1_000  # of a million
WIDE_SIZES = SIZES[:3]
SCORES, BATCHES = ("margin", "entropy", "bald"), ("badge", "coreset", "typiclust", "maxherding")
NEIGHBORS, RANDOM = ("al.candidates=neighbors",), ("al.candidates=random", "al.pool_sample=100000")
BUILDING, FINDING = ((*NEIGHBORS, "al.rounds=2", f"seed={seed}") for seed in (0, 1))
LIMIT = 300  # seconds a run; of a strategy that needed more no larger pool is tried


@dataclass(frozen=True)
class Case:
    """A run that is measured.

    Attributes:
        strategy: its name.
        n: images of the pool.
        d: features of each.
        query: images a query.
        more: settings besides.
    """

    strategy: str
    n: int
    d: int
    query: int
    more: tuple[str, ...] = ()


class Measured:
    """What has been measured, by case; a line of JSON each.

    Args:
        place: folder for the features and the results.
    """

    def __init__(self, place: Path) -> None:
        self._place, self._file, self._known = place, place / "measured.jsonl", dict[Case, dict[str, Any]]()
        place.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self._known[Case(**{**row["case"], "more": tuple(row["case"]["more"])})] = row

    def of(self, case: Case) -> dict[str, Any]:
        """Most memory `mib`, `seconds` to score and choose, a query, `whole` of the run, and the first `query`.

        No seconds: they were too many.
        """
        if case not in self._known:
            pool = self._place / f"{case.n}x{case.d}"
            if not (pool / "conf").exists():
                prepare(pool, case.n, case.d)
            start = time.monotonic()
            try:
                limit = None if case.more == BUILDING else LIMIT
                mib, seconds = most_memory(case.strategy, pool, case.query, *case.more, timeout=limit)
                query = first_query(pool)
            except subprocess.TimeoutExpired:
                mib, seconds, query = 0, [], []
            except subprocess.CalledProcessError as error:
                raise SystemExit(f"{case}: {error.stderr}") from error
            whole = round(time.monotonic() - start, 1)
            print(case, f"{mib} MiB, {seconds} s, whole {whole} s", flush=True)
            row = {"case": asdict(case), "mib": mib, "seconds": seconds, "whole": whole, "query": query}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            self._known[case] = row
        return self._known[case]

    def grown(self, strategy: str, sizes: tuple[int, ...], d: int, query: int) -> list[tuple[int, int, float]]:
        """Images, MiB and seconds of the whole pool, up to the first size that takes too long."""
        found = []
        for n in sizes:
            row = self.of(Case(strategy, n, d, query))
            if not row["seconds"]:
                break
            found.append((n, row["mib"], row["seconds"][0]))
        return found


def first_query(place: Path) -> list[int]:
    """Data set indices that the first query of the run has asked for."""
    (file,) = place.glob("multirun_outputs/*/*/rounds/000/queries.csv")
    with file.open(newline="", encoding="utf-8") as lines:
        return [int(row["index"]) for row in csv.DictReader(lines)]


def head(*names: str) -> tuple[str, str]:
    """The first two lines of a table."""
    return f"| {' | '.join(names)} |", "|---|" + "---:|" * (len(names) - 1)


def exponent(found: list[tuple[int, int, float]]) -> str:
    """Of the growth of seconds over the last two sizes."""
    if len(found) < 2:
        return "-"
    (n, _, before), (m, _, after) = found[-2:]
    return f"{log(after / before) / log(m / n):.2f}"


def of_all(measured: Measured) -> Iterator[str]:
    """The table of all strategies."""
    yield from head("strategy", *(f"{n:,}" for n in SIZES), "exponent", "images/s")
    for name in schema.options("strategy"):
        if name != "ceiling":
            found = measured.grown(name, SIZES, D, QUERY)
            cells = [f"{seconds:.2f} s, {mib:,} MiB" for _, mib, seconds in found]
            cells += [f"over {LIMIT} s", "-", "-", "-"][: len(SIZES) - len(cells)]
            n, _, seconds = found[-1]
            yield f"| {name} | {' | '.join(cells)} | {exponent(found)} | {n / seconds:,.0f} |"


def of_a_million(measured: Measured) -> Iterator[str]:
    """The table of the strategies that score a million wide rows."""
    yield from head("strategy", *(f"{n:,}" for n in WIDE_SIZES), "exponent", "most memory")
    for name in SCORES:
        found = measured.grown(name, WIDE_SIZES, WIDE, LARGE)
        cells = " | ".join(f"{seconds:.2f} s" for _, _, seconds in found)
        yield f"| {name} | {cells} | {exponent(found)} | {found[-1][1]:,} MiB |"


def of_candidates(measured: Measured) -> Iterator[str]:
    """The table of the strategies that choose from candidates."""
    yield from head("strategy", "candidates", "score and choose", "most memory")
    for name in BATCHES:
        for label, more in (("neighbors", NEIGHBORS), ("100,000 at random", RANDOM)):
            row = measured.of(Case(name, SIZES[2], WIDE, LARGE, more))
            seconds = f"{row['seconds'][0]:.1f} s" if row["seconds"] else f"over {LIMIT} s"
            yield f"| {name} | {label} | {seconds} | {row['mib'] or '-':,} MiB |"


def of_neighbors(measured: Measured) -> Iterator[str]:
    """The table of the index: the run that builds it, and one of another seed that finds it there."""
    whole, most = ("the run that builds the index", "with it"), ("most memory, building", "with it")
    yield from head("images", "first query", "second query", *whole, *most)
    for n in SIZES[2:]:
        building, finding = (measured.of(Case("margin", n, D, LARGE, more)) for more in (BUILDING, FINDING))
        first, second = finding["seconds"]
        yield (
            f"| {n:,} | {first:.2f} s | {second:.2f} s | {building['whole']:.0f} s | {finding['whole']:.0f} s | "
            f"{building['mib']:,} MiB | {finding['mib']:,} MiB |"
        )


def of_recall(measured: Measured) -> Iterator[str]:
    """The table of what is lost by looking at neighbors only, or at some at random, of what the whole pool has."""
    yield from head("strategy", "images", "neighbors", "100,000 at random")
    for name in SCORES[:2]:
        for d in (WIDE, D):
            cases = [Case(name, SIZES[2], d, LARGE, more) for more in ((), NEIGHBORS, RANDOM)]
            whole, *found = (set(measured.of(case)["query"]) for case in cases)
            shares = " | ".join(f"{len(whole & each) / LARGE:.1%}" for each in found)
            yield f"| {name} | {SIZES[2]:,} x {d} | {shares} |"


def sections(measured: Measured, runs: Path) -> Iterator[tuple[str, Sequence[str], Iterator[str]]]:
    """Title, what is to be known, and the lines of each table."""
    yield f"A million times {WIDE}, a query of {LARGE:,}, the whole pool", (), of_a_million(measured)
    known = ("The second query looks up the 1,000 labels that are new. The index is built once, and mapped.",)
    yield f"Neighbors of what is labeled, {D} features, a query of {LARGE:,} by margin", known, of_neighbors(measured)
    known = ("`neighbors`: the 100 nearest of each of 1,000 labels.",)
    yield f"A million times {WIDE}, a query of {LARGE:,}, from candidates", known, of_candidates(measured)
    known = (
        f"The share of the first query of {LARGE:,} from the whole pool that the one from candidates has too. About a "
        "tenth of the images are candidates, and such features are mostly noise, in which neighbors are hardly nearer "
        "than others: the share is what chance gives.",
    )
    yield "What candidates do not find", known, of_recall(measured)
    known = (
        "50,000 images of CIFAR-10 (JPEG; features of EfficientNet-Lite0 at 96 x 96), from 100 to 1,000 labels by "
        "queries of 100, five seeds, by `benchmarks/candidates.py`: area under the budget curve, and its paired "
        "difference from the first line of the strategy, with 95% t intervals. `random`: 10,000.",
    )
    yield "What that costs in accuracy", known, of_runs(runs)
    known = (
        f"Images a second at the largest pool. A run of {LIMIT} s is ended, and no larger pool tried; those from "
        "alfa_mix to batchbald were given 600 s.",
    )
    yield f"Every strategy, {D} features, a query of {QUERY}, the whole pool", known, of_all(measured)


def main() -> None:
    """Measure what is missing, and write each table as soon as it is whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, required=True, help="folder for 4 GB of features")
    parser.add_argument("--runs", type=Path, required=True, help="folder of candidates.py")
    args = parser.parse_args()
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    lines = [
        "# What a round costs as the pool grows",
        "",
        f"By `python benchmarks/scale.py` on {machine()}, {threads} thread, partly beside other work; one run each. "
        "Synthetic features in half precision, mapped from a file; ten overlapping classes, 1,000 labels, "
        "`model=linear`, 100 dropout samples. Seconds are those to score and to choose; most memory is that of the "
        "process, with the mapped features that it has read (0.95 GiB of a million times 512). The exponent is that of "
        "the growth of the seconds over the last two sizes.",
        "",
    ]
    for title, known, table in sections(Measured(args.place.resolve()), args.runs):
        lines += [f"## {title}", "", *(line for each in known for line in (each, "")), *table, ""]
        FILE.write_text("\n".join([*lines, *plan()]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
