"""A long run, and what its process held after every round."""

import json
import subprocess
import sys
from pathlib import Path

from al_lightning.__main__ import main
from al_lightning.runs.rounds import Round
from al_lightning.runs.run_folder import RunFolder

SETTLED = 5  # rounds until caches are filled


def soak(cwd: Path, rounds: int, *arguments: str) -> list[dict[str, int]]:
    """Run digits for some rounds in a process of its own.

    Returns:
        After each round its memory in KiB, its open files and its threads.
    """
    line = [sys.executable, str(Path(__file__)), f"al.rounds={rounds}", *arguments]
    subprocess.run(line, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    return json.loads((cwd / "held.json").read_text())


def growth(held: list[dict[str, int]], what: str) -> float:
    """By which share the last round held more than the round at which it had settled."""
    return held[-1][what] / held[SETTLED][what] - 1


def _held() -> dict[str, int]:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return {
        "memory": int(status["VmRSS"].split()[0]),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": int(status["Threads"]),
    }


if __name__ == "__main__":
    from conftest import fast

    held: list[dict[str, int]] = []
    commit = RunFolder.commit

    def count(self: RunFolder, done: Round) -> None:
        commit(self, done)
        held.append(_held())

    RunFolder.commit = count
    sys.argv = ["al-lightning", *fast(("al.initial_size=10", "al.query_size=5", *sys.argv[1:]))]
    code = main()
    Path("held.json").write_text(json.dumps(held), encoding="utf-8")
    sys.exit(code)
