"""Runs that lack a model, a test part or a validation set: what exists is written, the rest is empty."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from PIL import Image
from run_folders import differences, only_run

import al_lightning
from al_lightning.report.__main__ import main as report


def rows(folder: Path, name: str = "rounds.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def photos(tmp_path: Path) -> tuple[str, ...]:
    """Settings of a run on photos of which none is kept for a test part."""
    rng = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 128, (8, 8), dtype=np.uint8) + np.uint8(100 * (number % 2))).save(path)
    folder = ("dataset=folder", f"dataset.root={tmp_path / 'photos'}", "dataset.image_size=8", "dataset.channels=1")
    return (*folder, "dataset.test_fraction=0", "al.initial_size=6", "al.query_size=4")


# --- no model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["margin", "random", "bald", "kmeans"])
def test_without_labels_round_0_only_asks(strategy: str, tmp_path: Path, command: Command) -> None:
    ended = command(f"strategy={strategy}", "al.initial_size=0", "logger=wandb", "logger.mode=offline")
    assert (ended.code, ended.err) == (0, "")
    folder = only_run(tmp_path / "cwd")
    first, *others = rows(folder)
    assert first["n_labeled"] == first["n_paid"] == "0"
    assert {value for name, value in first.items() if "/" in name and not name.startswith("seconds/")} == {""}
    assert [row["n_labeled"] for row in others] == ["20", "40"] and all(row["test/acc"] for row in others)
    asked = rows(folder, "queries.csv")
    assert [row["round"] for row in asked] == ["0"] * 20 + ["1"] * 20
    assert {row["predicted"] for row in asked[:20]} == {""}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["failed_fits"] == [1, 2] and summary["aubc"] > 0, "two steps fit nothing, and none is no failure"
    assert al_lightning.load(folder).classes == tuple("0123456789")
    assert report([str(folder)]) == 0


def test_a_logger_of_lightnings_is_told_of_every_round(tmp_path: Path, command: Command) -> None:
    for rounds in (1, 2):
        ended = command("al.initial_size=0", "logger=csv", f"al.rounds={rounds}")
        assert (ended.code, ended.err) == (0, "")
    [log] = (tmp_path / "cwd").glob("multirun_outputs/default/csv/*")
    assert [row["n_labeled"] for row in rows(log, "metrics.csv")] == ["0.0", "20.0", "40.0"]


def test_its_first_query_is_the_same_for_every_strategy(tmp_path: Path, command: Command) -> None:
    firsts = set()
    for strategy in ("margin", "random", "kmeans"):
        assert command(f"strategy={strategy}", "al.initial_size=0", "al.rounds=1", cwd=tmp_path / strategy).code == 0
        firsts.add(tuple(row["index"] for row in rows(only_run(tmp_path / strategy), "queries.csv")))
    assert len(firsts) == 1


def test_it_can_be_balanced(tmp_path: Path, command: Command) -> None:
    assert command("al.initial_size=0", "al.initial=balanced", "al.rounds=1").code == 0
    labels = [row["label"] for row in rows(only_run(tmp_path / "cwd"), "queries.csv")]
    assert sorted(labels) == sorted("0123456789" * 2)


def test_a_run_that_began_without_labels_goes_on(tmp_path: Path, command: Command) -> None:
    assert command("al.initial_size=0", "al.rounds=0").code == 0
    folder = only_run(tmp_path / "cwd")
    assert len(rows(folder)) == 1 and not (folder / "queries.csv").exists()
    for rounds in (1, 2):
        assert command("al.initial_size=0", f"al.rounds={rounds}").code == 0
    assert command("al.initial_size=0", cwd=tmp_path / "whole").code == 0
    assert differences(folder, only_run(tmp_path / "whole")) == []


def test_one_label_is_too_few(command: Command) -> None:
    ended = command("al.initial_size=1")
    assert ended.code == 2
    assert "al.initial_size=1: 1 image to train on; at least 2 are needed, or 0" in ended.err


# --- no test part ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("val_size", [0, 10])
def test_without_a_test_part_it_chooses_and_ends(
    val_size: int, photos: tuple[str, ...], tmp_path: Path, command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = command(*photos, f"al.val_size={val_size}")
    assert ended.code == 0 and "warning" not in ended.err
    folder = only_run(tmp_path / "cwd")
    table = rows(folder)
    assert [row["n_labeled"] for row in table] == ["6", "10", "14"]
    assert {row["test/acc"] for row in table} == {""}
    assert [bool(row.get("val/acc")) for row in table] == [bool(val_size)] * 3
    assert all(row["fit/acc"] for row in table)
    assert al_lightning.load(folder).model is not None
    assert "finished before" in command(*photos, f"al.val_size={val_size}").out
    assert report([str(folder)]) != 0
    assert "it has no test part, so there is nothing to compare" in capfd.readouterr().err


def test_beside_runs_with_one_it_is_left_out_of_the_report(
    photos: tuple[str, ...], tmp_path: Path, command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(*photos).code == 0
    assert command("dataset=digits").code == 0
    assert report([str(tmp_path / "cwd" / "multirun_outputs" / "default")]) == 0
    said = capfd.readouterr()
    assert "it has no test part, so there is nothing to compare" in said.out + said.err


def test_the_images_of_a_test_part_that_is_not_there_are_in_the_pool(photos: tuple[str, ...], command: Command) -> None:
    assert "pool 60, test 0, 2 classes" in command(*photos, "al.rounds=0").out
