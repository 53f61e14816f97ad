"""`al_lightning.run` does what the command does, and leaves the process that calls it as it was."""

import gc
import json
import logging
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from conftest import Command, fast
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from run_folders import differences, only_run

import al_lightning
from al_lightning.data.images import ImageData
from al_lightning.errors import ConfigError, UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one that calls are made in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_the_command_s_and_the_same_call_again_skips_it(command: Command, tmp_path: Path) -> None:
    typed = ["strategy=random", "al.rounds=1", "+callbacks.lr._target_=pytorch_lightning.callbacks.LearningRateMonitor"]
    assert command(*typed, "logger=csv").code == 0  # in its own folder, where this is now
    by_command = only_run(Path.cwd())
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path)
        first, again = (al_lightning.run(fast((*typed, "logger=csv"))) for _ in range(2))
        assert (first.folder, first.state, again.state) == (
            only_run(tmp_path).relative_to(tmp_path),
            "finished",
            "skipped",
        )
        longer = al_lightning.run([f"resume={first.folder}", "al.rounds=2"])
        assert (longer.state, longer.summary["rounds_done"]) == ("resumed", 3)
        made_by = json.loads((first.folder / "summary.json").read_text(encoding="utf-8"))["made_by"]
    assert command(f"resume={by_command}", "al.rounds=2").code == 0
    assert differences(only_run(tmp_path), by_command) == []
    assert [made["command"].partition(" strategy=")[0] for made in made_by[:1]] == ["python -m al_lightning"]
    assert again.summary["final"] == first.summary["final"]


@pytest.mark.parametrize(
    "typed",
    [
        ["al.nope=1"],
        ["al.rounds=-1"],
        ["strategy=nope"],
        ["al.rounds=1", "seed"],
        ["trainer._target_=os.system"],
        ["hydra.job.chdir=true"],
        ["--config-dir", "nowhere"],
        ["resume=nowhere"],
    ],
    ids=" ".join,
)
def test_what_the_command_refuses_is_raised_with_its_message(typed: list[str], command: Command) -> None:
    ended = command(*typed)
    with pytest.raises(ConfigError) as raised:
        al_lightning.run(fast(tuple(typed)))
    assert (ended.code, ended.err) == (2, f"error: {raised.value}\n")
    assert not Path("multirun_outputs").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--multirun", "seed=0,1"], "--multirun: a sweep is for the command; call al_lightning.run once for each run"),
        (["hydra.mode=MULTIRUN", "seed=0,1"], "hydra.mode=MULTIRUN seed=0,1: a sweep is for the command"),
        (["--cfg", "job"], "--cfg: al_lightning.run takes settings and --config-dir, --config-path, --config-name"),
        (["--version"], "--version: al_lightning.run takes settings"),
        ("dataset=digits seed=1", "al_lightning.run(['dataset=digits', 'seed=1'])"),
    ],
    ids=str,
)
def test_what_is_the_command_s_only_is_refused_with_advice(typed: list[str], said: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        al_lightning.run(typed)
    assert said in str(raised.value)


@pytest.mark.parametrize("typed", [["model=cnn", "model.width=4"], ["embedding=pixels", "model=linear"]], ids=str)
def test_a_run_leaves_no_images_behind(typed: list[str], folder: Path) -> None:
    """In one process, a hundred runs take no more memory than one, however seldom Python looks for cycles."""
    gc.collect()
    gc.disable()
    try:
        before = sum(type(each) is ImageData for each in gc.get_objects())
        al_lightning.run(fast(("seed=77", *typed)))
        assert sum(type(each) is ImageData for each in gc.get_objects()) == before
    finally:
        gc.enable()


def test_a_failure_is_raised(folder: Path) -> None:
    with pytest.raises(UserError, match=r"round 0 diverged.*no round was committed"):
        al_lightning.run(fast(("+optimizer.eps=0",)))


def test_a_dry_run_says_what_would_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = al_lightning.run(fast(("dry_run=true",)))
    assert (outcome.state, outcome.summary, outcome.folder.exists()) == ("new", {}, False)
    assert f"run folder: {outcome.folder} (new, 0 of 3 rounds are there)" in capsys.readouterr().out


def test_hydra_of_the_caller_s_and_all_else_of_the_process_stay_as_they_were(folder: Path) -> None:
    """Even in a job of a sweep of the caller's, which is none of this program's."""
    (folder / "theirs").mkdir()
    (folder / "theirs/config.yaml").write_text("mine: 1\nname: ${hydra:job.name}\n", encoding="utf-8")
    lightning = logging.getLogger("pytorch_lightning")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder / "theirs"), version_base="1.2", job_name="theirs"):
        their_run = compose("config", return_hydra_config=True, overrides=["hydra.mode=MULTIRUN", "hydra.job.num=3"])
        HydraConfig.instance().set_config(their_run)

        def state() -> tuple[object, ...]:
            kept = [*sys.argv], lightning.level, [*warnings.filters], signal.getsignal(signal.SIGINT)
            return *kept, torch.get_num_threads(), HydraConfig.get().mode, HydraConfig.get().job.name

        before, hydra = state(), GlobalHydra.instance().hydra
        assert al_lightning.run(fast(("al.rounds=0", "study=a"))).state == "finished"
        with pytest.raises(ConfigError):
            al_lightning.run(["al.nope=1"])
        assert state() == before and before[-2] is RunMode.MULTIRUN
        assert GlobalHydra.instance().hydra is hydra
        again = compose("config", return_hydra_config=True)
        assert [source.path for source in again.hydra.runtime.config_sources] == [
            source.path for source in their_run.hydra.runtime.config_sources
        ]
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_ends_the_call_and_the_next_one_goes_on(number: int, kind: type[BaseException], folder: Path) -> None:
    from al_lightning.models.classifier import Classifier

    calls, step = [], Classifier.test_step

    def stopped(*given: object) -> None:
        calls.append(given)
        if len(calls) == 4:
            signal.raise_signal(number)
        step(*given)  # type: ignore[arg-type]

    with patch.object(Classifier, "test_step", stopped), pytest.raises(kind):
        al_lightning.run(fast(()))
    assert json.loads((only_run(folder) / "summary.json").read_text(encoding="utf-8"))["state"] == "interrupted"
    assert al_lightning.run(fast(())).state in ("resumed", "finished")


def test_importing_the_package_is_no_import_of_pytorch() -> None:
    script = "import sys, al_lightning; al_lightning.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
