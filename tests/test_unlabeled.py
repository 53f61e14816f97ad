"""Runs on pools with images whose label nobody knows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command, own_oracle
from PIL import Image
from run_folders import only_run

PEOPLE = """
from al_lightning.oracle import Answer

class People:
    def __init__(self, data, seed):
        pass

    def ask(self, question):
        assert not [each for each in question.ids if "known" in each], "what is known is asked for"
        return [Answer(index, int("dog" in name), "ann") for index, name in zip(question.indices, question.ids)]
"""
RUN = (
    *("dataset=folder", "dataset.root=photos", "dataset.labels=labels.csv", "dataset.image_size=8"),
    *("dataset.cache=null", "dataset.augment.crop=0", "dataset.test_fraction=0.25", "al.query_size=4", "al.rounds=2"),
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """16 photos with a label and 30 without one."""
    rng, rows = np.random.default_rng(0), [(f"known/{name}{i}.png", name) for name in ("cat", "dog") for i in range(8)]
    paths = [path for path, _ in rows] + [f"{name}{i}.png" for name in ("cat", "dog") for i in range(15)]
    for path in paths:
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "photos" / path)
    table = "".join(f"{path},{name}\n" for path, name in rows)
    (tmp_path / "photos" / "labels.csv").write_text(f"file_name,label\n{table}")
    return tmp_path


def test_the_simulated_oracle_is_asked_for_what_has_a_label(place: Path, command: Command) -> None:
    done = command(*RUN, "al.initial_size=4", cwd=place)
    assert done.code == 0, done.err
    assert "12 of 42 images of the pool have a label: only these are candidates" in done.out
    queries = pd.read_csv(only_run(place) / "queries.csv")
    assert len(queries) == 12 and queries["id"].str.startswith("known/").all()
    for photo in list((place / "photos").glob("*.png"))[:20]:  # without a label
        photo.unlink()
    gone = command(*RUN, "al.initial_size=4", "skip_changed=true", "al.rounds=1", cwd=place)
    assert gone.code == 0 and "finished before" in gone.out, gone.err
    over = command(*RUN, "al.initial_size=6", cwd=place)
    assert (
        over.code == 2
        and "al.rounds=2: 6 + 2 x 4 (al.query_size) + 0 (al.val_size) = 14 labels, but the pool has 12" in over.err
    )
    fraction = command(*RUN, "al.initial_size=0.5", "al.query_size=2", "dry_run=true", cwd=place)
    assert fraction.code == 0, fraction.err


def test_where_people_answer_the_known_labels_are_the_initial_set(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_oracle(place, PEOPLE, monkeypatch)
    people = (f"--config-dir={place / 'conf'}", "oracle=crowd")
    done = command(*people, *RUN, "al.initial_size=2", "al.val_size=3", cwd=place)
    assert done.code == 0, done.err
    assert "12 of 42 images of the pool have a label: a run begins with them" in done.out
    rounds = pd.read_csv(only_run(place) / "rounds.csv")
    assert rounds["n_labeled"].tolist() == [12, 16, 20] and rounds["n_paid"].tolist() == [15, 19, 23]
    events = [json.loads(line) for line in (only_run(place) / "ledger.jsonl").read_text().splitlines()]
    assert {each["id"] for each in events if each["by"] == "given"} == {
        each["id"] for each in events if each["id"].startswith("known/")
    }
    assert all(each["answer"] == ("dog" in each["id"]) for each in events)
    assert "finished before" in command(*people, *RUN, "al.initial_size=2", "al.val_size=3", cwd=place).out
    # More than is known is filled up with others.
    more = command(*people, *RUN, "al.initial_size=20", "study=more", cwd=place)
    assert more.code == 0, more.err
    refused = command(*people, *RUN, "al.initial=balanced", "al.initial_size=20", "study=balanced", cwd=place)
    assert refused.code == 2 and "al.initial=balanced: takes the labels of all images" in refused.err


def test_labels_that_come_later_do_not_change_what_a_run_began_with(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_oracle(place, PEOPLE, monkeypatch)
    people = (f"--config-dir={place / 'conf'}", "oracle=crowd", *RUN, "al.initial_size=2", "dataset.repeat=2")
    assert command(*people, cwd=place).code == 0
    table = place / "photos" / "labels.csv"
    table.write_text(table.read_text().replace("known/cat0.png,cat", "known/cat0.png,dog") + "cat0.png,cat\n")
    again = command(*people, cwd=place)
    assert again.code == 0 and "finished before, accuracy" in again.out, again.err
    longer = command(*people, "al.rounds=3", cwd=place)
    assert longer.code == 0, longer.err
    assert "2 of the labels that it began with are others now, the first that of known/cat0.png: it keeps" in longer.err
    rounds = pd.read_csv(only_run(place) / "rounds.csv")
    assert rounds["n_labeled"].tolist() == [24, 28, 32, 36]


@pytest.mark.parametrize("initial", [0, 6])
def test_a_folder_that_nobody_has_labeled_is_a_pool_for_people(
    initial: int, place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_oracle(place, PEOPLE.replace("assert not", "assert 1 or"), monkeypatch)
    nobody = (*RUN, "dataset.labels=none", "dataset.classes=[cat,dog]", f"al.initial_size={initial}")
    done = command(f"--config-dir={place / 'conf'}", "oracle=crowd", *nobody, cwd=place)
    assert done.code == 0, done.err
    queries = pd.read_csv(only_run(place) / "queries.csv")
    assert len(queries) == initial + 8 and (queries["label"] == queries["id"].str.contains("dog")).all()
    assert torch.isnan(torch.tensor(pd.read_csv(only_run(place) / "rounds.csv")["test/acc"].to_numpy(float))).all()
    refused = command(*nobody, cwd=place)
    assert (
        refused.code == 2
        and "oracle=simulated: answers with labels that are known, and nobody knows any" in refused.err
    )
    imbalanced = (f"--config-dir={place / 'conf'}", "oracle=crowd", *nobody, "dataset.imbalance=2")
    assert (
        "dataset.imbalance=2: takes the labels of all images, and nobody knows those of 46"
        in command(*imbalanced, cwd=place).err
    )
