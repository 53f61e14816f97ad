"""Images come and go while people answer: an index stays that of one image, and what was measured stays measured."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import kill_points
import numpy as np
import pandas as pd
import pytest
from conftest import Command, own_oracle
from kill_points import FOLDER, Point
from PIL import Image
from processes import start
from run_folders import contents, differences, only_run, table

from al_lightning.data import state
from al_lightning.data.listing import from_csv_gz

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
    """A folder with photos, 12 to learn from and 3 to test on of each class; and `oracle=crowd`."""
    own_oracle(tmp_path, PEOPLE, monkeypatch, notes=tmp_path / "asked.jsonl", patience=99)
    photos(tmp_path, {"train/": 12, "test/": 3})
    return tmp_path


def run(place: Path, patience: int = 99, *more: str) -> tuple[str, ...]:
    """The command's arguments. The patience is a setting: a run with another one is another run."""
    return (f"--config-dir={place / 'conf'}", "oracle=crowd", f"oracle.patience={patience}", *RUN, *more)


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
        shutil.rmtree(place / "photos")
        photos(place, {(where := ""): 15})
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


def test_what_was_answered_and_is_gone_is_paid_for_and_trained_on_no_more(place: Path, command: Command) -> None:
    """An image that had a label, and one that was asked for; then the first is back."""
    assert command(*run(place, 8), cwd=place).code == 0
    queries = queried(place)  # round -1 has its 6 answers, round 0 has 2 of 4
    labeled, *_, open_ = queries["id"].tolist()[1:9]
    kept = (place / "photos" / labeled).read_bytes()
    for each in (labeled, open_):
        (place / "photos" / each).unlink()
    ended = command(*run(place, 8), cwd=place)
    assert ended.code == 0 and "the pool has changed: 0 new images, 2 gone" in ended.out
    rows = table(only_run(place) / "rounds.csv")
    assert [row["n_labeled"] for row in rows] == ["6", "8", "12"]
    assert [row["n_paid"] for row in rows] == ["6", "10", "14"]
    assert [row["n_skipped"] for row in rows] == ["0", "2", "2"]
    assert [event["by"] for event in ledger(place) if event["id"] == open_] == ["gone"]
    assert open_ not in "".join((place / "asked.jsonl").read_text().splitlines()[2:]), "nobody is asked for it again"
    assert queried(place).set_index("id")["label_name"][labeled] == labeled.split("/")[1]
    (place / "photos" / labeled).write_bytes(kept)
    ended = command(*run(place, 8), cwd=place)
    assert ended.code == 0 and "the pool has changed: 0 new images, 1 gone" in ended.out
    rows = table(only_run(place) / "rounds.csv")
    assert [row["n_labeled"] for row in rows] == ["6", "8", "12", "17"]
    assert [row["n_skipped"] for row in rows] == ["0", "2", "2", "1"]


# --- refused ---------------------------------------------------------------------------------------------------------


def paint(place: Path) -> str:
    save(place / "photos/train/dog/03.png", np.full((SIDE, SIDE, 3), 9))
    return "1 changed pixels (train/dog/03.png)"


def paint_test(place: Path) -> str:
    save(place / "photos/test/dog/01.png", np.full((SIDE, SIDE, 3), 9))
    return "1 changed pixels (test/dog/01.png)"


def add_test(place: Path) -> str:
    save(place / "photos/test/dog/new.png", np.full((SIDE, SIDE, 3), 9))
    return "1 came (test/dog/new.png)"


def delete_test(place: Path) -> str:
    (place / "photos/test/dog/01.png").unlink()
    return "1 went (test/dog/01.png)"


def add_class(place: Path) -> str:
    save(place / "photos/train/bird/new.png", np.full((SIDE, SIDE, 3), 9))
    return "1 class came (bird), and those of a run stay the same"


@pytest.mark.parametrize("patience", [4, 8], ids=["before the first round", "after it"])
def test_what_would_change_a_measure_or_an_image_is_refused(patience: int, place: Path, command: Command) -> None:
    assert command(*run(place, patience), cwd=place).code == 0
    known, kept = contents(only_run(place)), place / "kept"
    shutil.copytree(place / "photos", kept)
    for change in (paint, paint_test, add_test, delete_test, add_class):
        said = change(place)
        photos(place, {"train/": 1}, seed=9, prefix="+")  # what may change does not hide it, nor is it blamed
        ended = command(*run(place, patience), cwd=place)
        assert ended.code == 1 and f"the images have changed since this run began: {said}" in ended.err
        assert "+00.png" not in ended.err and "overwrite=true" in ended.err
        assert contents(only_run(place)) == known
        shutil.rmtree(place / "photos")
        shutil.copytree(kept, place / "photos")


def test_an_image_that_moves_the_scale_of_all_is_named_as_the_reason(place: Path, command: Command) -> None:
    for number, file in enumerate(sorted((place / "photos").glob("*/*/*.png"))):
        Image.fromarray(np.full((SIDE, SIDE), 900 + number, np.uint16)).save(file)
    assert command(*run(place, 4), cwd=place).code == 0
    Image.fromarray(np.full((SIDE, SIDE), 5000, np.uint16)).save(place / "photos/train/cat/bright.png")
    ended = command(*run(place, 4), cwd=place)
    assert ended.code == 1 and "dataset.levels takes from the pool, from 0...1023 to 0...16383" in ended.err


def test_a_part_of_a_pool_does_not_grow(place: Path, command: Command) -> None:
    assert command(*run(place, 4, "dataset.subset=20"), cwd=place).code == 0
    photos(place, {"train/": 1}, seed=9, prefix="+")
    ended = command(*run(place, 4, "dataset.subset=20"), cwd=place)
    assert ended.code == 1 and "2 came (train/cat/+00.png, train/dog/+00.png)" in ended.err


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_fractions_are_of_the_pool_as_it_is(place: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that the pool has ended goes on once it has grown; until then no image is opened."""
    monkeypatch.setattr(state, "RACY_NS", -(10**18))  # as if the files had been there for long
    sizes = ("al.initial_size=0.25", "al.query_size=0.25", "al.rounds=null", "al.budget=40")
    assert command(*run(place, 99, *sizes), cwd=place).code == 0
    assert [row["n_labeled"] for row in table(only_run(place) / "rounds.csv")] == ["6", "12", "18", "24"]
    with monkeypatch.context() as patched:
        patched.setattr("al_lightning.build.load_whole", lambda settings: pytest.fail("the images were loaded"))
        assert "finished before" in command(*run(place, 99, *sizes), cwd=place).out
    photos(place, {"train/": 4}, seed=9, prefix="+")
    shown = command(*run(place, 99, *sizes, "dry_run=true"), cwd=place)
    rounds = [line.split()[:2] for line in shown.out.splitlines() if re.match(" +[0-9]", line)]
    assert rounds == [["3", "24"], ["4", "32"]], "the last one is run again, to choose"
    ended = command(*run(place, 99, *sizes), cwd=place)
    assert ended.code == 0 and "the pool has grown: 8 new images, 0 gone" in ended.out
    assert "24 + 1 x 8 = 32" in ended.out
    assert [row["n_labeled"] for row in table(only_run(place) / "rounds.csv")] == ["6", "12", "18", "24", "32"]
    ended = command(*run(place, 99, *sizes), cwd=place)
    assert "finished before" in ended.out and "the pool ends it: 32 images" in ended.out


# --- killed ----------------------------------------------------------------------------------------------------------


def _killed(point: Point | None, cwd: Path, arguments: tuple[str, ...]) -> None:
    os.environ["AL_LIGHTNING_ALLOW"] = "people_of_test"  # the server of forks is older than the test
    (kill_points.killed if point else kill_points.whole)(point, cwd, arguments)  # pyright: ignore[reportArgumentType]


def _process(point: Point | None, place: Path) -> int | None:
    return start(_killed, point, place, run(place, 8))


@pytest.mark.faults
def test_killed_while_the_list_grows(place: Path, command: Command) -> None:
    """Before and after each file is in its place, and before the first commit that is of the grown pool."""
    assert _process(None, place) == 0  # waits for 2 answers of round 0
    photos(place, {"train/": 2}, seed=9, prefix="+")
    (place / "photos" / next(each for each in pool(place) if each not in {*queried(place)["id"]})).unlink()
    before, kept, killed = pool(place), place / "kept", place / "killed"
    shutil.copytree(only_run(place), kept)
    points = [
        Point("any", f"{FOLDER}.write_images", 1),
        *(Point("any", "al_lightning.runs.run_folder:replace_file", n, after=True) for n in (6, 7)),
        Point("any", f"{FOLDER}.append", 1),
        Point("any", f"{FOLDER}.commit", 1),
    ]
    sizes = []
    for point in points:
        assert _process(point, place) == -signal.SIGKILL
        sizes.append(len(pool(place)) - len(before))
        assert pool(place)[: len(before)] == before
    assert sizes == [0, 0, 4, 4, 4]
    for goes_on in range(2):
        while summary(place)["state"] != "finished":
            assert _process(None, place) == 0
        if not goes_on:
            folder = only_run(place)
            shutil.move(folder, killed)
            shutil.move(kept, folder)
    assert differences(killed, only_run(place)) == []
    assert any("+" in each for each in queried(place)["id"])
