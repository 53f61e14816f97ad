"""What a run asked labels for, as W&B is shown it."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from mirrored_runs import N_ROUNDS, SUMMARY, commit, make_info, make_mirror, make_round, mirrored_run, records

from al_lightning.runs.run_folder import RunFolder
from al_lightning.runs.run_info import RunInfo
from al_lightning.tracking.label_set import class_entropy
from al_lightning.tracking.wandb_account import run_id

pytestmark = pytest.mark.usefixtures("no_account")


def test_class_balance_of_a_query_is_a_number_a_round(tmp_path):
    mirror = make_mirror()
    path = tmp_path / "study" / "run"
    info = mirrored_run(path, make_mirror("disabled"), upto=1)  # its query is read back from disk
    skewed = make_round(1)
    for query, label in zip(skewed.queries, (0, 0, 0, 1), strict=True):
        query["label"] = label
    with RunFolder(path) as folder:
        mirror.start(make_info(path, tuple(folder.rounds)))
        for done in (skewed, replace(make_round(2), queries=make_round(2).queries[:1]), make_round(3)):
            commit(folder, done)
            mirror.round(done)
    mirror.finish("finished", SUMMARY)
    entropies = [entry["item"].get("queried/class_entropy") for entry in records(info)["history"]]
    # Two of each class; three to one: log2(4) - 3/4 log2(3); one image, which cannot be uneven; no query.
    assert entropies == [1, pytest.approx(2 - 0.75 * math.log2(3)), None, None]


def test_class_entropy_knows_the_most_that_a_query_can_have():
    assert class_entropy([7, 3, 1], 100) == pytest.approx(1)
    assert class_entropy([3, 3, 3], 100) == 0
    assert class_entropy([0, 0, 1, 1, 2, 2], 4) == pytest.approx(math.log(3) / math.log(4))


def label_set(info: RunInfo) -> tuple[dict, dict[str, list[dict[str, str]]]]:
    """The one artifact of a run as logged, and its tables by name."""
    [artifact] = records(info)["artifact"]
    assert artifact["type"] == "label-set"
    tables = {}
    for entry in artifact["manifest"]["contents"]:
        assert Path(entry["local_path"]).is_relative_to(info.folder.parent / "wandb")  # not in the user's home
        with Path(entry["local_path"]).open(encoding="utf-8", newline="") as file:
            tables[entry["path"]] = list(csv.DictReader(file))
    return artifact, tables


@pytest.mark.parametrize(("upto", "state"), [(N_ROUNDS, "finished"), (2, "interrupted"), (1, "failed")])
def test_label_set_is_an_artifact(tmp_path, capfd, upto, state):
    path = tmp_path / "a study" / "zahlen-ü-s3-01234567"
    mirrored_run(path, make_mirror("disabled"), upto=min(upto, 2))
    mirror = make_mirror()
    info = mirrored_run(path, mirror, upto)
    mirror.finish(state, SUMMARY)
    artifact, tables = label_set(info)
    assert artifact["name"] == f"zahlen---s3-01234567-{run_id(info)}"
    asked = min(upto, N_ROUNDS - 1)
    metadata = {"dataset": "tiny", "data_fingerprint": "0123456789abcdef", "pool_size": 20}
    metadata |= {"n_labels": 5 + 4 * asked, "n_validation": 2, "rounds": upto}
    assert json.loads(artifact["metadata"]) == metadata
    expected = {index: index // 4 + 1 for index in range(4 * asked)} | dict.fromkeys(range(15, 20), 0)
    assert {int(row["index"]): int(row["since"]) for row in tables["labeled_since.csv"]} == expected
    assert [row["index"] for row in tables["validation.csv"]] == ["12", "13"]
    counts = [list(row.values()) for row in tables["classes.csv"]]
    assert counts == [["cat", "10", str(2 + 2 * asked)], ["dog", "10", str(3 + 2 * asked)]]
    assert capfd.readouterr() == ("", "")


def test_label_set_counts_what_was_answered(tmp_path):
    """Not what the data set has: people, and noise, may say something else."""
    mirror, info = make_mirror(), make_info(tmp_path / "study" / "run")
    done = make_round(0)
    for query in done.queries:
        query["label"] = 0
    with RunFolder(info.folder) as folder:
        mirror.start(info)
        commit(folder, done)
        mirror.round(folder.rounds[-1])
    mirror.finish("interrupted", SUMMARY)
    counts = [list(row.values()) for row in label_set(info)[1]["classes.csv"]]
    assert counts == [["cat", "10", "6"], ["dog", "10", "3"]]


def test_without_its_label_set_a_run_is_closed_all_the_same(tmp_path, capfd):
    mirror = make_mirror()
    info = mirrored_run(tmp_path / "study" / "run", mirror)
    (info.folder / "ledger.jsonl").unlink()
    (info.folder / "ledger.jsonl").mkdir()
    mirror.finish("finished", SUMMARY)
    log = records(info)
    assert "artifact" not in log and [entry.get("exit_code", 0) for entry in log["exit"]] == [0]
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("W&B: the label set was not logged: IsADirectoryError")
