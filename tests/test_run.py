"""A real run of seconds: what it leaves on disk, and that it goes on from there."""

import json
import os
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from conftest import Command
from omegaconf import OmegaConf
from pandas.testing import assert_frame_equal
from run_folders import contents, differences, only_run
from safetensors.torch import load_file

from al_lightning import build
from al_lightning.data.sources import digits
from al_lightning.runs.rounds import Round, read_json
from al_lightning.runs.run_folder import RunFolder

MEASURES = ["acc", "balanced_acc", "f1", "auroc", "nll", "ece"]
COLUMNS = [
    *("round", "n_labeled", "n_paid", "n_skipped"),
    *(f"fit/{name}" for name in ("acc", "loss", "min_recall", "steps", "cycles", "ok", "reason")),
    *(f"test/{name}" for name in MEASURES),
    *(f"seconds/{name}" for name in ("fit", "score", "select", "test", "other")),
]
QUERY_COLUMNS = ["round", "rank", "index", "id", "score", "label", "predicted", "label_name", "predicted_name", "use"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs below, each made once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def two(runs: Path, command) -> Path:
    return _made(runs / "two", command, "al.rounds=2")


@pytest.fixture
def three(runs: Path, command) -> Path:
    return _made(runs / "three", command, "al.rounds=3")


def _made(cwd: Path, command, *arguments: str) -> Path:
    if not cwd.exists():
        ended = command(*arguments, cwd=cwd)
        assert ended.code == 0, ended.err
    return only_run(cwd)


def copy_of(folder: Path, cwd: Path) -> Path:
    shutil.copytree(folder.parents[2], cwd)
    return only_run(cwd)


def rounds(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "rounds.csv")


# --- what it leaves -------------------------------------------------------------------------------------------------


def test_the_files_are_those_of_the_contract(two: Path) -> None:
    of_a_round = {"measures.json", "environment.json", "queries.csv", "confusion.csv", "SHA256SUMS"}
    of_a_round |= {"reliability.csv"}
    expected = {"config.yaml", "rounds.csv", "queries.csv", "summary.json", "pool.npz", "images.csv.gz", ".lock"}
    expected |= {"ledger.jsonl", *(f"rounds/initial/{name}" for name in ("queries.csv", "classes.json", "SHA256SUMS"))}
    expected |= {"rounds/002/model.safetensors"}
    expected |= {f"rounds/{number:03d}/{name}" for number in range(3) for name in of_a_round}
    expected |= {f"rounds/{number:03d}/{name}" for number in range(2) for name in ("scores.csv", "queries.png")}
    assert set(contents(two)) == expected  # no pickle, nothing of Hydra or Lightning
    cwd = two.parents[2]
    assert [path.name for path in cwd.iterdir()] == ["multirun_outputs"]
    assert list((cwd / "multirun_outputs").rglob("*-s0-*")) == [two]
    summary = read_json(two / "summary.json")
    assert summary is not None
    assert (summary["finished"], summary["state"], summary["rounds_done"]) == (True, "finished", 3)
    assert "${" not in (two / "config.yaml").read_text()


def test_rounds_csv_has_a_row_a_round_and_the_labels_that_were_paid(two: Path) -> None:
    table = rounds(two)
    assert list(table.columns) == COLUMNS
    assert table["round"].tolist() == [0, 1, 2]
    assert table["n_labeled"].tolist() == table["n_paid"].tolist() == [20, 40, 60]
    assert table.drop(columns="fit/reason").notna().all(axis=None)
    assert (table.filter(like="seconds/") >= 0).all(axis=None)


def test_what_a_report_shows_agrees_with_the_rounds(two: Path) -> None:
    table, queries = rounds(two), pd.read_csv(two / "queries.csv")
    for number in range(3):
        bins = pd.read_csv(two / f"rounds/{number:03d}/reliability.csv").fillna(0)
        n, confidence, accuracy = (bins[name].to_numpy() for name in ("n", "confidence", "accuracy"))
        assert n.sum() == len(digits().test)
        assert n @ accuracy / 360 == pytest.approx(table["test/acc"].to_list()[number], abs=1e-6)
        assert n @ np.abs(accuracy - confidence) / 360 == pytest.approx(table["test/ece"].to_list()[number], abs=1e-6)
    for number in range(2):
        scores = pd.read_csv(two / f"rounds/{number:03d}/scores.csv")
        assert [int(scores[name].to_numpy().sum()) for name in ("pool", "queried")] == [1437 - 20 * (number + 1), 20]
        asked = queries.loc[queries["round"] == number, "score"].to_numpy()
        assert scores["low"].to_list()[0] <= asked.min()
        assert asked.max() == pytest.approx(scores["high"].to_list()[-1])
        with PIL.Image.open(two / f"rounds/{number:03d}/queries.png") as strip:
            first = digits().pool.images[queries.loc[queries["round"] == number, "index"].iloc[0], 0]
            assert np.array_equal(np.asarray(strip)[:, :8], first.numpy())
    with np.load(two / "pool.npz", allow_pickle=False) as pool:
        assert pool["position"].shape == (1437, 2) and pool["label"].tolist() == digits().pool.labels.tolist()


def test_queries_are_of_unlabeled_images_each_once_and_agree_with_the_ledger_and_the_data(two: Path) -> None:
    pool, queries = digits().pool, pd.read_csv(two / "queries.csv", dtype={"id": str})
    assert list(queries.columns) == QUERY_COLUMNS
    assert queries["index"].is_unique
    assert queries["id"].tolist() == [pool.ids[index] for index in queries["index"]]
    assert queries["label"].tolist() == pool.labels[queries["index"].tolist()].tolist()
    assert queries.loc[queries["round"] >= 0, "predicted"].between(0, 9).all()
    for number in (-1, 0, 1):
        asked = queries[queries["round"] == number]
        assert asked["rank"].tolist() == list(range(20))
        assert number < 0 or asked["score"].tolist() == sorted(asked["score"], reverse=True)
    with (two / "ledger.jsonl").open(encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    assert [(each["round"], each["index"], each["id"], each["answer"]) for each in events] == [
        *queries[["round", "index", "id", "label"]].itertuples(index=False, name=None)
    ]
    assert {each["by"] for each in events} == {"simulated"}
    assert [each["at"] for each in events] == sorted(each["at"] for each in events)
    for number in range(3):
        seen = read_json(two / f"rounds/{number:03d}/environment.json")
        assert seen is not None and seen["ledger"]["events"] == 20 * (number + 1)


def test_the_weights_of_the_last_round_are_a_state_dict_that_measures_the_same(two: Path) -> None:
    settings, data = OmegaConf.to_container(OmegaConf.load(two / "config.yaml")), digits()
    model = build.make_classifier(settings, data, 1, 60)  # type: ignore[arg-type]
    model.load_state_dict(load_file(two / "rounds/002/model.safetensors"), strict=True)
    with torch.inference_mode():
        correct = model.eval()(data.test.images).argmax(1) == data.test.labels
    assert correct.double().mean().item() == pytest.approx(rounds(two)["test/acc"].iloc[-1], abs=1e-6)
    table = pd.read_csv(two / "rounds/002/confusion.csv", index_col="true", dtype={"true": str})
    assert list(table.index) == list(table.columns) == list(data.classes)
    confusion = table.to_numpy()
    assert np.trace(confusion) == correct.sum()
    assert confusion.sum(1).tolist() == data.test.labels.bincount().tolist()


def test_validation_labels_are_paid_and_a_budget_stops_in_time(tmp_path: Path, command) -> None:
    assert command("al.val_size=30", "al.rounds=null", "al.budget=89", cwd=tmp_path / "a").code == 0
    folder = only_run(tmp_path / "a")
    table = rounds(folder)
    assert list(table.columns) == [*COLUMNS[:-5], *(f"val/{name}" for name in MEASURES), *COLUMNS[-5:]]
    assert table["n_labeled"].tolist() == [20, 40]
    assert table["n_paid"].tolist() == [50, 70]  # the next query would make it 90
    uses = pd.read_csv(folder / "queries.csv").groupby("round")["use"].value_counts().to_dict()
    assert uses == {(-1, "val"): 30, (-1, "train"): 20, (0, "train"): 20}


def test_strategies_of_a_seed_start_from_the_same_images_and_the_same_model(two: Path, tmp_path: Path, command) -> None:
    assert command("strategy=random", "al.rounds=1", cwd=tmp_path / "a").code == 0
    other = only_run(tmp_path / "a")
    starts = []
    for folder in (two, other):
        queries = pd.read_csv(folder / "queries.csv")
        starts.append(queries.loc[queries["round"] == -1, "index"].tolist())
    assert starts[0] == starts[1]
    test = [f"test/{name}" for name in MEASURES]
    assert_frame_equal(rounds(two).loc[:0, test], rounds(other).loc[:0, test], check_exact=True)
    assert pd.read_csv(other / "queries.csv").filter(["score"]).isna().all(axis=None)


def test_either_engine_commits_the_same_rounds(two: Path, tmp_path: Path, command) -> None:
    assert command("al.rounds=2", "train.engine=plain", cwd=tmp_path / "a").code == 0
    assert differences(only_run(tmp_path / "a"), two) == []


def test_a_profile_says_what_every_round_spent_its_time_on_and_changes_nothing(two, tmp_path: Path, command) -> None:
    ended = command("al.rounds=2", "train.profile=true", cwd=tmp_path / "a")
    assert ended.code == 0 and ended.err == ""
    folder = only_run(tmp_path / "a")
    assert folder.name == two.name
    files = [f"rounds/{number:03}/profile.csv" for number in range(3)]
    assert differences(folder, two) == files
    for number, file in enumerate(files):
        table = pd.read_csv(folder / file)
        shares = table["share"].tolist()
        assert sum(shares) == pytest.approx(1, abs=0.02) and shares == sorted(shares, reverse=True)
        operations = {phase: set(rows["operation"]) for phase, rows in table.groupby("phase")}
        asks = {"score", "select"} if number < 2 else set()
        assert set(operations) == {"fit", "test", "other"} | asks
        assert {"aten::convolution_backward", "aten::_fused_adam_", "(Python)"} <= operations["fit"]
        assert "aten::linear" in operations["test"] and "aten::_fused_adam_" not in operations["test"]
    assert "aten::" in ended.out


def test_a_dry_run_prints_a_row_a_round_and_writes_nothing(tmp_path: Path, command) -> None:
    ended = command("al.rounds=3", "dry_run=true", cwd=tmp_path / "a")
    assert ended.code == 0
    rows = [line.split()[:3] for line in ended.out.splitlines() if line.split() and line.split()[0].isdigit()]
    assert rows == [[str(number), str(20 + 20 * number), str(20 + 20 * number)] for number in range(4)]
    assert "estimated time" in ended.out
    assert list((tmp_path / "a").iterdir()) == []


# --- going on -------------------------------------------------------------------------------------------------------


def test_the_same_command_again_says_so_and_changes_nothing(two: Path, command) -> None:
    before = contents(two.parents[2])
    times = {path: path.stat().st_mtime_ns for path in two.rglob("*")}
    ended = command("al.rounds=2", cwd=two.parents[2])
    assert ended.code == 0
    assert "finished before" in ended.out
    assert contents(two.parents[2]) == before
    assert {path: path.stat().st_mtime_ns for path in two.rglob("*")} == times


def test_more_rounds_go_on_from_a_finished_run(two: Path, three: Path, tmp_path: Path, command) -> None:
    folder = copy_of(two, tmp_path / "a")
    ended = command("al.rounds=3", cwd=tmp_path / "a")
    assert ended.code == 0
    assert "goes on after round 1" in ended.out
    assert differences(folder, three) == []


def test_two_processes_never_share_a_only_run(two: Path, tmp_path: Path, command) -> None:
    folder = copy_of(two, tmp_path / "a")
    with RunFolder(folder):
        before = contents(folder)
        ended = command("al.rounds=3", cwd=tmp_path / "a")
        assert ended.code == 1
        assert f"process {os.getpid()} " in ended.err
        assert contents(folder) == before


def test_the_models_of_earlier_rounds_are_let_go(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref] = []
    alive: list[int] = []
    make, commit = build.make_classifier, RunFolder.commit

    def remember(*arguments: Any) -> Any:
        model = make(*arguments)
        made.append(weakref.ref(model))
        return model

    def count(self: RunFolder, done: Round) -> None:
        alive.append(sum(model() is not None for model in made))
        commit(self, done)

    monkeypatch.setattr(build, "make_classifier", remember)
    monkeypatch.setattr(RunFolder, "commit", count)
    assert command("al.rounds=4").code == 0
    assert max(alive) <= 1
