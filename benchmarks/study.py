"""60 runs over 4 workers, two killed on the way: after one more call the serial study. Rewrites its section of RESULTS.md.

python benchmarks/study.py
python benchmarks/study.py --seeds 2 --workers 2   # to see it work
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from results import machine, write_section
from same_study import contents, differing

STUDY = Path("multirun_outputs") / "default"
SETTINGS = "dataset=digits model=cnn model.width=4 train.min_steps=20 trainer.max_epochs=4 logger=none".split()
SETTINGS += ["strategy=random,margin,entropy,kmeans"]
SETTINGS += "al.rounds=5 al.initial_size=20 al.query_size=20 al.n_clusters=10 al.mc_samples=10".split()


def call(cwd: Path, *arguments: str, kills: int = 0) -> tuple[int, float, str]:
    """Run the sweep; returns its exit code, its seconds and what it printed.

    Args:
        cwd: the folder that it is started in.
        *arguments: beside those of all.
        kills: processes of runs to kill, each once a round more has been committed.
    """
    cwd.mkdir(exist_ok=True)
    start = time.monotonic()
    line = [sys.executable, "-m", "al_lightning", "--multirun", *SETTINGS, *arguments]
    with (cwd / "out").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(line, cwd=cwd, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=out, stderr=out)
        killed: set[int] = set()
        while process.poll() is None:
            time.sleep(0.02)
            for holder in (cwd / STUDY).glob("*/.holder") if len(killed) < kills else ():
                if not (holder.parent / "rounds" / "002").exists() or len(killed) == kills:
                    continue
                try:
                    pid = json.loads(holder.read_text(encoding="utf-8"))["pid"]
                    if pid not in killed:
                        os.kill(pid, signal.SIGKILL)
                        killed.add(pid)
                except (OSError, ValueError):  # it has just ended
                    continue
        out.seek(0)
        assert len(killed) == kills, f"{len(killed)} killed"
        return process.returncode, time.monotonic() - start, out.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=15, help="of 4 strategies")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=2)
    arguments = parser.parse_args()
    seeds, n_runs = f"seed=range({arguments.seeds})", 4 * arguments.seeds
    launchers = {
        "joblib": ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={arguments.workers}"),
        "submitit_local": ("hydra/launcher=submitit_local", f"hydra.sweeper.max_batch_size={arguments.workers}"),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        serial = Path(folder, "serial")
        code, seconds, said = call(serial, seeds)
        assert code == 0, said
        rows.append(f"| one after the other | 0 | {code} | {seconds:.0f} | | | |")
        for name, launcher in launchers.items():
            cwd = Path(folder, name)
            first, before, said = call(cwd, seeds, *launcher, kills=arguments.kills)
            assert first == 1 and "the same command goes on" in said, said
            whole = len([*(cwd / STUDY).glob("*/rounds/005")])
            second, after, said = call(cwd, seeds, *launcher)
            assert second == 0, said
            assert f"{n_runs} jobs, {n_runs} runs" in said, said
            differ, n_files = differing(cwd / STUDY, serial / STUDY), len(contents(cwd / STUDY))
            assert not differ, differ
            rows.append(
                f"| `{name}` | {arguments.kills} | {first}, {second} | {before:.0f} + {after:.0f} | {whole} "
                f"| {n_files} | {len(differ)} |"
            )
    write_section(
        "A study over several processes",
        f"By `python benchmarks/study.py` on {machine()}, {datetime.now(UTC):%Y-%m-%d}.",
        f"{n_runs} runs (`{' '.join(SETTINGS)} {seeds}`) with {arguments.workers} at a time and a thread each; the",
        "processes of two runs get SIGKILL once round 2 is committed, and the same command is given once more. Then every",
        "file of every run folder is compared with the serial study, but for seconds, times of answers, the commands and",
        "folders in `made_by`, and digests of these (`tests/same_study.py`).",
        "",
        "| launcher | killed | exit codes | seconds | runs whole after the first call | files | that differ |",
        "|---|---|---|---|---|---|---|",
        *rows,
    )


if __name__ == "__main__":
    main()
