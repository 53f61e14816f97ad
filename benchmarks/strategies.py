"""Seconds and memory of one choice of every strategy on a pool of 100,000 embeddings.

Rewrites its section of RESULTS.md, and docs/leaderboard/cost.csv. One that is there already is not measured again.

    python benchmarks/strategies.py --place /tmp/strategies
"""

import argparse
import csv
from pathlib import Path
from typing import Any

from million import most_memory, prepare
from results import machine, write_section

from al_lightning.config import schema

N, D, QUERY = 100_000, 1_280, 100
COSTS = Path(__file__).parents[1] / "docs" / "leaderboard" / "cost.csv"
COLUMNS = ("strategy", "seconds", "peak_mib", "n_candidates", "n_features", "n")


def main() -> None:
    """Measure those that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, required=True, help="folder for a quarter of a gigabyte of features")
    parser.add_argument(
        "--strategies", nargs="*", default=[name for name in schema.options("strategy") if name != "ceiling"]
    )
    parser.add_argument("--again", action="store_true", help="measure them though they are there")
    args = parser.parse_args()
    place = args.place.resolve()
    if not (place / "features.npy").exists():
        prepare(place, N, D)
    COSTS.parent.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, Any]] = {}
    if COSTS.exists():
        with COSTS.open(newline="", encoding="utf-8") as lines:
            rows = {row["strategy"]: row for row in csv.DictReader(lines)}
    for name in args.strategies:
        if name not in rows or args.again:
            memory, (seconds,) = most_memory(name, place, QUERY)
            values = (name, f"{seconds:.1f}", memory, N, D, QUERY)
            rows[name] = dict(zip(COLUMNS, values, strict=True))
            print(name, f"{seconds:.1f} s", f"{memory} MiB", flush=True)
            with COSTS.open("w", newline="", encoding="utf-8") as lines:
                writer = csv.DictWriter(lines, [*COLUMNS], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows[each] for each in sorted(rows))
    write_section(
        "A choice of every strategy",
        f"By `python benchmarks/strategies.py` on {machine()}, one thread. A run on {N:,} x {D:,} features of a file "
        f"in half precision ({N * D * 2 / 2**20:.0f} MiB, mapped, and part of what is counted), 1,000 labels, a query "
        f"of {QUERY}, `model=linear`, 100 dropout samples, 12 clusters. Most memory of the process, and seconds to "
        "score and choose; one run each.",
        "",
        "| strategy | most memory | score and choose |",
        "|---|---|---|",
        *(f"| {name} | {rows[name]['peak_mib']} MiB | {rows[name]['seconds']} s |" for name in sorted(rows)),
    )


if __name__ == "__main__":
    main()
