"""Links in a folder of images, and what a run says of what it left out."""

import csv
import os
from pathlib import Path

import pytest
from bad_images import IMAGE, pixels_of, saved
from conftest import Command
from image_folders import draw, ids, load, tree

from al_lightning.errors import ConfigError, DataError

OUT = "a link that leads out of the folder: dataset.follow_links=true follows it"
CIRCLE = "a link to a folder that it is in"


# --- links ----------------------------------------------------------------------------------------------------------


def test_links_that_stay_inside_are_followed_whatever_they_lead_to(tmp_path: Path) -> None:
    root = tmp_path / "root"
    draw(root, "store/0.png", "store/deep/1.png", ".hidden/2.png", "train/a/3.png", "test/a/4.png", "test/b/5.png")
    (root / "train" / "b").symlink_to("../store")
    (root / "train" / "a" / "file.png").symlink_to(root / ".hidden" / "2.png")
    (tmp_path / "link").symlink_to(root)
    data = load(tmp_path / "link")
    shades = {path: int(pixels[0, 0, 0]) for path, pixels in pixels_of(data).items()}
    assert shades == {
        "train/a/3.png": 3,
        "train/a/file.png": 2,
        "train/b/0.png": 0,
        "train/b/deep/1.png": 1,
        "test/a/4.png": 4,
        "test/b/5.png": 5,
    }
    assert data.rejected == ()


def test_links_that_leave_or_run_in_circles_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    draw(tmp_path, "other/a/0.png", "root-too/0.png")
    draw(root, "a/0.png", "a/1.png", "b/0.png", "b/1.png", "b/deep/2.png")
    for name, target in {
        "a/above": "..",
        "a/to_b": "../b",
        "b/deep/to_a": "../../a",
        "a/file.png": "../../other/a/0.png",
        "a/note.txt": "../../other/a/0.png",
        "c": "../other/a",
        "d": ".",
        "e": "nowhere",
        "f": "../root-too",  # a path that begins like the root's
        "loose.png": "../other/a/0.png",
    }.items():
        (root / name).symlink_to(target)
    data = load(root)
    assert dict(data.rejected) == {
        "a/above": CIRCLE,
        "a/file.png": OUT,
        "a/to_b/deep/to_a": CIRCLE,
        "b/deep/to_a/above": CIRCLE,
        "b/deep/to_a/file.png": OUT,
        "b/deep/to_a/to_b": CIRCLE,
        "c": OUT,
        "d": CIRCLE,
        "e": "a link that cannot be followed: No such file or directory",
        "f": OUT,
        "loose.png": OUT,
    }
    expected = {"a/0.png", "a/1.png", "b/0.png", "b/1.png", "b/deep/2.png"}
    expected |= {f"b/deep/to_a/{number}.png" for number in "01"} | {f"a/to_b/{name}" for name in ("0.png", "1.png")}
    assert {*data.pool.ids, *data.test.ids} == expected | {"a/to_b/deep/2.png"}


def test_links_that_lead_out_are_followed_when_asked_and_circles_never(tmp_path: Path) -> None:
    """As in the cache of a Hugging Face hub: names in a snapshot, contents without a suffix in another folder."""
    draw(tmp_path, "blobs/0f", "blobs/1e", "blobs/2d", "blobs/3c", "other/dog/4.png", "other/dog/deep/5.png")
    root = tmp_path / "snapshots" / "main"
    for number, blob in enumerate(("0f", "1e", "2d", "3c")):
        place = root / ("train", "test")[number % 2] / "cat"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").symlink_to(f"../../../../blobs/{blob}")
    for part in ("train", "test"):
        (root / part / "dog").symlink_to(tmp_path / "other" / "dog")
    (tmp_path / "other" / "dog" / "back").symlink_to(root)
    (tmp_path / "other" / "dog" / "up").symlink_to("..")
    (tmp_path / "other" / "dog" / "above").symlink_to(tmp_path)

    with pytest.raises(
        DataError, match=r"at least 2 classes.*rejected: 6, .*: a link that leads out .*follow_links=true"
    ):
        load(root)
    data = load(root, follow_links=True)
    assert ids(data) == {
        *("train/cat/0.png", "test/cat/1.png", "train/cat/2.png", "test/cat/3.png"),
        *(f"{part}/dog/{name}" for part in ("train", "test") for name in ("4.png", "deep/5.png")),
    }
    assert dict(data.rejected) == {
        f"{part}/dog/{name}": CIRCLE for part in ("train", "test") for name in ("back", "up", "above")
    }

    (root / "train").rename(tmp_path / "elsewhere")
    (root / "train").symlink_to(tmp_path / "elsewhere")
    draw(tmp_path, "elsewhere/cat/9.png")  # of another depth, where the other links lead nowhere
    assert "train/cat/9.png" in load(root, follow_links=True).pool.ids


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_that_leads_out_is_refused(part: str, tmp_path: Path) -> None:
    draw(tmp_path, "root/train/a/0.png", "root/train/b/0.png", "root/test/a/0.png", "root/test/b/0.png")
    (tmp_path / "root" / part).rename(tmp_path / "elsewhere")
    (tmp_path / "root" / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=rf"dataset\.root: .*/root/{part} is a link that leads out"):
        load(tmp_path / "root")


def test_classes_that_are_all_left_out_are_a_data_error(tmp_path: Path) -> None:
    draw(tmp_path, "root/a/0.png", "root/a/1.png", "other/0.png")
    (tmp_path / "root" / "b").symlink_to("../other")
    with pytest.raises(
        DataError, match=rf"at least 2 classes.*a \(2 images\), b \(0 images\).*rejected: 1,.* b: {OUT}"
    ):
        load(tmp_path / "root")


# --- a run ----------------------------------------------------------------------------------------------------------


def test_a_run_lists_what_it_left_out_and_equal_images(command: Command, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    draw(root, *(f"{part}/{name}/{number}.png" for part in ("train", "test") for name in "ab" for number in range(9)))
    (root / "train" / "a" / "same.png").write_bytes((root / "test" / "a" / "1.png").read_bytes())
    (root / "train" / "b" / "same.png").write_bytes((root / "train" / "a" / "2.png").read_bytes())
    (root / "train" / "a" / 'odd, "name"\n[red].png').write_text("hello")
    (root / "train" / "a" / os.fsdecode(b"caf\xe9.png")).write_bytes(saved(IMAGE, ".png"))
    arguments = (
        "dataset=folder",
        f"dataset.root={root}",
        "dataset.image_size=8",
        "al.initial_size=4",
        "al.query_size=4",
    )
    ended = command(*arguments, "logger=wandb", "logger.mode=offline")
    assert ended.code == 0
    assert ended.err == f"decoded 36 images of {root} into {next(Path().glob('data/folder-cache/*'))}\n"
    assert "\n  left out  2 files, see rejected.csv in the folder\n" in ended.out
    twins = "images in train and in test: 1, in more than one class: 1"
    assert f"\n  duplicates  {twins}; see duplicates.csv in the folder\n" in ended.out
    (run,) = Path("multirun_outputs/default").glob("folder-*")
    assert list(csv.reader((run / "rejected.csv").open(newline=""))) == [
        ["path", "reason"],
        [r"train/a/caf\xe9.png", "its name is not UTF-8: rename it"],
        ['train/a/odd, "name"\n[red].png', "not an image that can be read"],
    ]
    assert list(csv.reader((run / "duplicates.csv").open(newline=""))) == [
        ["group", "part", "class", "path"],
        ["1", "train", "a", "train/a/2.png"],
        ["1", "train", "b", "train/b/same.png"],
        ["2", "train", "a", "train/a/same.png"],
        ["2", "test", "a", "test/a/1.png"],
    ]


def test_a_run_without_readable_images_says_which_is_the_first(command: Command, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").touch()
    ended = command("dataset=folder", f"dataset.root={tmp_path / 'photos'}")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].endswith("Files rejected: 2, the first of them a/0.png: the file has 0 bytes.")
    assert not Path("multirun_outputs").exists()


def test_a_link_to_itself_is_no_folder_of_images(tmp_path: Path) -> None:
    tree(tmp_path, {"cat": 5, "dog": 5})
    (tmp_path / "loop").symlink_to("loop")
    assert len(ids(load(tmp_path))) == 10
