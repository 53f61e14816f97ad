"""A run is of the images that it was made with: what is said when they are others, and how it goes on without some."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Command, Ended
from PIL import Image
from run_folders import differences, only_run

from al_lightning import loop
from al_lightning.data import state

RUN = (
    *("dataset=folder", "dataset.root=photos", "dataset.image_size=8", "dataset.cache=null", "dataset.augment.crop=0"),
    *("al.initial_size=6", "al.query_size=4", "al.rounds=2"),
)
OLD_NS = 10**18  # long ago: files that were written a moment ago are always opened


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photos of cats and dogs, 12 to learn from and 3 to test on of each."""
    rng = np.random.default_rng(0)
    for part, count in {"train": 12, "test": 3}.items():
        for name in ("cat", "dog"):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for number in range(count):
                save(tmp_path / f"photos/{part}/{name}/{number:02}.png", rng.integers(0, 256, (8, 8, 3)))
    return tmp_path


def save(file: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def unlabeled(place: Path) -> list[str]:
    """Ids of images that nobody has asked for, from the last committed round."""
    folder = only_run(place)
    asked = set(pd.read_csv(folder / "queries.csv")["id"])
    listed = pd.read_csv(folder / "images.csv.gz")
    return [each for each in listed.loc[listed["part"] == "pool", "id"] if each not in asked]


def relabel(place: Path) -> str:
    (place / "photos/train/cat/00.png").rename(place / "photos/train/dog/cat.png")
    return "1 moved (train/cat/00.png to train/dog/cat.png)"


def add(place: Path) -> str:
    save(place / "photos/train/cat/new.png", np.full((8, 8, 3), 7))
    return "1 came (train/cat/new.png)"


def delete(place: Path) -> str:
    (place / "photos/test/dog/01.png").unlink()
    return "1 went (test/dog/01.png)"


def paint(place: Path) -> str:
    save(place / "photos/train/dog/03.png", np.full((8, 8, 3), 9))
    return "1 changed pixels (train/dog/03.png)"


def assert_refused(done: Ended, *said: str) -> None:
    assert done.code == 1 and "finished before" not in done.out
    assert "the images have changed since this run began" in done.err and "overwrite=true" in done.err
    for each in said:
        assert each in done.err


@pytest.mark.parametrize("change", [relabel, add, delete, paint])
def test_a_finished_run_on_other_images_is_refused(change, place: Path, command: Command) -> None:
    assert command(*RUN, cwd=place).code == 0
    said = change(place)
    assert_refused(command(*RUN, cwd=place), said)
    assert_refused(command(f"resume={only_run(place)}", cwd=place), said)


@pytest.mark.parametrize("lost", ["", "summary.json"])
def test_images_that_changed_before_the_first_round_was_committed_are_refused(
    lost: str, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for before it stands, and its indices are those of the images as they were."""
    with monkeypatch.context() as patched:
        patched.setattr(loop, "fit_choose_test", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        assert command(*RUN, cwd=place).code == 143
    if lost:
        (only_run(place) / lost).unlink()
    said = add(place)
    assert_refused(command(*RUN, cwd=place), said)
    (place / "photos/train/cat/new.png").unlink()
    assert command(*RUN, cwd=place).code == 0


def test_images_that_changed_under_a_run_that_is_damaged_are_refused(place: Path, command: Command) -> None:
    assert command(*RUN, cwd=place).code == 0
    for folder in (only_run(place) / "rounds").glob("0*"):
        (folder / "environment.json").write_text("{")
    (only_run(place) / "summary.json").unlink()
    said = add(place)
    assert_refused(command(*RUN, cwd=place), said)
    (place / "photos/train/cat/new.png").unlink()
    again = command(*RUN, cwd=place)
    assert again.code == 0 and "set-aside" not in again.err and "begin" in again.err


def test_a_finished_run_on_its_images_opens_none_of_them(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RACY_NS", -OLD_NS)  # as if the files had been there for long
    assert command(*RUN, cwd=place).code == 0
    monkeypatch.setattr("al_lightning.build.load_whole", lambda settings: pytest.fail("the images were loaded"))
    assert "finished before" in command(*RUN, cwd=place).out


def test_files_that_were_only_touched_are_the_same_images(place: Path, command: Command) -> None:
    assert command(*RUN, cwd=place).code == 0
    for file in place.glob("photos/*/*/*.png"):
        os.utime(file, ns=(OLD_NS, OLD_NS))
    assert "finished before" in command(*RUN, cwd=place).out


def test_one_folder_is_one_run_however_it_is_spelled(place: Path, command: Command) -> None:
    assert command(*RUN, cwd=place).code == 0
    for root in ("photos/", "./photos", f"{place}/photos", "photos/../photos"):
        again = command(*RUN, f"dataset.root={root}", cwd=place)
        assert "finished before" in again.out, root


def test_two_folders_of_one_name_are_two_runs(place: Path, command: Command) -> None:
    runs = f"paths.output_root={place}/runs"
    shutil.copytree(place / "photos", place / "b" / "photos")
    add(place / "b")
    first, second = (command(*RUN, runs, cwd=each) for each in (place, place / "b"))
    assert (first.code, second.code) == (0, 0) and "finished before" not in second.out
    assert len(list((place / "runs" / "default").glob("folder-*"))) == 2


def test_a_run_goes_on_without_images_that_are_gone_where_it_is_asked_to(place: Path, command: Command) -> None:
    assert command(*RUN, "al.rounds=1", cwd=place).code == 0
    gone = unlabeled(place)[:3]
    for each in gone:
        (place / "photos" / each).unlink()
    add(place)
    refused = command(*RUN, cwd=place)
    assert_refused(refused, f"3 went ({', '.join(gone)})", "1 came (train/cat/new.png)", "skip_changed=true")
    done = command(*RUN, "skip_changed=true", cwd=place)
    assert done.code == 0 and "3 of the pool are gone" in done.out
    queries = pd.read_csv(only_run(place) / "queries.csv")
    assert len(queries) == 6 + 8 and not set(queries["id"]) & {*gone, "train/cat/new.png"}
    named = [each.split("/")[1] for each in queries["id"]]
    assert named == queries["label_name"].tolist(), "an index stands for another image"


def test_a_pool_that_has_fewer_images_by_now_than_a_run_takes_of_it_has_changed(place: Path, command: Command) -> None:
    part = (*RUN, "dataset.subset=24")
    assert command(*part, "al.rounds=1", cwd=place).code == 0
    for each in unlabeled(place)[:3]:
        (place / "photos" / each).unlink()
    assert_refused(command(*part, cwd=place), "3 went (", "skip_changed=true")
    done = command(*part, "skip_changed=true", cwd=place)
    assert done.code == 0 and "3 of the pool are gone" in done.out


def test_a_run_that_went_on_without_some_images_is_finished_when_the_rest_is_used_up(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RACY_NS", -OLD_NS)
    assert command(*RUN, "al.rounds=1", cwd=place).code == 0
    for each in unlabeled(place)[:3]:
        (place / "photos" / each).unlink()
    more = (*RUN, "al.rounds=null", "al.budget=24")
    assert command(*more, "skip_changed=true", cwd=place).code == 0
    again = command(*more, cwd=place)
    assert again.code == 0 and "finished before" in again.out
    assert "the pool ends it: 21 images, and another query would make it 22 labels" in again.out


def test_a_run_cannot_go_on_without_what_it_has_paid_for(place: Path, command: Command) -> None:
    assert command(*RUN, "al.rounds=1", cwd=place).code == 0
    labeled = pd.read_csv(only_run(place) / "queries.csv")["id"][0]
    (place / "photos" / labeled).unlink()
    assert_refused(command(*RUN, "skip_changed=true", cwd=place), f"without 1 of the labeled images ({labeled})")


def test_images_put_back_are_gone_on_with_to_the_byte(place: Path, command: Command) -> None:
    other = place.parent / f"{place.name}-other"
    shutil.copytree(place, other)
    assert command(*RUN, cwd=other).code == 0
    assert command(*RUN, "al.rounds=1", cwd=place).code == 0
    file = place / "photos" / unlabeled(place)[0]
    kept = file.read_bytes()
    file.unlink()
    assert command(*RUN, cwd=place).code == 1
    file.write_bytes(kept)
    assert command(*RUN, cwd=place).code == 0
    assert [each for each in differences(only_run(place), only_run(other)) if "config.yaml" not in each] == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("al.rounds=1", "al.budget=200"),
            "al.rounds=1 ends it, before al.budget=200 does: for more, add al.rounds=null",
        ),
        (
            ("al.rounds=9", "al.budget=40"),
            "al.budget=40 ends it, before al.rounds=9 does: for more, add al.budget=null",
        ),
        (("al.rounds=9999", "al.budget=40"), "al.budget=40 ends it, before al.rounds=9999 does"),
        (("al.rounds=null", "al.budget=55"), "al.budget=55 ends it: another query would make it 60 labels"),
        (
            ("al.rounds=null", "al.budget=2000", "al.query_size=800"),
            "1437 images, and another query would make it 1620",
        ),
        (("al.rounds=1", "al.budget=55"), ""),
        (("al.rounds=null", "al.budget=40"), ""),
    ],
)
def test_what_ends_a_run_before_all_that_is_asked_for_is_said(
    asked: tuple[str, ...], said: str, tmp_path: Path, command: Command
) -> None:
    assert command(*asked, cwd=tmp_path).code == 0
    again = command(*asked, cwd=tmp_path)
    assert again.code == 0 and "finished before" in again.out
    assert (said in again.out) if said else ("ends it" not in again.out)


def test_a_run_that_has_more_than_is_asked_for_was_not_ended_by_it(tmp_path: Path, command: Command) -> None:
    assert command("al.rounds=2", cwd=tmp_path).code == 0
    again = command("al.rounds=1", "al.budget=200", cwd=tmp_path)
    assert "finished before" in again.out and "ends it" not in again.out
