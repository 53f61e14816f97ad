"""Digests of three reference runs: what a refactoring must leave as it is, to the bit.

`python -m benchmarks.reference [--data FOLDER] [--keep FOLDER]` runs them with one thread and prints, for each, a
digest of its queries, of its measures without the seconds, and of its last model's weights. `reference.json` holds
those of one machine: other processors round in other ways.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

RUNS = {
    "digits-margin": ["dataset=digits", "strategy=margin", "al.rounds=6"],
    "digits-bald": ["dataset=digits", "strategy=bald", "al.rounds=4", "al.val_size=50"],
    "mnist-kmeans": [
        *("dataset=mnist", "model=cnn", "model.width=16", "model.dropout=0.25", "optimizer.lr=0.005"),
        *("strategy=kmeans", "al.n_clusters=12", "al.rounds=3", "batch_size=64", "al.pool_sample=10000"),
    ],
}
QUERIED = ("round", "rank", "index", "id", "score", "label", "predicted")


def digests(folder: Path) -> dict[str, str]:
    """Digests of a finished run."""
    with (folder / "rounds.csv").open(newline="", encoding="utf-8") as file:
        rows = [{name: value for name, value in row.items() if "/" in name} for row in csv.DictReader(file)]
    measures = [{name: row[name] for name in sorted(row) if not name.startswith("seconds/")} for row in rows]
    with (folder / "queries.csv").open(newline="", encoding="utf-8") as file:
        queries = [[row[name] for name in QUERIED] for row in csv.DictReader(file) if int(row["round"]) >= 0]
    (model,) = folder.glob("rounds/*/model.safetensors")
    return {
        "queries": _digest(json.dumps(queries).encode()),
        "measures": _digest(json.dumps(measures).encode()),
        "weights": _digest(model.read_bytes()),
    }


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:16]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data", help="paths.data, with MNIST in it")
    parser.add_argument("--keep", help="folder to leave the runs in")
    given = parser.parse_args()
    found = {}
    with TemporaryDirectory() as temporary:
        for name, settings in RUNS.items():
            root = Path(given.keep or temporary, name)
            places = [f"paths.output_root={root}", f"paths.data={given.data}", "logger=none"]
            subprocess.run(
                [sys.executable, "-m", "al_lightning", *settings, *places],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=sys.stderr,
                check=True,
            )
            (folder,) = (file.parent for file in root.glob("*/*/rounds.csv"))
            found[name] = digests(folder)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
