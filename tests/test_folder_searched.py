"""What is looked at below a root: not what machines or this program leave there; names; files that are no images."""

import json
import shutil
from pathlib import Path
from unicodedata import normalize

import pytest
from bad_images import saved, unprivileged
from conftest import Command
from image_folders import draw, ids, load, tree
from omegaconf import OmegaConf
from PIL import Image
from run_folders import only_run

from al_lightning.config import schema
from al_lightning.data.decode import SUFFIXES
from al_lightning.errors import ConfigError, DataError

PHOTOS = {f"{name}/{number}.png" for name in ("cat", "dog") for number in range(5)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw(tmp_path / "photos", *sorted(PHOTOS))
    return tmp_path / "photos"


# --- what this program writes ---------------------------------------------------------------------------------------


def test_a_run_started_inside_the_images_changes_nothing_of_what_is_found(command: Command, root: Path) -> None:
    """What it writes is no class, where it is and where it was moved to; and its rounds can be gone on with."""
    before = load(root)
    sizes = ("al.initial_size=4", "al.query_size=2", "al.rounds=1", "dataset.image_size=4", "dataset.channels=1")
    arguments = ("dataset=folder", "dataset.root=.", *sizes)
    assert command(*arguments, cwd=root).code == 0
    study = root / "multirun_outputs" / "default"
    assert list(study.glob("*/rounds/*/*.png"))
    draw(study, "report/curve.png", "wandb/run/media/0.png")
    (study / "report" / "report.html").touch()
    fingerprint = json.loads((only_run(root) / "summary.json").read_text(encoding="utf-8"))["data_fingerprint"]

    own = [str(root / "multirun_outputs"), str(root / "data")]
    shutil.copytree(only_run(root), root / "cat" / "an old run")
    shutil.copytree(root / "data" / "folder-cache", root / "dog" / "folder-cache")
    shutil.copytree(study.parent, root / "other")
    for found in (before, load(root, own_folders=own), load(root, own_folders=[])):
        assert (found.fingerprint(), found.classes, found.rejected) == (fingerprint, ("cat", "dog"), ())
    more = command(*arguments, "al.rounds=2", cwd=root)
    assert "goes on after round" in more.out
    assert (more.code, more.err) == (0, "")


def test_where_the_program_writes_is_no_part_of_a_runs_name(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        one, other = (
            compose("config", ["dataset=folder", "dataset.root=photos", f"paths.output_root={place}"])
            for place in ("here", "there")
        )
    assert OmegaConf.to_container(one.dataset.own_folders, resolve=True) == ["here", "data"]
    assert schema.run_folder(one).name == schema.run_folder(other).name


def test_own_folders_are_skipped_at_any_depth_and_through_links(root: Path) -> None:
    draw(root, "out/0.png", "cat/deep/out/0.png", "cat/deep/0.png")
    (root / "dog" / "link").symlink_to("../out")
    own = [str(root / "out"), str(root / "cat" / "deep" / "out")]
    assert ids(load(root, own_folders=own)) == PHOTOS | {"cat/deep/0.png"}


def test_a_root_inside_of_an_own_folder_is_searched(root: Path) -> None:
    assert ids(load(root, own_folders=[str(root.parent), str(root), ""])) == PHOTOS


def test_images_among_what_the_program_keeps_are_missed_with_a_word(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(root, "data/deep/0.png")
    assert ids(load(root, own_folders=[str(root / "data")])) == PHOTOS
    assert f"warning: {root}: data is skipped: this program keeps its own files there" in capsys.readouterr().err


# --- what machines leave --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found", ".ipynb_checkpoints"),
        *("#recycle", "#snapshot", ".thumbnails", ".Trash-1000", ".git", "@Recycle", "@__thumb", "FOUND.000", "wandb"),
    ],
)
def test_what_machines_leave_is_no_class_and_no_image(
    name: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(root, f"{name}/0.png", f"{name}/deep/1.png", f"cat/{name}/2.png", f"dog/deep/{name}/3.png")
    data = load(root)
    assert (ids(data), data.rejected) == (PHOTOS, ())
    assert capsys.readouterr().err == ""


def test_files_that_machines_leave_are_not_listed(root: Path) -> None:
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png", "SYNOPHOTO_THUMB_M.png", "~$0.png", "Icon\r"):
        (root / "cat" / name).write_bytes(b"no image")
    assert load(root).rejected == ()


def test_a_folder_of_thumbnails_does_not_leak_into_the_test_part(tmp_path: Path) -> None:
    for number in range(12):
        for name in ("a", "b"):
            draw(tmp_path, f"{name}/{number}.png")
            draw(tmp_path, f"{name}/@eaDir/{number}.png/SYNOPHOTO_THUMB_XL.png")
    assert len(ids(load(tmp_path))) == 24


def test_more_is_skipped_by_patterns_of_names_and_paths(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(root, "masks/0.png", "cat/masks/1.png", "cat/0_thumb.png", "cat/old/3.png", "dog/old/4.png")
    (root / "note.png").touch()
    exclude = ["masks/", "*_thumb.*", "./cat/old", "note.png"]
    data = load(root, exclude=exclude)
    assert (ids(data), data.rejected) == (PHOTOS | {"dog/old/4.png"}, ())
    assert capsys.readouterr().err == ""
    assert ids(load(root, exclude=[*exclude, "dog/old/*", "nothing[0-9]"])) == PHOTOS
    assert capsys.readouterr().err == f"warning: dataset.exclude: nothing in {root} matches nothing[0-9]\n"


def test_a_part_can_be_excluded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree(tmp_path, {f"{part}/{name}": 3 for part in ("train", "val", "test") for name in "ab"})
    assert {path.split("/")[0] for path in load(tmp_path, exclude=["test"]).test.ids} == {"val"}
    assert capsys.readouterr().err.endswith("no test folder, so val is the test part\n")


# --- files that are no images, or cannot be decoded -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("0.jxl", "JPEG XL"),
        ("0.dcm", "DICOM"),
        ("0.CR2", "raw data of a camera"),
        ("0.svg", "not pixels"),
        ("0.xcf", ".xcf files cannot be decoded"),
        ("0.png.part", ".part files cannot be decoded"),
    ],
)
def test_pictures_that_cannot_be_decoded_are_listed_with_a_reason(name: str, words: str, root: Path) -> None:
    (root / "cat" / name).write_bytes(b"some picture")
    ((path, reason),) = load(root).rejected
    assert path == f"cat/{name}"
    assert words in reason


@pytest.mark.skipif(".heic" in SUFFIXES, reason="HEIC is decoded here")
def test_a_folder_of_nothing_else_names_them_and_the_extra(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(
        DataError, match=r"rejected: 2, .* a/IMG_1\.HEIC: needs the extra images: pip install 'al-light"
    ):
        load(tmp_path)


@pytest.mark.parametrize("name", ["image", "IM.1.2.840", "photo 12. may", "2023."])
def test_files_without_a_suffix_are_known_by_their_content(name: str, root: Path) -> None:
    (root / "cat" / name).write_bytes(saved(Image.new("L", (4, 4), 99), ".png"))
    (root / "dog" / name).write_text("no picture")
    data = load(root)
    assert ids(data) == PHOTOS | {f"cat/{name}"}
    assert data.rejected == ((f"dog/{name}", "not an image that can be read"),)


@pytest.mark.parametrize("name", ["0.txt", "0.json", "0.XML", "labels.csv", "0.mp4", "0.xmp", "0.zip"])
def test_files_that_nobody_takes_for_pictures_are_passed_over(name: str, root: Path) -> None:
    (root / "cat" / name).write_bytes(b"no picture")
    assert load(root).rejected == ()


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_class_is_one_however_its_accents_are_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    composed, split = (normalize(form, "café") for form in ("NFC", "NFD"))
    tree(tmp_path / "one", {composed: 5, split: 5, "dog": 5})
    data = load(tmp_path / "one")
    assert data.classes == (composed, "dog")
    assert ids(data) >= {f"{composed}/0.png", f"{split}/0.png"}
    assert all((tmp_path / "one" / path).exists() for path in ids(data))
    assert capsys.readouterr().err == ""

    tree(tmp_path / "two", {f"train/{composed}": 3, "train/dog": 3, f"test/{split}": 3, "test/dog": 3})
    assert load(tmp_path / "two").classes == (composed, "dog")
    tree(tmp_path / "three", {split: 3, "dog": 3})
    assert load(tmp_path / "three", exclude=[f"{composed}/0.png"]).classes == (composed, "dog")


def test_classes_that_look_alike_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree(tmp_path, {"cat": 3, "Cat": 3, "cat ": 3, "dog": 3, "dog\u200b": 3, "bird": 3})
    assert len(load(tmp_path).classes) == 6
    assert capsys.readouterr().err == (
        f"warning: {tmp_path}: classes that look alike, and count as different: 'Cat', 'cat', 'cat '\n"
        f"warning: {tmp_path}: classes that look alike, and count as different: 'dog', 'dog\\u200b'\n"
    )


def test_a_class_of_the_test_part_that_is_nearly_one_of_the_pool_is_named_with_it(tmp_path: Path) -> None:
    tree(tmp_path, {"train/cat": 3, "train/dog": 3, "test/Cat": 3, "test/dog": 3})
    with pytest.raises(ConfigError, match=r"class Cat is in test, but not in train, which has cat\."):
        load(tmp_path)


def test_a_class_that_is_hidden_by_its_name_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(root, ".net/0.png", ".deep/er/0.png")
    (root / ".empty").mkdir()
    (root / ".note.png").touch()
    assert load(root).classes == ("cat", "dog")
    assert capsys.readouterr().err == (
        f"warning: {root}: skipped, because a name with a leading dot is hidden: .deep, .net; to use it, rename it\n"
    )
    assert load(root, exclude=[".net", ".deep"]).classes == ("cat", "dog")
    assert capsys.readouterr().err == ""


def test_hidden_folders_that_cannot_be_read_are_none_of_ours(root: Path) -> None:
    (root / ".locked").mkdir(mode=0)
    with unprivileged():
        assert load(root).classes == ("cat", "dog")
