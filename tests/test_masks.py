"""Class imbalance, a part of the pool, and copies of it: on any data set, and the same for every seed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from run_folders import contents, differences, only_run
from test_conf import OPTIONS, composed
from test_pool_data import make_data

from al_lightning.acquisition.initial import draw
from al_lightning.config import schema
from al_lightning.config.plan import Plan
from al_lightning.data import masks
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.masks import long_tail, stratified
from al_lightning.data.sources import digits
from al_lightning.errors import ConfigError
from al_lightning.report.run_files import Reader

SEEDED = settings(derandomize=True, deadline=None, max_examples=150)
COUNTS = st.lists(st.integers(1, 60), min_size=2, max_size=8).map(np.array)
KEYS = ("dataset.imbalance=10", "dataset.subset=0.3", "dataset.repeat=3")
ALL = ("dataset.imbalance=5", "dataset.subset=200", "dataset.repeat=2")


# --- how many of each class -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "images", "factor", "total"),
    [(10, 5000, 10, 20431), (10, 5000, 100, 12406), (100, 500, 10, 19573), (100, 500, 100, 10847)],
)
def test_long_tails_of_cifar_have_the_published_sizes(classes: int, images: int, factor: int, total: int) -> None:
    left = long_tail(np.full(classes, images), factor)
    assert (left[0], left[-1], left.sum()) == (images, images // factor, total)


@SEEDED
@given(has=COUNTS, factor=st.sampled_from([1, 1.5, 2, 3.7, 10, 50]))
def test_a_long_tail_is_the_largest_that_every_class_has_enough_images_for(has: np.ndarray, factor: float) -> None:
    shares = [factor ** (-c / (len(has) - 1)) for c in range(len(has))]
    fitting = [n for n in range(61) if all(n * share <= count + 1e-9 for share, count in zip(shares, has, strict=True))]
    assert long_tail(has, factor).tolist() == [int(max(fitting) * share + 1e-9) for share in shares]


@SEEDED
@given(has=COUNTS, fraction=st.floats(0, 1))
def test_a_subset_has_the_shares_of_the_pool_within_an_image(has: np.ndarray, fraction: float) -> None:
    n = round(fraction * int(has.sum()))
    parts = stratified(has, n)
    assert parts.sum() == n and (parts >= 0).all() and (parts <= has).all()
    assert (np.abs(parts * has.sum() - n * has) < has.sum()).all()


# --- which of them --------------------------------------------------------------------------------------------------


def of_class(data: ImageData) -> list[int]:
    """Images that take part of each class."""
    taking = data.pool.labels if data.mask is None else data.pool.labels[data.mask]
    return taking.bincount(minlength=len(data.classes)).tolist()


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("factor", [None, 1, 20])
@pytest.mark.parametrize("subset", [None, 200, 0.25])
def test_a_mask_leaves_the_images_where_they_are(factor: float | None, subset: float | None, repeat: int) -> None:
    whole, node = digits(), {"imbalance": factor, "subset": subset, "repeat": repeat}
    data, n = masks.apply(whole, node), len(whole.pool)
    left = np.array(of_class(whole)) if factor is None else long_tail(np.array(of_class(whole)), factor)
    if subset is not None:
        left = stratified(left, 200 if subset == 200 else round(subset * left.sum()))
    assert of_class(data) == (repeat * left).tolist() and data.pool_size == repeat * left.sum()
    assert data.test is whole.test and data.there.sum() == data.pool_size
    for copy in range(repeat):
        rows = slice(copy * n, (copy + 1) * n)
        assert torch.equal(data.pool.images[rows], whole.pool.images)
        assert torch.equal(data.pool.labels[rows], whole.pool.labels)
        assert list(data.pool.ids[rows]) == [f"{each}#{copy + 1}" if copy else each for each in whole.pool.ids]
        assert data.mask is None or torch.equal(data.mask[rows], data.mask[:n])
    off = (factor, subset, repeat) == (None, None, 1)
    assert (data is whole) == off and (data.fingerprint() == whole.fingerprint()) == off


def test_fewer_images_are_a_part_of_more() -> None:
    whole = digits()
    for key, less, more in (("subset", 200, 700), ("imbalance", 50, 10)):
        few, many = (masks.apply(whole, {key: value}).mask for value in (less, more))
        assert few is not None and many is not None and (few & ~many).sum() == 0 < (many & ~few).sum()


def queried(run: Path, n: int) -> np.ndarray:
    """Which of n images a run has asked for, the initial set among them."""
    return np.isin(np.arange(n), pd.read_csv(run / "queries.csv")["index"])


def test_pixels_are_scaled_by_the_images_that_take_part() -> None:
    data = masks.apply(digits(), {"imbalance": 20, "repeat": 2})
    rows = [row for row, taking in enumerate(data.there.tolist()) if taking]
    pool = ImageSet(data.pool.images[rows], data.pool.labels[rows], [data.pool.ids[row] for row in rows])
    assert data.statistics == ImageData(pool, data.test, data.classes).statistics


@SEEDED
@given(
    mask=st.lists(st.booleans(), min_size=12, max_size=12).filter(lambda mask: sum(mask) > 6), seed=st.integers(0, 9)
)
def test_what_takes_no_part_is_in_none_of_the_masks(mask: list[bool], seed: int) -> None:
    whole = make_data()
    data = ImageData(whole.pool, whole.test, whole.classes, mask=torch.tensor(mask))
    pool, plan = PoolDataModule(data, 4, 4, seed), Plan(sum(mask), 2, 1, 2, rounds=2, initial="random")
    val, initial = draw(pool, plan)
    pool.keep_for_validation(val, data.pool.labels[val])
    pool.label(initial, data.pool.labels[initial], since=0)
    parts = torch.stack([pool.labeled_mask, pool.unlabeled_mask, pool.val_mask])
    assert parts.sum(0).tolist() == mask
    assert pool.candidates().tolist() == pool.unlabeled_mask.nonzero().squeeze(1).tolist()
    assert len(pool.candidates()) == plan.n_candidates(0)
    for row in (row for row, taking in enumerate(mask) if not taking):
        with pytest.raises(ValueError, match="unlabeled"):
            pool.label(torch.tensor([row]), data.pool.labels[[row]], since=1)


def test_a_mask_is_one_of_the_pool() -> None:
    whole = make_data()
    for wrong in (torch.ones(11, dtype=torch.bool), torch.zeros(12, dtype=torch.bool), torch.ones(12)):
        with pytest.raises(ValueError, match=r"ImageData\.mask .*a bool tensor \[12\]"):
            ImageData(whole.pool, whole.test, whole.classes, mask=wrong)


# --- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("dataset.imbalance=0.5", "must be a number, at least 1, or null"),
        ("dataset.imbalance=true", "must be a number"),
        ("dataset.imbalance=long", "must be a number"),
        ("dataset.imbalance=300", "class 8 would have no image; use a smaller factor"),
        ("dataset.subset=0", "must be a whole number of images, at least 1, or a fraction in (0, 1)"),
        ("dataset.subset=1.0", "must be a whole number of images"),
        ("dataset.subset=all", "must be a whole number of images"),
        ("dataset.subset=1438", "the pool has 1437 images; at most so many can be kept"),
        ("dataset.imbalance=10 dataset.subset=1000", "images that dataset.imbalance leaves; at most"),
        ("dataset.subset=7", "would have no image; 11 images have some of every class"),
        ("dataset.repeat=0", "must be a whole number from 1 to 100"),
        ("dataset.repeat=1.5", "must be a whole number from 1 to 100"),
        ("dataset.repeat=null", "must be a whole number from 1 to 100"),
        ("dataset.subset=50 al.rounds=9", "al.rounds=9: 20 + 9 x 20"),
        ("dataset.subsets=50", "did you mean dataset.subset?"),
        ("~dataset", "~dataset: this key cannot be taken away"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(typed: str, said: str, command: Command) -> None:
    ended = command(*typed.split())
    assert ended.code == 2 and said in ended.err and typed.split()[-1].split("=")[0] in ended.err
    assert not contents(Path.cwd())


def test_a_class_without_images_has_no_place_in_a_tail_and_is_none_of_a_subset() -> None:
    whole = make_data()
    data = ImageData(whole.pool, whole.test, (*"abc", "never seen"))
    with pytest.raises(ConfigError, match=r"dataset\.imbalance=2: class never seen .* none to begin with"):
        masks.apply(data, {"imbalance": 2})
    assert sum(of_class(masks.apply(data, {"subset": 6}))) == 6


def test_a_copy_has_an_id_of_its_own() -> None:
    whole = make_data()
    pool = ImageSet(whole.pool.images, whole.pool.labels, ["a", "a#2", *whole.pool.ids[2:]])
    with pytest.raises(ConfigError, match=r"dataset\.repeat=2: an image of the pool has the id a#2"):
        masks.apply(ImageData(pool, whole.test, whole.classes), {"repeat": 2})


# --- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS["dataset"])
def test_every_data_set_has_the_keys(option: str) -> None:
    root = ["dataset.root=photos"] if option == "folder" else []
    node = schema.typed(composed(f"dataset={option}", *root, *KEYS)).dataset
    assert masks.chosen(node) == {"imbalance": 10, "subset": 0.3, "repeat": 3}
    assert masks.chosen(schema.typed(composed(f"dataset={option}", *root)).dataset) == {}


OWN = """
from al_lightning.data.sources import digits

def numbers():
    return digits()
"""


def test_a_data_set_of_the_users_own_has_them_too(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_numbers.py").write_text(OWN)
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "own.yaml").write_text("name: own\n_target_: own_numbers.numbers\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "own_numbers")
    sizes = ("al.initial_size=20", "al.query_size=20")
    ended = command("--config-dir", str(tmp_path / "conf"), "dataset=own", *sizes, *ALL)
    assert ended.code == 0, ended.err
    own = only_run(Path.cwd())
    assert command("dataset=digits", *sizes, *ALL).code == 0
    (same,) = own.parent.glob("digits-*")
    assert differences(own, same) == []


@pytest.fixture(scope="module")
def left() -> Callable[[tuple[str, ...]], ImageData]:
    """What a command leaves of digits."""
    return lambda typed: masks.apply(digits(), schema.typed(composed(*typed)).dataset)


@pytest.mark.parametrize("typed", [*((key,) for key in KEYS), ALL], ids=str)
def test_a_run_asks_for_none_that_takes_no_part_and_goes_on_to_the_byte(typed, left, command, tmp_path: Path) -> None:
    arguments = (*typed, "al.val_size=10", "al.pool_sample=0.5")
    first = command(*arguments, "al.rounds=1", cwd=tmp_path / "a")
    assert first.code == 0 and f"note      {' '.join(typed)}: " in first.out
    assert "goes on after round 0" in command(*arguments, cwd=tmp_path / "a").out
    assert command(*arguments, cwd=tmp_path / "b").code == 0
    run = only_run(tmp_path / "a")
    assert differences(run, only_run(tmp_path / "b")) == []
    data, summary = left(typed), json.loads((run / "summary.json").read_text())
    assert summary["pool_size"] == data.pool_size and summary["data_fingerprint"] == data.fingerprint()
    labeled = queried(run, len(data.pool))
    assert labeled.sum() == 70 and data.there[labeled].all()
    queries = pd.read_csv(run / "queries.csv", dtype={"id": str})
    assert queries["id"].tolist() == [data.pool.ids[index] for index in queries["index"]]
    listed = pd.read_csv(run / "images.csv.gz", dtype={"id": str})["id"].tolist()
    assert listed == [*data.pool.ids, *data.test.ids]
    shown = Reader().pool(run / "pool.npz")
    assert shown is not None and shown.mask.tolist() == data.there.tolist()
    assert "finished before" in command(*arguments, cwd=tmp_path / "a").out


def test_the_subset_is_the_same_for_every_seed(command: Command, tmp_path: Path) -> None:
    for seed in (0, 1):
        assert command("dataset.subset=50", f"seed={seed}", "al.rounds=1", cwd=tmp_path).code == 0
    found = [json.loads(file.read_text()) for file in tmp_path.glob("multirun_outputs/default/*/summary.json")]
    assert len(found) == 2 and found[0]["data_fingerprint"] == found[1]["data_fingerprint"]


def test_a_run_goes_on_without_images_that_are_gone_and_their_copies(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in {"train": 20, "test": 3}.items():
        for name in ("cat", "dog"):
            (folder := tmp_path / "photos" / part / name).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{number:02}.png")
    images = ("dataset=folder", "dataset.root=photos", "dataset.image_size=8", "dataset.cache=null")
    typed = (*images, "dataset.imbalance=1.5", "dataset.subset=24", "dataset.repeat=2")
    typed = (*typed, "al.initial_size=6", "al.query_size=4")
    assert command(*typed, "al.rounds=1", cwd=tmp_path).code == 0
    run = only_run(tmp_path)
    taken = queried(run, 80).reshape(2, 40).max(0)
    with np.load(run / "pool.npz", allow_pickle=False) as shown:
        taking = shown["mask"][:40]
    ids = pd.read_csv(run / "images.csv.gz")["id"].to_numpy()[:40]
    lost = ids[taking & ~taken][:3]
    for each in (*lost, ids[~taking][0]):  # one that takes no part, too
        (tmp_path / "photos" / each).unlink()
    refused = command(*typed, "al.rounds=null", "al.budget=100", cwd=tmp_path)
    assert refused.code == 1 and "4 went (" in refused.err and "skip_changed=true" in refused.err
    done = command(*typed, "al.rounds=null", "al.budget=100", "skip_changed=true", cwd=tmp_path)
    assert done.code == 0 and "6 of the pool are gone" in done.out and done.out.count("dataset.subset=24") == 1
    now = queried(run, 80).reshape(2, 40)
    there = taking & ~np.isin(ids, lost)
    assert (now.any(0) <= there).all() and now.sum() == 2 * there.sum(), "all that is there has been asked for"
