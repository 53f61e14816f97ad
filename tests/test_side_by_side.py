"""Runs of a sweep at the same time: each has its share of the cores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_process
from joblib import cpu_count

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.mark.parametrize("users", [None, str(cpu_count())])
def test_the_cores_are_divided_unless_the_user_has_said_how_many_threads(
    users: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in THREADS:
        monkeypatch.delenv(variable, raising=False)
    if users:
        monkeypatch.setenv("OMP_NUM_THREADS", users)
        alone = subprocess.check_output([sys.executable, "-c", "import torch; print(torch.get_num_threads())"])
    else:
        alone = max(1, cpu_count() // 2)
    at_once = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "strategy=margin,random", "al.rounds=0")
    done = run_process("--multirun", *at_once, cwd=tmp_path)
    assert done.code == 0, done.err
    summaries = [json.loads(file.read_text()) for file in tmp_path.rglob("summary.json")]
    assert [summary["threads"] for summary in summaries] == [int(alone)] * 2
