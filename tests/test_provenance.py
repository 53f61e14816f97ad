"""A run says how it was made: the commands, and the commit of the code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command
from run_folders import only_run

from al_lightning.runs import provenance

GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="git is absent")


def git(*question: str, folder: Path) -> str:
    assert GIT
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    line = [GIT, "-C", str(folder), *who, *question]
    return subprocess.run(line, check=True, capture_output=True, text=True, encoding="utf-8").stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit, and a folder in it that a command is typed in."""
    (tmp_path / "here").mkdir()
    (tmp_path / "code.py").write_text("1\n", encoding="utf-8")
    git("init", "-q", folder=tmp_path)
    git("add", "code.py", folder=tmp_path)
    git("commit", "-q", "-m", "first", folder=tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_a_run_says_how_it_was_made(tmp_path: Path, command: Command) -> None:
    (tmp_path / ".git/refs/heads").mkdir(parents=True)  # no repository, but looks like one
    for rounds in (1, 2):
        assert command(f"al.rounds={rounds}", "logger=none", cwd=tmp_path).code == 0
    summary = json.loads((only_run(tmp_path) / "summary.json").read_text(encoding="utf-8"))
    commands = [made["command"].split() for made in summary["made_by"]]
    assert ["al.rounds=1" in commands[0], "al.rounds=2" in commands[1]] == [True, True]
    assert {made["folder"] for made in summary["made_by"]} == {str(tmp_path)}


@needs_git
def test_the_commit_and_whether_files_differ_from_it(checkout: Path) -> None:
    commit = git("rev-parse", "HEAD", folder=checkout)
    (checkout / "untracked").touch()
    assert provenance.made_by()["git"][str(checkout)] == {"commit": commit, "dirty": False}
    (checkout / "code.py").write_text("2\n", encoding="utf-8")
    assert provenance.made_by()["git"][str(checkout)] == {"commit": commit, "dirty": True}


@needs_git
def test_without_git_a_run_is_made_all_the_same(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    made = provenance.made_by()
    assert made["git"] == {} and made["folder"] == str(checkout / "here")


def test_secrets_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["own.py", "seed=1", "dataset.api_key=abc", "+strategy.hub_token=a b"])
    assert provenance.made_by()["command"] == "own.py seed=1 'dataset.api_key=***' '+strategy.hub_token=***'"
