"""What candidates cost in accuracy on CIFAR-10: strategies on the whole pool, on some at random, near what is labeled.

Runs that are there are not run again; `scale.py --runs PLACE` has the result in SCALE.md.

    OMP_NUM_THREADS=1 python benchmarks/candidates.py --place /tmp/candidates dataset=cifar10
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml

from al_lightning.report import load
from al_lightning.report.statistics import interval, paired
from al_lightning.runs.learning_curve import aubc

ALL, SEEDS = "all", "0,1,2,3,4"
WHOLE, TOO_SLOW = ("margin", "badge", "coreset"), ("typiclust", "maxherding")  # on 50,000 images
KINDS = {
    ALL: ("al.candidates=all",),
    "random": ("al.candidates=random", "al.pool_sample=10000"),
    "neighbors": ("al.candidates=neighbors",),
}
PROTOCOL = ("al.initial_size=100", "al.query_size=100", "al.rounds=9", "model=linear", "embedding=timm", "logger=none")


def areas(place: Path) -> pd.DataFrame:
    """The area under the budget curve of every run: `strategy, kind, seed, aubc`."""
    rows = load(place / "multirun_outputs")
    found = []
    for folder, run in rows.groupby("folder"):
        settings = yaml.safe_load(Path(str(folder), "config.yaml").read_text(encoding="utf-8"))
        first, area = run.iloc[0], aubc(run["n_labeled"].tolist(), run["test/acc"].tolist())
        found.append((first["strategy"], settings["al"]["candidates"], first["seed"], area))
    return pd.DataFrame(found, columns=["strategy", "kind", "seed", "aubc"])


def lines(place: Path) -> Iterator[str]:
    """The table: AUBC, and its difference from that on the first kind of candidates that there is."""
    yield from ("| strategy | candidates | AUBC | difference |", "|---|---|---:|---:|")
    table = areas(place).pivot(index="seed", columns=["strategy", "kind"], values="aubc")
    for name in (*WHOLE, *TOO_SLOW):
        kinds = [kind for kind in KINDS if (name, kind) in table]
        for kind in kinds:
            values, to = table[name, kind], table[name, kinds[0]]
            mean, test = interval(values), paired(values, to)
            difference = "-" if kind == kinds[0] else f"{test.difference:+.4f} ± {test.half_width:.4f}"
            yield f"| {name} | {kind} | {mean.mean:.4f} ± {mean.half_width:.4f} | {difference} |"


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, required=True, help="folder of the runs")
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="of CIFAR-10 and its features")
    args = parser.parse_args()
    args.place.mkdir(parents=True, exist_ok=True)
    for kind, settings in KINDS.items():
        names = WHOLE if kind == ALL else (*WHOLE, *TOO_SLOW)
        typed = [*args.overrides, *PROTOCOL, *settings, f"study={kind}", f"seed={SEEDS}", f"strategy={','.join(names)}"]
        command = [sys.executable, "-m", "al_lightning", "--multirun", *typed]
        subprocess.run(command, cwd=args.place, check=True)


if __name__ == "__main__":
    main()
