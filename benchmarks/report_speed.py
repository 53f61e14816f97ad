"""Time of the report over a large study: 300 runs of 150 rounds, written to a temporary folder.

python benchmarks/report_speed.py
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from results import machine, write_section
from studies import Run, study

STRATEGIES = ("random", "margin", "uncertainty", "entropy", "kmeans", "bald")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=25, help="runs are 2 data sets x 6 strategies x so many")
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--keep", type=Path, help="folder to write the study to, and to leave it in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)) / "study"
        if not folder.exists():
            for dataset in ("mnist", "cifar10"):
                run = Run(dataset=dataset, rounds=arguments.rounds, pool=60_000)
                with patch.object(os, "fsync", lambda _: None):  # a commit waits for the disk, which is not measured
                    study(folder, STRATEGIES, range(arguments.seeds), run)
        runs = 2 * len(STRATEGIES) * arguments.seeds
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "al_lightning.report", str(folder)], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the report is the only child
        size = (folder / "report" / "report.html").stat().st_size
        write_section(
            "The report over a large study",
            f"By `python benchmarks/report_speed.py` on {machine()}.",
            "",
            f"{runs} runs of {arguments.rounds} rounds, 2 data sets and 6 strategies: {seconds:.1f} s, of which "
            f"{used.ru_utime + used.ru_stime:.1f} s of a core; the page has {size / 2**20:.1f} MiB.",
        )


if __name__ == "__main__":
    main()
