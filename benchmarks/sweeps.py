"""Two jobs side by side with half of the threads each, against one after the other. Rewrites its section of RESULTS.md.

python benchmarks/sweeps.py --data data
python benchmarks/sweeps.py --data data --rounds 0 --repeats 1   # to see it work
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from in_turn import timed, times
from results import machine, write_section

JOBS = ("--multirun", "seed=0,1", "dataset=mnist", "al.pool_sample=5000", "trainer=cpu", "logger=none")
MODELS = ("resnet18", "cnn")
ONE_BY_ONE, SIDE_BY_SIDE = "one after the other", "side by side"
LAUNCHERS = {ONE_BY_ONE: (), SIDE_BY_SIDE: ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")}


def sweep(had: set[int], *arguments: str) -> None:
    """Run both jobs, and note how many threads each had."""
    # Which threads a job gets is the program's business here.
    unset = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "al_lightning", *JOBS, *arguments]
        subprocess.run(command, cwd=folder, env=unset, check=True, stdout=subprocess.DEVNULL)
        summaries = [
            json.loads(file.read_text(encoding="utf-8"))
            for file in Path(folder).glob("multirun_outputs/*/*/summary.json")
        ]
    assert [summary["finished"] for summary in summaries] == [True, True]
    had.update(summary["threads"] for summary in summaries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw, or is to hold it")
    parser.add_argument("--rounds", type=int, default=4, help="queries of a job")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    common = (f"paths.data={Path(arguments.data).resolve()}", f"al.rounds={arguments.rounds}")
    rows = []
    for model in MODELS:
        threads: dict[str, set[int]] = {name: set() for name in LAUNCHERS}
        runs = {
            name: partial(sweep, threads[name], *common, f"model={model}", *launcher)
            for name, launcher in LAUNCHERS.items()
        }
        seconds = timed(runs, arguments.repeats, warm_up=0)
        rows += [
            f"| `{model}`, {name} | {', '.join(map(str, sorted(threads[name])))} "
            f"| {statistics.median(seconds[name]):.1f} | {times(seconds, ONE_BY_ONE, name):.2f} |"
            for name in runs
        ]
    write_section(
        "Two jobs of a sweep",
        f"By `python benchmarks/sweeps.py` on {machine()}.",
        f"`{' '.join(JOBS)} al.rounds={arguments.rounds}`, the whole command",
        "with its start, which two processes have twice;",
        f"medians of {arguments.repeats} turns. Throughput is the median of the ratios within a turn; the threads are",
        "those of `summary.json`.",
        "",
        "| jobs | threads of a job | seconds | throughput |",
        "|---|---|---|---|",
        *rows,
    )


if __name__ == "__main__":
    main()
