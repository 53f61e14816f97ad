"""A SLURM for tests, of this machine alone: sbatch, srun, sacct and scontrol, as far as submitit asks for them.

`install` puts them into a folder for PATH. Tasks are processes with SLURM's variables; `<job>.pid` says which, and
`<job>.state` how it is.
"""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scontrol")


def install(folder: Path) -> dict[str, str]:
    """Make the commands, and return the environment in which they are found."""
    (bin_folder := folder / "bin").mkdir(parents=True)
    for name in COMMANDS:
        file = bin_folder / name
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{folder}" {name} "$@"\n', encoding="utf-8")
        file.chmod(0o755)
    return {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}


def sbatch(state: Path, script: str) -> None:
    """Queue a script, and say its number."""
    number = len(list(state.glob("*.batch"))) + 1
    (state / f"{number}.batch").touch()
    text = Path(script).read_text(encoding="utf-8")
    array = re.search(r"--array=0-(\d+)%(\d+)", text)
    n_tasks, n_at_once = (int(array[1]) + 1, int(array[2])) if array else (0, 1)
    for job in [f"{number}_{task}" for task in range(n_tasks)] or [str(number)]:
        (state / f"{job}.state").write_text("PENDING", encoding="utf-8")
    kept = state / f"{number}.sh"
    kept.write_text(text, encoding="utf-8")  # submitit moves its own
    line = [sys.executable, __file__, str(state), "queue", str(kept), str(number), str(n_tasks), str(n_at_once)]
    null = subprocess.DEVNULL
    subprocess.Popen(line, start_new_session=True, stdin=null, stdout=null, stderr=null)
    print(f"Submitted batch job {number}")


def queue(state: Path, script: str, number: str, n_tasks: str, n_at_once: str) -> None:
    """Run the tasks of a script, so many at once, and those again that are put back."""

    def run(task: int | None) -> None:
        job = number if task is None else f"{number}_{task}"
        own = {"SLURM_JOB_ID": str(int(number) * 100 + (task or 0)), "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
        own |= {"SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "FAKE_JOB": job}
        if task is not None:
            own |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": str(task)}
        code, again = 0, True
        while again:
            (state / f"{job}.state").write_text("RUNNING", encoding="utf-8")
            code = subprocess.run(["bash", script], env={**os.environ, **own}).returncode
            if again := (state / f"{job}.requeue").exists():
                (state / f"{job}.requeue").rename(state / f"{job}.requeued")
        (state / f"{job}.state").write_text("FAILED" if code else "COMPLETED", encoding="utf-8")

    with ThreadPoolExecutor(int(n_at_once)) as threads:
        list(threads.map(run, range(int(n_tasks)) if int(n_tasks) else [None]))


def srun(state: Path, *arguments: str) -> None:
    """Become the command, with its output in files."""
    job, rest = os.environ["FAKE_JOB"], list(arguments)
    while rest[0].startswith("--"):
        if (option := rest.pop(0)) in ("--output", "--error"):
            file = re.sub("%j|%A_%a", job, rest.pop(0)).replace("%t", "0")
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1 if option == "--output" else 2)
    (state / f"{job}.pid").write_text(str(os.getpid()), encoding="ascii")
    os.execvp(rest[0], rest)


def sacct(state: Path, *arguments: str) -> None:
    """Tell the states of all jobs."""
    print("JobID|State|NodeList")
    for file in state.glob("*.state"):
        print(f"{file.stem}|{file.read_text(encoding='utf-8') or 'RUNNING'}|here")


def scontrol(state: Path, action: str, job: str) -> None:
    """Put a job back into the queue, once it has ended."""
    assert action == "requeue"
    (state / f"{job}.requeue").touch()


def task(state: Path, job: str) -> int:
    """The process of a job that has begun."""
    while not (pid := (state / f"{job}.pid")).exists():
        time.sleep(0.05)
    return int(pid.read_text(encoding="ascii"))


if __name__ == "__main__":
    called = {"sbatch": sbatch, "queue": queue, "srun": srun, "sacct": sacct, "scontrol": scontrol}[sys.argv[2]]
    called(Path(sys.argv[1]), *sys.argv[3:])
