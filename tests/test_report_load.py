"""From run folders to a table: who a run belongs with, what has become of it, and what cannot be read."""

import fcntl
import json
import os
import socket
from pathlib import Path

import pandas as pd
import pytest
import yaml
from run_writer import write_run

from al_lightning.errors import DataError
from al_lightning.report import load


def settings(rounds: pd.DataFrame) -> list[str]:
    return rounds.groupby("folder")["setting"].first().to_list()


def methods(rounds: pd.DataFrame) -> list[str]:
    return rounds.groupby("folder")["method"].first().to_list()


def test_a_row_a_round_with_who_it_belongs_to(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "study", "a", [0.5, 0.6, 0.7], seed=3, strategy__name="margin")
    write_run(tmp_path / "study", "b", [0.5], al__rounds=2, state="interrupted")
    rounds = load(tmp_path)
    head = ["folder", "study", "dataset", "model", "strategy", "setting", "method", "seed", "state", "one_shot"]
    assert rounds.columns.to_list() == [*head, *pd.read_csv(folder / "rounds.csv")]
    first = ("study", "digits", "cnn", "margin", "digits", "margin", 3, "finished", False)
    other = ("study", "digits", "cnn", "random", "digits", "random", 0, "stopped", False)
    assert rounds[[*head, "round", "n_labeled", "n_paid", "test/acc", "seconds/fit"]].values.tolist() == [
        [str(folder), *first, 0, 20, 20, 0.5, 1.2],
        [str(folder), *first, 1, 40, 40, 0.6, 1.201],
        [str(folder), *first, 2, 60, 60, 0.7, 1.202],
        [str(tmp_path / "study" / "b"), *other, 0, 20, 20, 0.5, 1.2],
    ]
    assert rounds.attrs["notes"] == ()


def test_a_run_is_found_once_at_any_depth_and_not_where_it_was_set_aside(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a" / "b", "run", [0.5, 0.6])
    write_run(tmp_path / "a" / "set-aside", "run.1", [0.1, 0.1])
    write_run(tmp_path / "a" / ".sweep", "now", [0.1])
    write_run(run, "rounds/000/run", [0.1])  # nothing of a run folder is a run
    assert load(tmp_path, run, tmp_path / "a")["test/acc"].to_list() == [0.5, 0.6]


def test_what_differs_outside_of_the_strategy_is_another_setting(tmp_path: Path) -> None:
    write_run(tmp_path, "1", [0.5, 0.6], model__name="cnn", model__width=32)
    write_run(tmp_path, "2", [0.5, 0.6], model__name="resnet18", model__stem="auto")
    write_run(tmp_path, "3", [0.5, 0.6], model__name="resnet18", model__stem="small", al__query_size=10)
    write_run(tmp_path, "4", [0.5, 0.6], dataset__name="mnist", optimizer__lr=0.0005)
    assert settings(load(tmp_path)) == [
        "digits, model=cnn, al.query_size=20",
        "digits, model=resnet18, al.query_size=20, model.stem=auto",
        "digits, model=resnet18, al.query_size=10, model.stem=small",
        "mnist",
    ]


def test_what_changes_no_result_is_one_setting(tmp_path: Path) -> None:
    write_run(tmp_path, "1", [0.5, 0.6], seed=0, study="x", paths__data="here", dataset__root="here", dry_run=False)
    write_run(tmp_path, "2", [0.5, 0.6, 0.7], seed=1, study="y", paths__data="there", dataset__root="there")
    write_run(tmp_path, "3", [0.5], al__rounds=None, al__budget=40, trainer__accelerator="gpu", debug=True)
    write_run(tmp_path, "4", [0.5, 0.6], seed=2, al__n_clusters=10, al__mc_samples=5, logger__name="wandb")
    config = write_run(tmp_path, "5", [0.5, 0.6]) / "config.yaml"
    was = yaml.safe_load(config.read_text())
    del was["al"]["pool_sample"], was["train"]["tf32"]  # an older run: newer settings are off
    was["al"]["initial_balanced"], was["seed"] = False, 3.0
    config.write_text(yaml.safe_dump(was))
    assert set(settings(load(tmp_path))) == {"digits"}
    write_run(tmp_path, "6", [0.5, 0.6], seed=3, al__pool_sample=100)
    assert set(settings(load(tmp_path))) == {"digits", "digits, al.pool_sample=100"}


def test_a_run_of_format_1_is_compared_with_one_of_today(tmp_path: Path) -> None:
    older = write_run(tmp_path, "1", [0.5, 0.6])
    (older / "config.yaml").write_bytes((Path(__file__).parent / "older" / "config-1.yaml").read_bytes())
    write_run(tmp_path, "2", [0.5, 0.6], seed=1, model__name="resnet18", strategy__name="margin")
    rounds = load(tmp_path)
    assert (set(settings(rounds)), set(methods(rounds))) == ({"digits"}, {"margin"})


def test_a_strategy_by_its_own_settings_where_they_differ(tmp_path: Path) -> None:
    for clusters in (10, 25):
        write_run(tmp_path, f"k{clusters}", [0.5, 0.6], strategy__name="kmeans", al__n_clusters=clusters)
    write_run(tmp_path, "m", [0.5, 0.6], strategy__name="margin")
    assert methods(load(tmp_path)) == ["kmeans n_clusters=10", "kmeans n_clusters=25", "margin"]
    assert methods(load(tmp_path / "k10")) == ["kmeans"], "alone, there is nothing to tell apart"


def test_a_plain_training_run_shares_the_setting_of_every_size(tmp_path: Path) -> None:
    write_run(tmp_path, "1", [0.5, 0.6], size=10)
    write_run(tmp_path, "2", [0.5, 0.6], size=20)
    write_run(tmp_path, "3", [0.9], al__initial_size=0.15)
    write_run(tmp_path, "4", [0.9], size=500, al__pool_sample=500, al__rounds=5, al__budget=500)
    write_run(tmp_path, "5", [0.5], size=20, al__rounds=9, state="interrupted")
    rounds = load(tmp_path)
    sizes = [f"digits, al.initial_size={size}, al.query_size={size}" for size in (10, 20)]
    assert settings(rounds) == [*sizes, "digits", "digits", sizes[1]]
    assert rounds.groupby("folder")["one_shot"].first().to_list() == [False, False, True, True, False]


def test_two_folders_of_images_with_one_name_are_two_settings(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path, name, [0.5, 0.6], dataset__name="folder", dataset__root=root, pool=pool)
        for name, root, pool in (("1", "cats", 100), ("2", "dogs", 101))
    ]
    images = [json.loads((run / "summary.json").read_text())["data_fingerprint"][:8] for run in runs]
    assert images[0] != images[1]
    assert settings(load(tmp_path)) == [f"folder, images={each}" for each in images]


@pytest.mark.parametrize(
    ("said", "holder", "state"),
    [
        ("finished", None, "finished"),
        ("failed", None, "failed"),
        ("interrupted", None, "stopped"),
        ("running", None, "stopped"),
        ("running", "killed", "stopped"),
        ("running", "open", "running"),
        ("failed", "killed", "failed"),
        ("failed", "open", "running"),  # run again
        (None, "open", "running"),
        (None, None, "stopped"),
    ],
)
def test_what_has_become_of_a_run(tmp_path: Path, said: str | None, holder: str | None, state: str) -> None:
    """The lock is details, not the name in `.holder`: its process may be of another machine, or another one by now."""
    folder = write_run(tmp_path, "run", [0.5, 0.6], state=said or "running")
    if said is None:
        (folder / "summary.json").write_text("{}")
    for pid, host in ((os.getpid(), socket.gethostname()), (os.getpid(), "another-machine"), (-1, ""), (2**70, "")):
        with (folder / ".lock").open("w") as lock:
            if holder:
                (folder / ".holder").write_text(json.dumps({"pid": pid, "host": host}))
            if holder == "open":
                fcntl.flock(lock, fcntl.LOCK_EX)
            assert set(load(tmp_path)["state"]) == {state}
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nothing of the report holds it


def test_of_a_lock_that_cannot_be_asked_it_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "run", [0.5, 0.6], state="running")
    (folder / ".holder").write_text("{}")
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(tmp_path)
    rounds = load(tmp_path)
    assert set(rounds["state"]) == {"stopped"}
    (note,) = rounds.attrs["notes"]
    assert note.startswith(f"{folder}: its lock cannot be asked") and "whether the run goes on is not known" in note


def test_a_damaged_run_is_left_out_and_named(tmp_path: Path) -> None:
    good = write_run(tmp_path, "good", [0.5, 0.6])
    for name, file, text in (
        ("1", "rounds.csv", "round,n_labeled,test/acc\n0,20,0.5\n1,20,0.6\n"),  # no more labels than before
        ("2", "rounds.csv", "round,n_labeled,test/acc\n0,20,\n"),
        ("3", "rounds.csv", "round,n_labeled\n0,20\n"),
        ("4", "rounds.csv", ""),
        ("5", "config.yaml", "seed: {"),
        ("6", "config.yaml", "seed: 0\n"),
        ("7", "config.yaml", "- \x1b[31mred\n"),
        ("71", "rounds.csv", "round,n_labeled,test/acc,test/ece\n0,20,0.5,high\n"),
        ("72", "rounds.csv", "round,n_labeled,test/acc,state\n0,20,0.5,1\n"),
    ):
        (write_run(tmp_path, name, [0.5, 0.6]) / file).write_text(text)
    (write_run(tmp_path, "8", [0.5, 0.6]) / "config.yaml").unlink()
    (write_run(tmp_path, "9", [0.5, 0.6]) / "rounds.csv").write_bytes(b"\xff\xfe\x00")
    linked = write_run(tmp_path, "91", [0.5, 0.6]) / "rounds.csv"
    linked.unlink()
    linked.symlink_to(good / "rounds.csv")
    piped = write_run(tmp_path, "92", [0.5, 0.6]) / "summary.json"
    piped.unlink()
    os.mkfifo(piped)
    rounds = load(tmp_path)
    assert set(rounds["folder"]) == {str(good)}
    notes = rounds.attrs["notes"]
    assert [note.partition(": left out: ")[0] for note in notes] == [
        str(tmp_path / name) for name in ("1", "2", "3", "4", "5", "6", "7", "71", "72", "8", "9", "91", "92")
    ]
    assert notes[9].endswith("left out: config.yaml is not there.")
    assert notes[11].endswith("left out: damaged: rounds.csv is not a plain file; give its command again.")
    assert "".join(notes).isprintable()


def test_a_summary_that_cannot_be_read_costs_the_state_only(tmp_path: Path) -> None:
    (write_run(tmp_path, "run", [0.5, 0.6]) / "summary.json").write_text("{")
    rounds = load(tmp_path)
    assert rounds[["state", "one_shot"]].values.tolist() == [["stopped", False]] * 2
    (note,) = rounds.attrs["notes"]
    assert "summary.json cannot be read" in note


def test_reading_changes_nothing_and_needs_no_lock(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "run", [0.5, 0.6], state="running")

    def look() -> dict[str, tuple[bytes, int]]:
        return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir() if file.is_file()}

    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = look()
        folder.chmod(0o555)
        try:
            assert len(load(tmp_path)) == 2
        finally:
            folder.chmod(0o755)
        assert look() == before


def test_a_run_begun_anew_while_it_is_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path, "1", [0.5, 0.6])
    write_run(tmp_path, "2", [0.5, 0.6])
    read = pd.read_csv
    monkeypatch.setattr(pd, "read_csv", lambda file: (folder / "rounds.csv").unlink(missing_ok=True) or read(file))
    rounds = load(tmp_path)
    assert set(rounds["folder"]) == {str(tmp_path / "2")}
    assert rounds.attrs["notes"] == (f"{folder}: left out: it has no committed round.",)


def test_a_run_without_a_round_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, "1", [0.5, 0.6])
    folder = write_run(tmp_path, "2", [0.5], state="failed")
    (folder / "rounds.csv").unlink()
    assert load(tmp_path).attrs["notes"] == (f"{folder}: left out: it has no committed round.",)


def test_no_runs_or_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run with a committed round"):
        load(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "missing")
    (write_run(tmp_path, "1", [0.5]) / "config.yaml").write_text("")
    with pytest.raises(DataError, match=r"no run with a committed round in there; .*config\.yaml has no study"):
        load(tmp_path)


def test_what_is_said_of_a_fit_is_read_and_missing_in_old_runs(tmp_path: Path) -> None:
    write_run(tmp_path, "new", [0.5, 0.6], failed=[1])
    for name, without in (("empty", ["fit/ok", "fit/reason"]), ("old", None)):
        file = write_run(tmp_path, name, [0.5, 0.6], seed=len(name)) / "rounds.csv"
        rows = pd.read_csv(file)
        own = [column for column in rows if column.startswith("fit/")]
        (rows.drop(columns=own) if without is None else rows.assign(**dict.fromkeys(without))).to_csv(file, index=False)
    rounds = load(tmp_path)
    assert rounds.attrs["notes"] == ()
    by_name = {Path(str(folder)).name: rows for folder, rows in rounds.groupby("folder")}
    assert by_name["new"]["fit/ok"].tolist() == [True, False]
    assert by_name["new"]["fit/reason"].fillna("").tolist() == ["", "plateau"]
    for name in ("empty", "old"):
        assert by_name[name]["fit/ok"].isna().to_list() == [True, True]
    (tmp_path / "new" / "rounds.csv").write_text("round,n_labeled,test/acc,fit/ok\n0,20,0.5,perhaps\n")
    assert len(load(tmp_path).attrs["notes"]) == 1
