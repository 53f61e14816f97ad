"""A run that finds something odd where an earlier process was: what it says, and that it ends as if it had not been."""

import json
import os
import pickle
import shutil
import signal
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from PIL import Image
from run_folders import contents, differences, only_run

import al_lightning
from al_lightning.errors import DataError
from al_lightning.report.runs import find
from al_lightning.runs.rounds import read_json
from al_lightning.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("left")


@pytest.fixture
def reference(made: Path, command: Command) -> Path:
    """A run of three rounds, made once."""
    if not (made / "multirun_outputs").exists():
        assert command(cwd=made).code == 0
    return only_run(made)


@pytest.fixture
def folder(reference: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(reference.parents[2], tmp_path, dirs_exist_ok=True)
    return only_run(tmp_path)


def test_a_run_without_a_round_leaves_no_empty_tables(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "study" / "run"):
        assert list(tmp_path.rglob("*.csv")) == []


def test_a_folder_is_free_though_closing_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's process lives on, and so does what holds the folder: the traceback."""
    interrupted = RunFolder(tmp_path / "study" / "run")
    with pytest.raises(KeyboardInterrupt), interrupted:
        interrupted.commit_initial([{"round": -1, "rank": 0, "index": 3, "id": "3", "use": "train"}], ("cat", "dog"))
        monkeypatch.setattr(interrupted, "write_views", lambda **_: signal.raise_signal(signal.SIGINT))
    with RunFolder(tmp_path / "study" / "run") as folder:
        assert folder.initial


@pytest.mark.parametrize("summary", ['{"finished": true}', "[]", "{", ""])
def test_a_summary_that_says_too_little_is_made_anew(summary: str, folder: Path, command: Command) -> None:
    tables = [(folder / name).read_bytes() for name in ("rounds.csv", "queries.csv")]
    (folder / "summary.json").write_text(summary)
    ended = command(cwd=folder.parents[2])
    assert ended.code == 0, ended.err
    written = read_json(folder / "summary.json")
    assert written is not None
    assert (written["finished"], written["rounds_done"]) == (True, 3)
    assert [(folder / name).read_bytes() for name in ("rounds.csv", "queries.csv")] == tables


# --- damage ---------------------------------------------------------------------------------------------------------


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


FILES = ("measures.json", "environment.json", "queries.csv", "confusion.csv", "SHA256SUMS")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", [flip, cut, remove, empty])
def test_a_damaged_round_is_named_set_aside_and_run_again(
    name: str, harm: Callable[[Path], None], folder: Path, reference: Path, command: Command
) -> None:
    harm(folder / "rounds/001" / name)
    ended = command(cwd=folder.parents[2])
    assert ended.code == 0, ended.err
    assert f"{folder.name}/rounds/001: " in ended.err
    assert name in ended.err or harm is flip  # of the checksums, it is the file that they no longer fit
    assert "going on after round 0" in ended.err
    assert {path.name for path in (folder / "set-aside").iterdir()} == {"001.1", "002.1"}
    assert differences(folder, reference) == []


@pytest.mark.parametrize("name", ["rounds.csv", "queries.csv"])
@pytest.mark.parametrize("harm", [flip, cut, remove, empty])
def test_a_table_that_somebody_changed_is_made_again(
    name: str, harm: Callable[[Path], None], folder: Path, reference: Path, command: Command
) -> None:
    harm(folder / name)
    ended = command(cwd=folder.parents[2])
    assert ended.code == 0 and f"was finished, but {name} is" in ended.out
    assert differences(folder, reference) == []


def test_rounds_without_the_one_before_are_not_used(folder: Path, reference: Path, command: Command) -> None:
    shutil.rmtree(folder / "rounds/000")
    ended = command(cwd=folder.parents[2])
    assert ended.code == 0
    assert "rounds/001: round 0 is missing before it; beginning anew" in ended.err
    assert differences(folder, reference) == []


def test_a_round_between_the_two_renames_of_its_commit_is_not_lost(folder: Path, command: Command) -> None:
    before = contents(folder)
    (folder / "rounds/002").rename(folder / "rounds/.002.old")
    (folder / "rounds/.002").mkdir()
    (folder / ".holder").write_text("{}")
    assert command(cwd=folder.parents[2]).code == 0
    after = contents(folder)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name] and name != "summary.json"] == []


def test_a_model_that_is_not_what_was_written_is_not_loaded(folder: Path) -> None:
    flip(folder / "rounds/002/model.safetensors")
    with pytest.raises(DataError, match=r"model\.safetensors is not what was written"):
        al_lightning.load(folder)


# --- what others may have put there ---------------------------------------------------------------------------------


def forge(round_folder: Path, name: str, data: bytes) -> None:
    """Replace a file of a round, and its checksum too."""
    (round_folder / name).write_bytes(data)
    lines = (round_folder / "SHA256SUMS").read_text().splitlines()
    sums = {file: digest for digest, _, file in (line.partition("  ") for line in lines)}
    sums[name] = sha256(data).hexdigest()
    (round_folder / "SHA256SUMS").write_text("".join(f"{digest}  {file}\n" for file, digest in sums.items()))


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def test_a_pickle_in_a_run_folder_is_never_opened(
    folder: Path, reference: Path, command: Command, tmp_path: Path
) -> None:
    mark = tmp_path / "opened"
    forge(folder / "rounds/001", "confusion.csv", pickle.dumps(Bomb(mark)))
    forge(folder / "rounds/002", "model.safetensors", pickle.dumps(Bomb(mark)))
    with pytest.raises(DataError, match="model"):
        al_lightning.load(folder)
    ended = command(cwd=folder.parents[2])
    assert ended.code == 0, ended.err
    assert "confusion.csv cannot be read" in ended.err
    assert not mark.exists()
    assert differences(folder, reference) == []


def test_checksums_of_files_elsewhere_are_not_followed(folder: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    sums = folder / "rounds/001/SHA256SUMS"
    outside = os.path.relpath(tmp_path / "secret", sums.parent)
    sums.write_text(f"{sums.read_text()}{sha256(b'secret').hexdigest()}  {outside}\n")
    ended = command(cwd=folder.parents[2])
    assert ended.code == 0
    assert "leads out of the folder" in ended.err


@pytest.mark.parametrize("name", ["rounds", "rounds/001", "rounds/.003", "summary.json", ".summary.json.part", ".lock"])
def test_a_link_in_a_run_folder_is_refused_and_nothing_behind_it_touched(
    name: str, folder: Path, command: Command, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    link = folder / name
    if link.is_dir():
        link.rename(outside)
    else:
        outside.write_bytes(link.read_bytes() if link.exists() else b"mine")
        link.unlink(missing_ok=True)
    link.symlink_to(outside)
    before = contents(outside) if outside.is_dir() else outside.read_bytes()
    ended = command("al.rounds=3", cwd=folder.parents[2])
    assert ended.code in (1, 2)
    assert ended.err.startswith("error: ")
    assert str(link.relative_to(folder.parents[2]) if name != ".lock" else folder.name) in ended.err
    assert (contents(outside) if outside.is_dir() else outside.read_bytes()) == before


# --- other images, other rounds -------------------------------------------------------------------------------------


def test_images_that_changed_are_said_before_anything_is_touched(tmp_path: Path, command: Command) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    arguments = ("dataset=folder", f"dataset.root={tmp_path / 'photos'}", "dataset.image_size=8")
    sizes = ("al.initial_size=4", "al.query_size=4")
    assert command(*arguments, *sizes, cwd=tmp_path).code == 0
    before = contents(only_run(tmp_path))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "photos/a/0.png")
    ended = command(*arguments, *sizes, "al.rounds=3", cwd=tmp_path)
    assert ended.code == 1
    assert "the images have changed" in ended.err
    assert "overwrite=true" in ended.err
    assert contents(only_run(tmp_path)) == before


def test_other_versions_are_said(folder: Path, command: Command) -> None:
    last = folder / "rounds/001"
    environment = json.loads((last / "environment.json").read_text())
    environment["versions"]["torch"] = "2.0.0"
    forge(last, "environment.json", json.dumps(environment).encode())
    ended = command("al.rounds=3", cwd=folder.parents[2])
    assert ended.code == 0
    assert "warning: torch was 2.0.0 and is " in ended.err


def test_overwriting_sets_the_old_folder_aside_and_the_report_leaves_it_out(
    folder: Path, reference: Path, command: Command
) -> None:
    before, study = contents(folder), folder.parent
    for number in (1, 2):
        ended = command("overwrite=true", cwd=folder.parents[2])
        assert ended.code == 0
        old = study / "set-aside" / f"{folder.name}.{number}"
        assert str(old.relative_to(study.parents[1])) in ended.out
        assert "goes on" not in ended.out
        if number == 1:
            assert contents(old) == before
        assert differences(folder, reference) == []
    assert list(find([study])) == [folder]
