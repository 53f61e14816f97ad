"""Time from the command to the first optimizer step, against importing what it is made of; and a run's peak memory.

Fresh processes, in turn. Rewrites its section of benchmarks/RESULTS.md.

    python benchmarks/startup.py --data data
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import machine, write_section

IMPORTS = "import torch, torchvision, pytorch_lightning"
# The command, ended from inside of its first step.
FIRST_STEP = """
import os, al_lightning.__main__ as command
from torch.optim.optimizer import register_optimizer_step_pre_hook
register_optimizer_step_pre_hook(lambda *args: os._exit(0))
command.main()
"""
PEAK = """
import resource, al_lightning.__main__ as command
assert command.main() == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def seconds(code: str, *arguments: str) -> float:
    """Wall time of a fresh process in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def peak_gib(*arguments: str) -> float:
    """Largest resident set of the command, in GiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PEAK, *arguments]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    for code in (IMPORTS, FIRST_STEP):
        seconds(code)  # files into the page cache
    pairs = [(seconds(IMPORTS), seconds(FIRST_STEP)) for _ in range(arguments.repeats)]
    imports, first_step = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(step / base for base, step in pairs)
    rows = [
        f"| import torch, torchvision, pytorch_lightning | {imports:.2f} s | 1.00 |",
        f"| `al_lightning` (digits, margin) until the first optimizer step | {first_step:.2f} s | {ratio:.2f} |",
    ]
    if (arguments.data / "MNIST" / "raw").is_dir():
        mnist = (
            "dataset=mnist",
            f"paths.data={arguments.data.resolve()}",
            "al.rounds=1",
            "train.min_steps=20",
            "train.max_cycles=1",
            "logger.mode=offline",
        )
        for strategy in ("margin", "bald", "kmeans"):
            peak = peak_gib(*mnist, f"strategy={strategy}")
            rows.append(f"| peak memory, MNIST, 2 rounds, `strategy={strategy}` | {peak:.2f} GiB | |")
    write_section(
        "Start and memory",
        f"By `make bench` on {machine()}.",
        f"Medians of {arguments.repeats} fresh processes, taken in turn; a ratio is the median of the pairs' ratios.",
        "",
        "| what | figure | ratio |",
        "|---|---|---|",
        *rows,
    )


if __name__ == "__main__":
    main()
