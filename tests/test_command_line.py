"""Hydra's flags, and Hydra's own settings: neither shows a traceback, loads a pickle or writes Hydra's files."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command
from test_bad_input import assert_refused


class Touch:
    """Unpickling it makes a file."""

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("unpickled"),)


@pytest.mark.parametrize("flag", ["--experimental-rerun", "--exp"])
def test_no_pickle_is_loaded(flag: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "config.pickle").write_bytes(pickle.dumps(Touch()))
    assert_refused(command(flag, str(tmp_path / "config.pickle")), "--experimental-rerun", "pickle")


@pytest.mark.parametrize(
    ("line", "fragments"),
    [
        ("--nope", ["--nope"]),
        ("seed=0 --multirun seed=1,2", ["seed=1,2", "before all settings"]),
        ("--config-name nope", ["nope"]),
        ("--config-path nope", ["--config-path", "--config-dir"]),
        ("--config-dir nope", ["--config-dir nope: there is no such folder"]),
        ("--resolve", ["--resolve"]),
        ("--run --multirun", ["--multirun"]),
        ("--info nope", ["--info", "defaults-tree"]),
        ("--shell-completion", ["install", "query"]),
        ("hydra.launcher=basic", ["hydra.launcher=basic", "hydra/launcher=..."]),
        ("--cfg job --resolve study=${nope}", ["study", "'nope' not found"]),
    ],
)
def test_a_flag_that_cannot_work_is_refused(line: str, fragments: list[str], command: Command) -> None:
    assert_refused(command(*line.split()), *fragments)


@pytest.mark.parametrize(
    "line", ["--cfg job", "--cfg hydra --resolve", "--info all", "--help", "--hydra-help", "--version"]
)
def test_a_flag_that_shows_something_shows_it(line: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "al_lightning", *line.split()]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argument",
    [
        "hydra.run.dir=elsewhere",
        "hydra.sweep.dir=elsewhere",
        "hydra.sweep.subdir=elsewhere",
        "hydra.output_subdir=.hydra",
        "hydra.job.name=a",
        "hydra.job.chdir=true",
        "+hydra.job.env_set={AL_LIGHTNING_ALLOW:os}",
        "hydra.verbose=true",
        "hydra.verbose=0",
        "hydra.searchpath=[elsewhere]",
        "hydra/job_logging=default",
        "hydra/hydra_logging=default",
    ],
)
def test_hydras_own_settings_are_fixed(argument: str, command: Command) -> None:
    key = argument.lstrip("+").split("=")[0].replace("/", ".")
    assert_refused(command(argument), ".".join(key.split(".")[:2]), "launcher, sweeper, mode")


def test_hydra_calls_no_target_that_this_program_would_not(command: Command, tmp_path: Path) -> None:
    make = "{_target_:pathlib.PosixPath.mkdir,_args_:[{_target_:pathlib.PosixPath,_args_:[made]}]}"
    for line in (f"+hydra.launcher.a={make}", f"+hydra.sweeper.a={make}"):
        assert_refused(command("--multirun", line), line[1:].split("=")[0], "AL_LIGHTNING_ALLOW")
    assert_refused(command("--multirun", "+hydra.launcher.a=${b}", f"+b={make}"), "hydra.launcher.a._target_")
    # A file from elsewhere is held to the same.
    launcher = tmp_path / "conf" / "hydra" / "launcher" / "other.yaml"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(
        f"_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher\na: {make.replace(':', ': ')}\n"
    )
    options = ("--multirun", "--config-dir", str(tmp_path / "conf"))
    assert_refused(command(*options, "hydra/launcher=other"), "hydra.launcher.a._target_")
    experiment = tmp_path / "conf" / "experiment" / "other.yaml"
    experiment.parent.mkdir()
    experiment.write_text("# @package _global_\nhydra:\n  run:\n    dir: elsewhere\n")
    assert_refused(command(*options[1:], "experiment=other"), "hydra.run")


def test_launcher_sweeper_and_mode_are_free(command: Command) -> None:
    ended = command("hydra.mode=MULTIRUN", "hydra.sweeper.max_batch_size=1", "seed=0,1", "dry_run=true")
    assert ended.code == 0, ended.err
    assert "what would run" in ended.out and "2 runs, 1 at a time" in ended.out
