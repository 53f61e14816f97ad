"""60 runs over 4 workers, two killed: after one more call the serial study. Rewrites its section of RESULTS.md.

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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from same_study import contents

STUDY = Path("multirun_outputs") / "default"
SETTINGS = ["dataset=digits", "model=cnn", "model.width=4", "train.min_steps=20", "trainer.max_epochs=4", "logger=none"]
SETTINGS += ["strategy=random,margin,entropy,kmeans", "al.rounds=5", "al.initial_size=20", "al.query_size=20"]


def call(cwd: Path, *arguments: str, kills: int = 0) -> tuple[int, float, str]:
    """Run the sweep; returns its exit code, its seconds and what it printed.

    Args:
        cwd: the folder that it is started in.
        *arguments: beside those of all.
        kills: processes of runs to kill, once so many run and have committed round 2.
    """
    cwd.mkdir(exist_ok=True)
    start = time.monotonic()
    line = [sys.executable, "-m", "al_lightning", "--multirun", *SETTINGS, *arguments]
    with (cwd / "out").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(line, cwd=cwd, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=out, stderr=out)
        n_killed = 0
        while process.poll() is None:
            time.sleep(0.02)
            runs = [round.parents[1] for round in (cwd / STUDY).glob("*/rounds/002")]
            holders = [run / ".holder" for run in runs if (run / ".holder").exists()]
            if n_killed == 0 and len(holders) >= kills > 0:
                for holder in holders[:kills]:
                    os.kill(json.loads(holder.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
                    n_killed += 1
        out.seek(0)
        assert n_killed == kills, f"{n_killed} killed"
        return process.returncode, time.monotonic() - start, out.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=15, help="of 4 strategies")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=2)
    arguments = parser.parse_args()
    few = max(1, arguments.seeds // 5)  # of submitit, whose runs each import PyTorch
    launchers = {
        "joblib": (arguments.seeds, f"hydra.launcher.n_jobs={arguments.workers}"),
        "submitit_local": (few, f"hydra.sweeper.max_batch_size={arguments.workers}"),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        serial = Path(folder, "serial")
        code, seconds, said = call(serial, f"seed=range({arguments.seeds})")
        assert code == 0, said
        rows.append(f"| one after the other | {4 * arguments.seeds} | 0 | {code} | {seconds:.0f} | | | |")
        for name, (n_seeds, at_once) in launchers.items():
            cwd, n_runs = Path(folder, name), 4 * n_seeds
            line = (f"seed=range({n_seeds})", f"hydra/launcher={name}", at_once)
            first, before, said = call(cwd, *line, kills=arguments.kills)
            assert first == 1 and "the same command goes on" in said, said
            whole = len([*(cwd / STUDY).glob("*/rounds/005")])
            second, after, said = call(cwd, *line)
            assert second == 0, said
            assert f"{n_runs} jobs, {n_runs} runs" in said, said
            mine, of_serial = contents(cwd / STUDY), contents(serial / STUDY)
            runs = {name.partition("/")[0] for name in mine}
            assert len(runs) == n_runs
            of_serial = {name: data for name, data in of_serial.items() if name.partition("/")[0] in runs}
            differ = [name for name in mine.keys() | of_serial.keys() if mine.get(name) != of_serial.get(name)]
            assert not differ, differ
            rows.append(
                f"| `{name}` | {n_runs} | {arguments.kills} | {first}, {second} | {before:.0f} + {after:.0f} | {whole} "
                f"| {len(mine)} | {len(differ)} |"
            )
    write_section(
        "A study over several processes",
        f"By `python benchmarks/study.py` on {machine()}, {datetime.now(UTC):%Y-%m-%d}.",
        f"`{' '.join(SETTINGS)} seed=range({arguments.seeds})` with {arguments.workers} at a time and a thread each;",
        "the processes of two runs get SIGKILL once round 2 is committed, and the same command is given once more.",
        "Then every file of every run folder is compared with the serial study, but for seconds, times of answers, the",
        "commands and folders in `made_by`, and digests of these (`tests/same_study.py`).",
        "The machine had other work meanwhile.",
        "",
        "| launcher | runs | killed | exit codes | seconds | whole after the first call | files | that differ |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    )


if __name__ == "__main__":
    main()
