"""Images come and go while people answer: an index stays that of one image, and what was measured stays measured."""

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import kill_points
import multiprocessing
import numpy as np
import pandas as pd
import pytest
from conftest import Command
from hypothesis import given
from hypothesis import strategies as st
from kill_points import FOLDER, Point
from PIL import Image
from run_folders import contents, only_run, table

from al_lightning.config.plan import Begun, make_plan
from al_lightning.config.schema import ActiveLearning
from al_lightning.data import state
from al_lightning.data.growing import continued
from al_lightning.data.listing import Listed, from_csv_gz
from al_lightning.errors import DataError

# People who answer so many images a process with the class that the path says, and write down what they were asked.
PEOPLE = """
import json
from pathlib import Path
from al_lightning.oracle import Answer

class People:
    def __init__(self, data, seed, *, notes: str, patience: int):
        self.data, self.notes, self.patience = data, Path(notes), patience

    def ask(self, question):
        shown = [self.data.pool.ids[index] for index in question.indices]
        assert shown == list(question.ids), "an index stands for another image"
        with self.notes.open("a") as file:
            file.write(json.dumps(shown) + chr(10))
        answers = [
            Answer(index, question.classes.index(name.split("/")[-2]), "ann")
            for index, name in zip(question.indices, question.ids)
        ]
        answers, self.patience = answers[: self.patience], max(0, self.patience - len(answers))
        return answers
"""
RUN = (
    *("dataset=folder", "dataset.root=photos", "dataset.image_size=8", "dataset.cache=null", "dataset.augment.crop=0"),
    *("al.initial_size=6", "al.query_size=4", "al.rounds=3", "strategy=margin"),
)
SIDE = 8


def save(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def photos(place: Path, parts: dict[str, int], seed: int = 0, prefix: str = "") -> list[str]:
    """Different photos of cats and dogs in each of the parts; returns their ids."""
    rng, made = np.random.default_rng(seed), []
    for part, count in parts.items():
        for name in ("cat", "dog"):
            for number in range(count):
                made.append(f"{part}{name}/{prefix}{number:02}.png")
                save(place / "photos" / made[-1], rng.integers(0, 256, (SIDE, SIDE, 3)))
    return made


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Path:
    """A folder with photos, 12 to learn from and 3 to test on of each class; and `oracle=people`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "growing_people")
    (tmp_path / "growing_people.py").write_text(PEOPLE)
    (tmp_path / "conf" / "oracle").mkdir(parents=True)
    lines = ("name: people", "_target_: growing_people.People", f"notes: {tmp_path}/asked.jsonl", "patience: 99")
    (tmp_path / "conf" / "oracle" / "people.yaml").write_text("\n".join(lines))
    photos(tmp_path, {"train/": 12, "test/": 3})
    return tmp_path


def run(place: Path, patience: int = 99, *more: str) -> tuple[str, ...]:
    """The command's arguments. The patience is a setting: a run with another one is another run."""
    return ("--config-dir", str(place / "conf"), "oracle=people", f"oracle.patience={patience}", *RUN, *more)


def pool(place: Path) -> list[str]:
    """The ids of the pool by index."""
    return [each.id for each in from_csv_gz((only_run(place) / "images.csv.gz").read_bytes()) if each.part == "pool"]


def queried(place: Path) -> pd.DataFrame:
    found = pd.read_csv(only_run(place) / "queries.csv")
    assert found["id"].tolist() == [pool(place)[index] for index in found["index"]]
    assert found["index"].is_unique
    return found


def ledger(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (only_run(place) / "ledger.jsonl").read_text().splitlines()]


def committed(place: Path) -> dict[str, bytes]:
    """What may never change: the files of the committed rounds."""
    return {name: data for name, data in contents(only_run(place)).items() if name.startswith("rounds/")}


def summary(place: Path) -> dict[str, Any]:
    return json.loads((only_run(place) / "summary.json").read_text())


# --- come and gone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", ["train and test", "drawn"])
def test_images_come_and_go_while_a_run_waits(parts: str, place: Path, command: Command) -> None:
    """In every process some are added before all others, and some that nobody asked for are deleted."""
    where = "train/"
    if parts == "drawn":
        (place / "photos" / "train").rename(place / "drawn")
        for name in ("test", "photos"):
            (place / "photos" / name).rename(place / name) if name == "test" else (place / name).rmdir()
        (place / "drawn").rename(place / "photos")
        where = ""
    assert "waiting" in command(*run(place, 4), cwd=place).out
    tests = pd.read_csv(only_run(place) / "images.csv.gz").query("part == 'test'")
    gone: list[str] = []
    for step in range(1, 6):
        before, known, asked = pool(place), committed(place), set(queried(place)["id"])
        free = [each for each in before if each not in asked and each not in gone]
        gone.append(free[step])
        (place / "photos" / gone[-1]).unlink()
        new = photos(place, {where: 2}, seed=step, prefix=f"+{step}-")
        ended = command(*run(place, 4), cwd=place)
        assert ended.code == 0, ended.err
        assert f"the pool has grown: {len(new)} new images, {step} gone" in ended.out
        assert pool(place)[: len(before)] == before and set(pool(place)[len(before) :]) == set(new)
        assert committed(place).items() >= known.items()
        assert summary(place)["pool_size"] == len(pool(place)) - step
        if summary(place)["state"] == "finished":
            break
    assert summary(place)["state"] == "finished" and len(queried(place)) == 6 + 3 * 4
    assert any("+" in each for each in queried(place)["id"]), "what is new is asked for"
    assert not set(queried(place)["id"]) & set(gone)
    assert {event["id"]: event["answer"] for event in ledger(place)} == {
        each: ("cat", "dog").index(each.split("/")[-2]) for each in queried(place)["id"]
    }
    now = pd.read_csv(only_run(place) / "images.csv.gz").query("part == 'test'")
    assert now.to_numpy().tolist() == tests.to_numpy().tolist(), "the test part is the one that it began with"
    with np.load(only_run(place) / "pool.npz", allow_pickle=False) as shown:
        assert len(shown["position"]) == len(pool(place))
    assert "finished before" in command(*run(place, 4), cwd=place).out
