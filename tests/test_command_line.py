"""Hydra's flags, its own settings, its plugins: they work, show no traceback, and run nobody's code."""

import logging
import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Command, run_process
from processes import run_command
from test_bad_input import assert_refused

from al_lightning.config.schema import conf_dir


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
        ("--config-path nope", ["--config-path", "nope: there is no such folder"]),
        ("--config-path pkg://nope", ["nope"]),
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
    shown = run_command(line.split(), tmp_path)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "allowed"),
    [
        ("hydra.job.chdir=true", "must be false"),
        ("+hydra.job.env_set={AL_LIGHTNING_ALLOW:os}", "must be empty"),
        ("hydra.output_subdir=.", "must be the name of a folder, or null"),
        ("hydra.output_subdir=../other", "must be the name of a folder, or null"),
        ("hydra.verbose=0", "true, false, or names of loggers"),
        ("hydra.searchpath=[elsewhere]", "elsewhere: there is no such folder"),
        ("hydra.searchpath=elsewhere", "must be a list"),
        ("+hydra.callbacks.a={_target_:os.system,command:ls}", "AL_LIGHTNING_ALLOW"),
        ("hydra.callbacks=[a]", "hydra.callbacks"),
        ("+hydra.sweeper.custom_search_space=os.system", "AL_LIGHTNING_ALLOW"),
        ("+hydra.job_logging.handlers={a:{class:subprocess.Popen,args:ls}}", "logging.StreamHandler"),
        ("+hydra.hydra_logging.handlers=${b}", "must be plain text"),
        ("+hydra.hydra_logging.stream=ext://antigravity", "must be plain text"),
    ],
)
def test_what_is_dangerous_of_hydras_own_settings_is_refused(argument: str, allowed: str, command: Command) -> None:
    assert_refused(command("+b={a:{class:subprocess.Popen,args:ls}}", argument), "hydra", allowed)


@pytest.mark.parametrize("typed", ["hydra.sweeper.params={seed:'1,2'}", "+hydra.sweeper.params.seed='1,2'"])
def test_values_of_a_sweep_that_hydra_cannot_take_from_the_command_line(typed: str, command: Command) -> None:
    assert_refused(command("--multirun", typed), typed, "type its keys as settings of their own")


@pytest.fixture
def log() -> Iterator[None]:
    """Leaves the handlers of Python's log as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("log")
def test_what_is_not_is_free(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ("hydra.job.name=mine", "hydra/job_logging=default", "hydra.verbose=[nobody]", "hydra.output_subdir=.hydra")
    monkeypatch.setenv("COLOR", "blue")
    done = command("hydra.run.dir=here", *own, "hydra.job.env_copy=[COLOR]", "al.rounds=0")
    assert done.code == 0, done.err
    assert (tmp_path / "cwd/here/mine.log").exists() and (tmp_path / "cwd/here/.hydra/config.yaml").exists()
    assert command("--multirun", "hydra.sweep.subdir=s-${seed}", "seed=1,2", "al.rounds=0").code == 0
    refused = command("--multirun", "hydra.sweep.dir=there", "seed=1,2")
    assert refused.code == 2 and "hydra.sweep.dir=there: fixed" in refused.err


def test_a_folder_that_hydra_cannot_write_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_refused(command(f"hydra.run.dir={tmp_path / 'file' / 'x'}"), "hydra.run.dir=", "Not a directory")


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
    # So is what a job of a sweep chooses.
    for name, text in (("good", "job: {name: a}"), ("bad", "job_logging: {handlers: {a: {class: os.system}}}")):
        experiment = tmp_path / "conf" / "experiment" / f"{name}.yaml"
        experiment.parent.mkdir(exist_ok=True)
        experiment.write_text(f"# @package _global_\nhydra:\n  {text}\n")
    assert_refused(command(*options[1:], "experiment=bad"), "hydra.job_logging.handlers.a.class=os.system")
    (tmp_path / "conf" / "tone").mkdir()
    (tmp_path / "conf" / "tone" / "bad.yaml").write_text(experiment.read_text())
    assert_refused(command(*options, "experiment=good,bad"), "hydra.job_logging.handlers.a.class=os.system")
    for text, said in (
        ("{sweeper: {params: {strategy: 'random,margin', +tone: bad}}}", "hydra.job_logging.handlers.a.class"),
        ("{sweeper: {params: {hydra.job.chdir: 'true'}}}", "hydra.sweeper: hydra.job.chdir"),
        ("{job_logging: {filters: {a: {(): os.system}}}}", "hydra.job_logging.filters.a.()=os.system"),
    ):
        experiment.with_stem("worse").write_text(f"# @package _global_\nhydra: {text}\n")
        assert_refused(command(*options, "experiment=worse"), said)


def test_launcher_sweeper_and_mode_are_free(command: Command) -> None:
    ended = command("hydra.mode=MULTIRUN", "hydra.sweeper.max_batch_size=1", "seed=0,1", "dry_run=true")
    assert ended.code == 0, ended.err
    assert "what would run" in ended.out and "2 runs, 1 at a time" in ended.out


OPTION = """\
name: mine
_target_: al_lightning.acquisition.select.top
_partial_: true
score:
  _target_: al_lightning.acquisition.scores.margin
  _partial_: true
"""
LEVEL = "name: cnn\n_target_: al_lightning.models.backbones.cnn\nlevel: 3\n"


@pytest.fixture
def options(tmp_path: Path) -> Path:
    """A folder of options."""
    (tmp_path / "opts" / "strategy").mkdir(parents=True)
    (tmp_path / "opts" / "strategy" / "mine.yaml").write_text(OPTION)
    (tmp_path / "opts" / "model").mkdir()
    (tmp_path / "opts" / "model" / "leveled.yaml").write_text(LEVEL)
    (tmp_path / "opts" / "tone").mkdir()
    (tmp_path / "opts" / "experiment").mkdir()
    (tmp_path / "opts" / "experiment" / "broken.yaml").write_text("# @package _global_\nal:\n  round: 3\n")
    return tmp_path / "opts"


def test_options_are_found_in_the_search_path(command: Command, options: Path) -> None:
    for flags in (f"hydra.searchpath=[{options}]", "hydra.searchpath=[../opts]", f"--config-path={options}"):
        assert_refused(command(flags, "strategy=mien"), "did you mean mine?", "bald")
        assert_refused(command(flags, "mine"), "did you mean strategy=mine?")
        assert_refused(command(flags, "strategy=[mine]"), "a group takes one option")
        assert_refused(command(flags, "model.level=2"), "model=leveled has it")
        assert_refused(command(flags, "tone=[a,b]"), "a group takes one option")
        assert_refused(command(flags, "experiment=broken"), "broken.yaml:3: al.round", "did you mean al.rounds?")
    done = command("--multirun", "hydra.searchpath=[../opts]", "strategy=mine,random", "al.rounds=0")
    assert done.code == 0, done.err
    assert len([*Path("multirun_outputs/default").glob("digits-cnn-mine-s0-*")]) == 1


def test_a_configuration_of_the_users_own(command: Command, options: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.yaml").write_text(
        f"defaults:\n- config\n- override strategy: mine\n- _self_\nstudy: own\n"
        f"hydra:\n  searchpath: [{options}]\n  run: {{dir: .}}\n"
    )
    for flag in ("--config-path", "--config-dir"):
        assert_refused(command(flag, "../own", "--config-name", "mine", "batch_size=few"), "batch_size=few", "Integer")
        assert_refused(command(flag, "../own", "--config-name", "mine", "strategy=mien"), "did you mean mine?")
    done = command("--config-path", "../own", "--config-name", "mine", "al.rounds=0")
    assert done.code == 0, done.err
    assert len([*Path("multirun_outputs/own").glob("digits-cnn-mine-s0-*")]) == 1


def test_a_primary_configuration_in_place_of_ours(command: Command, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    groups = "dataset: digits, strategy: random, model: cnn, optimizer: sgd, oracle: simulated"
    groups += ", trainer: default, logger: none"
    keys = (conf_dir() / "config.yaml").read_text().partition("\nseed:")[2].partition("\nhydra:")[0]
    file = own / "config.yaml"
    body = f"seed:{keys}\nhydra: {{run: {{dir: .}}, output_subdir: null}}\n"
    defaults = "".join(f"- {each}\n" for each in ["_self_", *groups.split(", "), "override hydra/job_logging: none"])
    file.write_text(f"defaults:\n{defaults}{body}")
    assert_refused(command("--config-path", str(own)), str(file), "`- schema`")
    file.write_text(f"defaults:\n- schema\n{defaults}{body}study: 7 up\n".replace("study: default", "#"))
    assert_refused(command("--config-path", str(own)), "study=7 up: names a folder")
    file.write_text(f"defaults:\n- schema\n{defaults}{body}")
    assert_refused(command("--config-path", str(own), "seed=a"), "seed=a")
    done = command("--config-path", "../own", "al.rounds=0")
    assert done.code == 0, done.err
    assert [path.name for path in Path.cwd().iterdir()] == ["multirun_outputs"]
    assert len([*Path("multirun_outputs/default").glob("digits-cnn-random-s0-*")]) == 1
    file.write_text("defaults: [schema\n")
    assert command("--config-path", "../own").err.startswith(f"error: {file}: cannot be read")
    file.write_text("defaults: [schema, {strategy: mien}]\n")
    assert command("--config-path", "../own").err.startswith(f"error: {file}: strategy=mien: there is no such strategy")
    file.write_text(f"defaults:\n- schema\n{defaults}{body}".replace("seed: 0", "seed: ten"))
    ten = file.read_text().partition("ten")[0].count("\n") + 1
    assert command("--config-path", "../own").err.startswith(f"error: {file}:{ten}: seed: ")


SWEEPER = """\
from dataclasses import dataclass, field
from typing import Any

from processes import run_command
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class Order:
    def __init__(self, backwards: bool) -> None:
        self.backwards = backwards


@dataclass
class MyConf:
    _target_: str = "hydra_plugins.my_sweeper.MySweeper"
    seeds: list[int] = field(default_factory=lambda: [1, 2])
    order: Any = field(default_factory=lambda: {"_target_": "hydra_plugins.my_sweeper.Order", "backwards": True})


ConfigStore.instance().store(group="hydra/sweeper", name="mine", node=MyConf, provider="my_sweeper")


class MySweeper(Sweeper):
    def __init__(self, seeds, order) -> None:
        self.seeds = sorted(seeds, reverse=order.backwards)

    def setup(self, *, hydra_context, task_function, config) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        done = self.launcher.launch([[*arguments, f"seed={seed}"] for seed in self.seeds], initial_job_idx=0)
        print("areas", [job.return_value for job in done])
"""


def test_a_plugin_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "lib" / "hydra_plugins" / "my_sweeper.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(SWEEPER)
    monkeypatch.setenv("PYTHONPATH", str(plugin.parents[1]), prepend=os.pathsep)
    (tmp_path / "cwd").mkdir()
    line = ("--multirun", "hydra/sweeper=mine", "al.rounds=0", "al.objective=val/acc", "al.val_size=20")
    done = run_process(*line, cwd=tmp_path / "cwd")
    assert done.code == 0, done.err
    assert re.search(r"job 1: .*seed=2[^$]*job 2: .*seed=1[^$]*areas \[0\.\d+, 0\.\d+\]", done.out)
    assert "2 jobs, 2 runs" in done.out
    mistakes = {"hydra.sweeper.seeds=[x]": "hydra.sweeper.seeds", "hydra.sweeper.seed=[3]": "mean hydra.sweeper.seeds?"}
    for wrong, said in mistakes.items():
        done = run_process(*line, wrong, cwd=tmp_path / "cwd")
        assert done.code == 2 and said in done.err and "Traceback" not in done.err
    done = run_process(*line, "hydra.sweeper.order._target_=os.system", cwd=tmp_path / "cwd")
    assert done.code == 2 and "hydra.sweeper.order._target_=os.system" in done.err
