"""What others leave in a run folder, and what a sweep is left with when one of its processes is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command, fast
from run_folders import contents, differences, only_run

LEFT = (".DS_Store", "._001", ".nfs0000000000a1b2", "Thumbs.db", "desktop.ini", "000 (copy).png", "1.tmp")


@pytest.mark.parametrize("place", [".", "rounds", "rounds/000"])
def test_files_of_others_are_left_alone(place: str, tmp_path: Path, command: Command) -> None:
    assert command("al.rounds=1", cwd=tmp_path / "run").code == 0
    assert command("al.rounds=2", cwd=tmp_path / "whole").code == 0
    folder, whole = only_run(tmp_path / "run"), only_run(tmp_path / "whole")
    for name in LEFT:
        (folder / place / name).write_bytes(name.encode())
    (folder / "rounds" / ".hidden").mkdir()
    (folder / "rounds" / "007 copy").mkdir()
    done = command("al.rounds=2", cwd=tmp_path / "run")
    assert done.code == 0, done.err
    assert "finished before" in command("al.rounds=2", cwd=tmp_path / "run").out
    kept = contents(folder)
    for name in LEFT:
        assert kept.pop(os.path.normpath(f"{place}/{name}")) == name.encode()
        (folder / place / name).unlink()
    assert (folder / "rounds" / ".hidden").is_dir() and (folder / "rounds" / "007 copy").is_dir()
    assert differences(folder, whole) == []


def test_a_worker_that_is_killed_leaves_a_table_and_what_to_type(tmp_path: Path) -> None:
    """As by the system where memory runs out: joblib ends the others."""
    sweep = ("--multirun", "seed=0,1,2,3", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "al.rounds=1000")
    line = [sys.executable, "-m", "al_lightning", *fast((*sweep, "al.query_size=1"))]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True) as run:
        assert run.stdout and run.stderr
        out = ""
        for text in run.stdout:
            out += text
            if any(tmp_path.rglob("summary.json")):  # a job has begun
                break
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text(encoding="ascii").split()
        workers = [pid for pid in children if "LokyProcess" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")]
        os.kill(int(workers[0]), signal.SIGKILL)
        rest, err = run.communicate(timeout=300)
    out += rest
    assert run.returncode == 1
    assert "a process of the sweep was killed; the same command goes on" in err and "Traceback" not in err
    assert "interrupted" in out and "not begun" in out
    states = {json.loads(file.read_text(encoding="utf-8"))["finished"] for file in tmp_path.rglob("summary.json")}
    assert states == {False}
