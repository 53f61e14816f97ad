"""Which run a configuration is: what counts, what does not, and runs of earlier versions."""

import csv
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import Command
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from run_folders import contents, only_run
from test_conf import OPTIONS, composed, option_files

from al_lightning.config import effects, identity, schema, targets
from al_lightning.config.effects import ALWAYS, TABLE, Effect, leaves
from al_lightning.runs import rounds, stored

OLDER = Path(__file__).parent / "older"  # a file a format, as a run of that time wrote it
TYPED = ["al.rounds=6", "logger=none"]  # that run's command

# What a run is called must outlive every change of the code: a new one is a mistake, or is told in the changelog.
PINNED = {
    "": "79e38627",
    "model=cnn strategy=bald al.mc_samples=20 al.val_size=50": "fdc501af",
    "dataset=mnist strategy=kmeans al.n_clusters=10 train.engine=plain": "2627ee61",
    "experiment=paper dataset=cifar10 strategy=entropy": "11db36c8",
    "experiment=gal2017 dataset=mnist strategy=random": "f4892767",
    "experiment=paper_small strategy=uncertainty seed=4": "5fc7fcb7",
    "dataset=folder dataset.root=/photos dataset.duplicates=drop dataset.levels=auto dataset.exclude=[masks] "
    "dataset.follow_links=true dataset.parts=null dataset.max_pixels=1000": "cd027f51",
    "dataset=folder dataset.root=/photos dataset.labels=l.csv dataset.classes=[cat,dog] "
    "dataset.ids=content": "ababb638",
    "dataset.imbalance=10 dataset.subset=500 dataset.repeat=2": "de1fd4ce",
    "optimizer=sgd trainer.gradient_clip_val=1 +trainer.gradient_clip_algorithm=value "
    "trainer.precision=bf16-mixed": "8276126c",
    "trainer.deterministic=true +trainer.benchmark=true train.tf32=true al.scoring_precision=bf16 "
    "model.stem=small": "5b15d62f",
    "al.initial=balanced al.pool_sample=500 model.pretrained=true model.dropout=0.1 optimizer=adamw "
    "batch_size=32": "7611c62c",
    "train.engine=plain +trainer.accumulate_grad_batches=2": "dde03e52",
    "train.engine=plain trainer.devices=2": "d5ce2c4c",
    "embedding=timm embedding.weights=w.safetensors embedding.image_size=96 model=linear": "9fd6a19c",
    "embedding=patches embedding.filters=f.safetensors model=linear": "cd4570bb",
    "model=timm model.weights=w.safetensors model.freeze=2": "72dae453",
    "strategy=bald strategy.noise=power strategy.beta=2": "70fbb599",
    "model=cnn model.members=5 model.ensemble=snapshots model.sampling=both al.control=0.2": "826b4c56",
    "strategy=mean_margin": "cee001c9",
    "al.candidates=neighbors al.n_neighbors=50 embedding=pixels model=linear": "eba5b9e3",
    "al.candidates=random al.pool_sample=500": "cbd21dfb",
    "al.pool_sample=500": "cbd21dfb",  # the same run
    "oracle=people oracle.exchange=csv": "539dff25",
    "strategy=epig": "507eadef",
    "strategy=batchbald": "0141af9b",
    "strategy=badge": "f3006464",
    "strategy=bait": "4aac4c68",
    "strategy=coreset": "63296521",
    "strategy=kmeans_center": "31b67098",
    "strategy=margin_diverse": "3a9b4c51",
    "strategy=cluster_margin": "1673defa",
    "strategy=alfa_mix": "4e9fbe48",
    "strategy=drop_query": "2eecc181",
    "strategy=typiclust": "69dab61b",
    "strategy=probcover": "9f6630ed",
    "strategy=maxherding": "68d08e81",
    "strategy=uherding": "f4eff63c",
    "oracle.noise=0.1 oracle.name=people oracle._target_=package.People": "1f8bb1cd",
}


def settings_of(*typed: str) -> dict[str, Any]:
    return schema.resolved(composed(*typed))


def every_setting() -> dict[str, Any]:
    """The leaves of all options by key: the last option that has one wins."""
    found: dict[str, Any] = {}
    for group, option in option_files(*(group for group in OPTIONS if group != "experiment")):
        root = ["dataset.root=photos"] if option == "folder" else []
        found |= dict(leaves(settings_of(f"{group}={option}", *root)))
    return found


def with_value(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = OmegaConf.create(settings)
    OmegaConf.update(changed, key, value, merge=False, force_add=True)
    return schema.resolved(changed)


@pytest.mark.parametrize("typed", PINNED)
def test_a_run_keeps_its_name(typed: str) -> None:
    assert identity.fingerprint(settings_of(*typed.split())) == PINNED[typed]


def test_the_pinned_ones_have_every_key_of_the_table_that_counts() -> None:
    """So that none can be made inert without a pinned name changing."""
    counted = {key for typed in PINNED for key in identity.counted(settings_of(*typed.split()))}
    assert {key for key, row in TABLE.items() if row.effect is Effect.RESULT} <= counted


# A section is not a key, and what a root was before it moved counts in its place.
@pytest.mark.parametrize("key", sorted({*every_setting(), *TABLE} - {"paths", "logger", "moved_from"}))
def test_every_key_that_changes_results_changes_the_name_and_no_other_does(key: str) -> None:
    settings = settings_of("dataset=folder", "dataset.root=photos")
    names = {identity.fingerprint(with_value(settings, key, value)) for value in ("one", "two")}
    assert len(names) == (2 if effects.of(key).effect is Effect.RESULT else 1)


@pytest.mark.parametrize("key", [key for key, row in TABLE.items() if row.absent is not ALWAYS])
def test_a_switch_that_is_off_is_as_good_as_none(key: str) -> None:
    settings = settings_of("dataset=folder", "dataset.root=photos")
    off = with_value(settings, key, TABLE[key].absent)
    without = OmegaConf.create(off)
    section, _, name = key.rpartition(".")
    (OmegaConf.select(without, section) if section else without).pop(name)
    assert identity.fingerprint(off) == identity.fingerprint(schema.resolved(without))


@pytest.mark.parametrize("group", ["strategy", "model", "dataset"])
def test_a_target_has_one_home_and_any_spelling_of_it_is_one_run(group: str) -> None:
    for option in OPTIONS[group]:
        settings = settings_of(f"{group}={option}", *(["dataset.root=photos"] if option == "folder" else []))
        target = settings[group]["_target_"]
        assert targets.public(target) == target, "conf/ has the short names"
        where = targets.located(target)
        assert where != target and targets.located(where) == where and targets.public(where) == target
        assert identity.name(with_value(settings, f"{group}._target_", where)) == identity.name(settings)


@pytest.mark.parametrize("group", ["strategy", "model"])
def test_no_two_targets_of_a_room_have_one_short_name(group: str) -> None:
    folder = targets.PACKAGE.parent.joinpath(*targets.ROOMS[group].split("."))
    files = [*folder.rglob("*.py")] if folder.is_dir() else [folder.with_suffix(".py")]
    defined = [line.split("(")[0].split(":")[0] for file in files for line in file.read_text().splitlines()]
    names = [line.split()[1] for line in defined if line.startswith(("def ", "class ")) and " _" not in line]
    assert sorted(names) == sorted(targets.offered(group))


@given(st.lists(st.sampled_from(["al", "model", "x", "_target_"]), min_size=1, max_size=3).map(".".join))
def test_what_is_not_in_the_table_counts(key: str) -> None:
    """A user's own settings: leaving one out of the name would let two configurations meet in one folder."""
    assert effects.counts(f"strategy.own.{key}", None)


# --- earlier versions ------------------------------------------------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path, command: Command) -> Path:
    """A run of format 1 with two of its rounds, in a folder of the name that it had then."""
    assert command("dataset=digits", "model=cnn", "al.rounds=1").code == 0
    folder = only_run(tmp_path / "cwd")
    before = yaml.safe_load((folder / "config.yaml").read_text().partition("\n")[2])
    before["train"]["bn_recalibrate"] = False
    before["strategy"]["_target_"] = "al_lightning.acquisition.select.top"
    for section, key in (("al", "val_size"), ("train", "max_cycles"), ("train", "profile")):
        del before[section][key]
    del before["moved_from"], before["named_by"], before["skip_changed"], before["debug"]
    (folder / "config.yaml").write_text(yaml.safe_dump(before, sort_keys=False))
    for round_ in rounds.folders(folder):
        files = {file.name: file.read_bytes() for file in round_.iterdir() if file.name != rounds.CHECKSUMS}
        row = json.loads(files["measures.json"])
        del row["n_skipped"]
        for name, data in rounds.with_checksums({**files, "measures.json": json.dumps(row).encode()}).items():
            (round_ / name).write_bytes(data)
    return folder.rename(folder.with_name(f"{folder.name[:-8]}d2bdfeb2"))


def test_the_same_command_goes_on_with_a_run_of_an_earlier_version(older: Path, command: Command) -> None:
    ended = command("dataset=digits", "model=cnn", "al.rounds=2")
    assert ended.code == 0, ended.err
    assert "made by an earlier version" in ended.out and "goes on after round 0" in ended.out
    assert [older] == list(older.parent.glob("digits-*"))
    assert (older / "config.yaml").read_text().startswith("format: 2\n")
    assert "finished before" in command(f"resume={older}").out


def test_it_goes_on_by_its_folder_too(older: Path, command: Command) -> None:
    ended = command(f"resume={older}", "al.rounds=2")
    assert ended.code == 0, ended.err
    assert "goes on after round 0" in ended.out
    assert pd.read_csv(older / "rounds.csv")["n_skipped"].to_list() == [0, 0, 0]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("train.max_cycles=3", "train.max_cycles=1"),
        ("+callbacks.a._target_=pytorch_lightning.callbacks.ModelSummary", "no callbacks.a._target_"),
    ],
)
def test_one_that_is_another_run_by_now_is_named(typed: str, said: str, older: Path, command: Command) -> None:
    before = contents(older)
    ended = command("dataset=digits", "model=cnn", "al.rounds=1", typed)
    assert ended.code == 0
    assert f"{older.name} is of an earlier version, with {said};" in ended.err
    assert contents(older) == before


def test_a_folder_as_format_1_left_it_goes_on(tmp_path: Path, command: Command) -> None:
    """It had masks and answered queries; the events, and what was asked before round 0, follow from them."""
    study = tmp_path / "cwd" / "multirun_outputs" / "default"
    study.mkdir(parents=True)
    with tarfile.open(OLDER / "run-1.tar.gz") as file:
        file.extractall(study, filter="data")
    [folder] = study.iterdir()
    before = rows(folder, "queries.csv")

    def goes_on(rounds: int, after: int) -> None:
        ended = command("al.val_size=10", f"al.rounds={rounds}")
        assert ended.code == 0, ended.err
        assert "made by an earlier version" in ended.out and f"goes on after round {after}" in ended.out

    goes_on(3, 1)
    shutil.rmtree(folder / "rounds" / "initial")
    goes_on(4, 2)
    assert [study / folder.name] == list(study.iterdir())
    assert [(row["n_labeled"], row["n_paid"], row["n_skipped"]) for row in rows(folder, "rounds.csv")] == [
        (str(n), str(n + 10), "0") for n in (20, 40, 60, 80, 100)
    ]
    asked = rows(folder, "queries.csv")
    assert [row["use"] for row in asked[:30]] == ["val"] * 10 + ["train"] * 20
    assert [{key: row[key] for key in before[0]} for row in asked[30:70]] == before
    assert len({row["index"] for row in asked}) == len(asked) == 110 and all(row["label"] for row in asked)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.bn_recalibrate=true", "with train.bn_recalibrate=True, which is no more"),
        ("format=3", "has format 3; this version of al_lightning reads up to 2"),
    ],
)
def test_one_that_cannot_go_on_says_why(change: str, said: str, older: Path, command: Command) -> None:
    node = OmegaConf.load(older / "config.yaml")
    OmegaConf.update(node, *change.split("="), force_add=True)
    text = OmegaConf.to_yaml(node).replace("'true'", "true").replace("'3'", "3")
    (older / "config.yaml").write_text(text)
    before = contents(older)
    ended = command(f"resume={older}", "al.rounds=2")
    assert ended.code == 2
    assert said in ended.err
    assert contents(older) == before


def test_the_file_of_a_run_of_format_1_is_read(tmp_path: Path) -> None:
    """As that version wrote it, of the command whose name is pinned today."""
    shutil.copy(OLDER / "config-1.yaml", tmp_path / "config.yaml")
    read = schema.resolved(stored.read(tmp_path))
    assert identity.counted(read) == identity.counted(settings_of(*TYPED))
