"""A run that finds something odd where an earlier process was: what it says, and that it does not break on it."""

import json
from pathlib import Path

import pytest
from conftest import Command

from al_lightning.rounds import read_json
from al_lightning.run_folder import RunFolder


def run_once(command: Command, cwd: Path) -> Path:
    assert command(cwd=cwd).code == 0
    (folder,) = (cwd / "multirun_outputs" / "default").glob("digits-*")
    return folder


def test_a_run_without_a_round_leaves_no_empty_tables(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "study" / "run"):
        assert list(tmp_path.rglob("*.csv")) == []


@pytest.mark.parametrize("summary", ['{"finished": true}', "[]", "{", ""])
def test_a_summary_that_says_too_little_is_made_anew(summary: str, tmp_path: Path, command: Command) -> None:
    folder = run_once(command, tmp_path)
    tables = [(folder / name).read_bytes() for name in ("rounds.csv", "queries.csv")]
    (folder / "summary.json").write_text(summary)
    ended = command(cwd=tmp_path)
    assert ended.code == 0, ended.err
    written = read_json(folder / "summary.json")
    assert written is not None
    assert (written["finished"], written["rounds_done"]) == (True, 3)
    assert [(folder / name).read_bytes() for name in ("rounds.csv", "queries.csv")] == tables


@pytest.mark.parametrize("lost", [0, 1000])
def test_images_that_changed_are_said_before_anything_is_touched(lost: int, tmp_path: Path, command: Command) -> None:
    folder = run_once(command, tmp_path)
    summary = read_json(folder / "summary.json")
    assert summary is not None
    changed = {**summary, "data_fingerprint": "0" * 16, "pool_size": summary["pool_size"] - lost}
    (folder / "summary.json").write_text(json.dumps(changed))
    before = (folder / "rounds.csv").read_bytes()
    ended = command("al.rounds=3", cwd=tmp_path)
    assert ended.code == 1
    assert "the images have changed" in ended.err
    assert (folder / "rounds.csv").read_bytes() == before
