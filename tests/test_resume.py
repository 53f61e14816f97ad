"""A run that was killed, or that is to have more rounds, ends as if it had been run in one go."""

import os
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import kill_points
import pytest
import torch
from conftest import Command
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from kill_points import MIRRORED, Point, said
from PIL import Image
from processes import start
from run_folders import contents, differences, only_run

import al_lightning
from al_lightning.runs import resume

# --- killed ---------------------------------------------------------------------------------------------------------

SIX = [  # one a phase: fit, score, select, test, write, mirror
    ("margin", Point("fit", "al_lightning.models.classifier:Classifier.training_step", 4), 1),
    ("bald", Point("score", "al_lightning.models.learner:take", 6, after=True), 1),
    ("kmeans", Point("select", "al_lightning.acquisition.select:top", 2), 1),
    ("bald", Point("test", "al_lightning.models.classifier:Classifier._measure", 3), 2),
    ("kmeans", Point("other", "pathlib:Path.rename", 2), 1),
    ("margin", MIRRORED[0], 2),
]


@pytest.mark.faults
@pytest.mark.parametrize(("strategy", "point", "kept"), SIX, ids=str)
def test_a_killed_run_ends_as_if_it_had_not_been(
    strategy: str, point: Point, kept: int, uninterrupted: Callable[[str], Path], tmp_path: Path
) -> None:
    arguments = [f"strategy={strategy}", *(["logger=wandb"] if point in MIRRORED else [])]
    assert kill_points.kill(point, tmp_path, *arguments) == -signal.SIGKILL
    assert kill_points.n_committed(tmp_path) == kept
    assert kill_points.run(tmp_path, *arguments) == 0
    assert f"goes on after round {kept - 1}" in said(tmp_path)
    assert kill_points.lost(only_run(tmp_path), uninterrupted(strategy)) == []


@pytest.mark.faults
def test_a_run_killed_in_another_cycle_of_a_fit_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    cycles = ("train.max_cycles=3", "optimizer.lr=0.02")
    point = Point("fit", f"{kill_points.CLASSIFIER}.training_step", 5)
    assert kill_points.kill(point, tmp_path / "killed", *cycles) == -signal.SIGKILL
    assert kill_points.n_committed(tmp_path / "killed") == 1, "the second round was beyond its first cycle"
    assert kill_points.run(tmp_path / "killed", *cycles) == 0
    assert kill_points.run(tmp_path / "whole", *cycles) == 0
    killed, whole = (only_run(tmp_path / name) for name in ("killed", "whole"))
    assert differences(killed, whole) == []
    rows = (whole / "rounds.csv").read_text(encoding="utf-8").splitlines()
    assert "1" not in {row.split(",")[7] for row in rows[1:]}, "every fit takes several cycles"


def with_threads(threads: int, mode: str, cwd: Path) -> None:
    torch.set_num_threads(threads)
    point = Point("fit", "al_lightning.models.classifier:Classifier.training_step", 4)
    getattr(kill_points, mode)(point, cwd, ("strategy=bald", "model.width=16"))


def test_the_thread_count_comes_back_with_the_run(tmp_path: Path) -> None:
    """A run of 2 threads, killed and given again in a shell with another count, against one that was left alone."""
    assert start(with_threads, 2, "whole", tmp_path / "two") == 0
    assert start(with_threads, 2, "killed", tmp_path / "killed") == -signal.SIGKILL
    assert start(with_threads, 1, "whole", tmp_path / "killed") == 0
    assert start(with_threads, 1, "whole", tmp_path / "one") == 0
    two, killed, one = (only_run(tmp_path / name) for name in ("two", "killed", "one"))
    assert differences(killed, two) == []
    assert "goes on with 2 threads" in said(tmp_path / "killed")
    assert differences(one, two) != []  # so it was the count that came back


# --- by its folder --------------------------------------------------------------------------------------------------


def test_a_finished_run_goes_on_by_its_folder_from_anywhere(
    tmp_path: Path, uninterrupted: Callable[[str], Path], command: Command
) -> None:
    assert command(*kill_points.ARGUMENTS, "al.rounds=1", cwd=tmp_path / "a").code == 0
    (tmp_path / "moved").mkdir()
    folder = only_run(tmp_path / "a").parent.rename(tmp_path / "moved" / "elsewhere")
    (folder,) = folder.glob("*-s0-*")
    ended = command("resume=.", "al.rounds=3", cwd=folder)
    assert ended.code == 0, ended.err
    assert differences(folder, uninterrupted("margin")) == []
    assert "finished before" in command(f"resume={folder}", cwd=tmp_path / "a").out


def test_a_run_that_was_moved_beside_its_images_is_still_itself(tmp_path: Path, command: Command) -> None:
    for number in range(60):
        path = tmp_path / "disk" / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 4 * number).save(path)
    images = ("dataset=folder", f"dataset.root={tmp_path / 'disk' / 'photos'}", "dataset.image_size=8")
    assert command(*images, "al.initial_size=4", "al.query_size=4", cwd=tmp_path / "a").code == 0
    only_run(tmp_path / "a").parent.rename(tmp_path / "disk" / "runs")
    (folder,) = (tmp_path / "disk" / "runs").glob("folder-*")
    ended = command(f"resume={folder}", "al.rounds=3", cwd=tmp_path / "b")
    assert ended.code == 0, ended.err
    assert "goes on after round 1" in ended.out


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["seed=1"], "seed=1: a run goes on with the settings it began with"),
        (["overwrite=true"], "overwrite=true: a run goes on"),
        (["trainer=deterministic"], "trainer=deterministic: a run goes on"),
        (["al.rounds=-1"], "al.rounds=-1: must be at least 0"),
    ],
)
def test_only_what_changes_no_result_is_typed_beside_it(
    arguments: list[str], fragment: str, uninterrupted: Callable[[str], Path], command: Command
) -> None:
    folder = uninterrupted("margin")
    before = contents(folder)
    ended = command(f"resume={folder}", *arguments)
    assert ended.code == 2
    assert fragment in ended.err
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda text: text.replace("seed: 0", "seed: 1"), "is that of another run"),
        (lambda text: text.replace("width: 4", "width: 5"), "is that of another run"),
        (lambda text: text.replace("rounds: 3", "rounds: -3"), "al.rounds=-3: must be at least 0"),
        (lambda text: text.replace("batch_size: 64", "batch_size: many"), "cannot be read"),
        (lambda text: "[" + text, "cannot be read"),
        (lambda text: "", "has no al.budget"),
        (lambda text: "!!python/object/apply:os.system ['touch pwned']", "cannot be read"),
        (lambda text: text.replace("_target_: al_lightning.dataset.digits", "_target_: os.system"), "another run"),
    ],
)
def test_a_configuration_that_is_not_the_runs_own_is_refused(
    change: Callable[[str], str], fragment: str, uninterrupted: Callable[[str], Path], tmp_path: Path, command: Command
) -> None:
    shutil.copytree(uninterrupted("margin").parents[2], tmp_path, dirs_exist_ok=True)
    folder = only_run(tmp_path)
    text = (folder / "config.yaml").read_text()
    assert change(text) != text
    (folder / "config.yaml").write_text(change(text))
    before = contents(folder)
    ended = command(f"resume={folder}", "al.rounds=4", cwd=tmp_path / "a")
    assert ended.code == 2, ended.out
    assert ended.err.startswith("error: ") and len(ended.err.splitlines()) == 1
    assert fragment in ended.err
    assert contents(folder) == before
    assert list((tmp_path / "a").iterdir()) == []


def test_what_is_no_run_folder_is_refused(tmp_path: Path, command: Command) -> None:
    ended = command(f"resume={tmp_path / 'nothing'}")
    assert ended.code == 2
    assert ended.err.startswith(f"error: resume={tmp_path / 'nothing'}: no run folder: ")


@given(
    name=st.text(st.characters(exclude_characters="/\0$\\", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1)
)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_the_command_that_is_printed_can_be_pasted(name: str) -> None:
    (argument,) = shlex.split(resume.command(Path(name)))[3:]
    parsed = OverridesParser.create().parse_override(argument)
    assert parsed.value() == name or str(parsed.value()) == name


# --- moved, cut short, or taken apart --------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path, command: Command) -> Path:
    """A finished run, of three rounds."""
    assert command().code == 0
    return only_run(tmp_path / "cwd")


@pytest.mark.parametrize("lost", ["rounds/002", "rounds", "rounds.csv", "config.yaml", "rounds/002/model.safetensors"])
def test_what_a_finished_run_has_lost_is_named_and_made_again(lost: str, finished: Path, command: Command) -> None:
    shutil.copytree(finished, kept := finished.parents[3] / "kept")
    (shutil.rmtree if (finished / lost).is_dir() else os.remove)(finished / lost)
    ended = command()
    assert ended.code == 0, ended.err
    assert "was finished, but" in ended.out and lost.partition("/")[0] in ended.out
    assert differences(finished, kept) == []
    assert al_lightning.load(finished).classes
    assert "finished before" in command().out


def test_fewer_rounds_than_there_are_are_refused_or_end_with_a_model(tmp_path: Path, command: Command) -> None:
    point = Point("fit", f"{kill_points.CLASSIFIER}.training_step", 6)  # in the third round
    assert kill_points.kill(point, tmp_path / "cwd") == -signal.SIGKILL
    folder = only_run(tmp_path / "cwd")
    assert kill_points.n_committed(tmp_path / "cwd") == 2
    before = contents(folder)
    refused = command(*kill_points.ARGUMENTS, "al.rounds=0")
    assert refused.code == 2
    assert "has 1 queries already; give it al.rounds=1 or more" in refused.err
    assert {name: data for name, data in contents(folder).items() if name != ".holder"}.items() <= before.items()
    assert command(*kill_points.ARGUMENTS, "al.rounds=1").code == 0
    assert command(*kill_points.ARGUMENTS, "al.rounds=1", cwd=tmp_path / "whole").code == 0
    assert differences(folder, only_run(tmp_path / "whole")) == []


def test_the_group_that_is_typed_replaces_the_stored_one(tmp_path: Path, command: Command) -> None:
    assert command("logger=wandb", "logger.mode=offline").code == 0
    folder = only_run(tmp_path / "cwd")
    (logs := folder.parent / "wandb").rename(tmp_path / "logs")
    assert command(f"resume={folder}", "al.rounds=3", "logger=none").code == 0
    assert not logs.exists()
    assert "  name: none" in (folder / "config.yaml").read_text()


def test_a_run_and_its_images_may_be_anywhere_else(tmp_path: Path, command: Command) -> None:
    for number in range(60):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 4 * number).save(path)
    images = ("dataset=folder", f"dataset.root={tmp_path / 'photos'}", "dataset.image_size=8")
    assert command(*images, "al.initial_size=4", "al.query_size=4", "al.rounds=1").code == 0
    folder = only_run(tmp_path / "cwd")
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    (tmp_path / "my results").mkdir()
    folder = folder.rename(tmp_path / "my results" / folder.name)
    resumed = f'resume="{folder}"'
    assert command(resumed, "al.rounds=2").code == 2, "the images are not where they were"
    beside = (f"dataset.root={tmp_path / 'elsewhere'}", "dataset.cache=null", "al.pool_batch_size=64")
    ended = command(resumed, "al.rounds=2", *beside)
    assert ended.code == 0, ended.err
    assert "goes on after round 0" in ended.out
    assert "finished before" in command(resumed).out, "it knows where they are now"
    Image.new("L", (8, 8)).save(tmp_path / "elsewhere" / "a" / "2.png")
    assert "the images have changed" in command(resumed, "al.rounds=3").err


def test_the_folder_of_data_sets_may_have_moved(real: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "MNIST").symlink_to(real / "MNIST")
    small = ("dataset=mnist", "al.initial_size=20", "al.query_size=20", "al.pool_sample=100")
    assert command(*small, "al.rounds=1", f"paths.data={tmp_path / 'data'}").code == 0
    folder = only_run(tmp_path / "cwd")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert command(f"resume={folder}", "al.rounds=2", "dataset.download=false").code == 1
    ended = command(f"resume={folder}", "al.rounds=2", f"paths.data={tmp_path / 'moved'}")
    assert ended.code == 0, ended.err
    assert "goes on after round 0" in ended.out
