"""The pool of labels, the batch plan, augmentation, the plan of the rounds, and the streams of seeds."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from al_lightning.acquisition.initial import draw
from al_lightning.config.plan import Plan
from al_lightning.data.augment import augment
from al_lightning.data.batches import EvalBatches, epoch_plan, steps_per_epoch
from al_lightning.data.datamodule import UNKNOWN, UNLABELED, PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.streams import Stream, generator, torch_seed

SEEDED = settings(derandomize=True, deadline=None, max_examples=150)
N = 12


def make_data(n: int = N, n_test: int = 4) -> ImageData:
    """Images that say which they are in their first pixel, and labels that do not follow from it."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (n + n_test, 3, 5, 4), dtype=np.uint8))
    images[:n, 0, 0, 0] = torch.arange(n)
    labels = torch.from_numpy(rng.integers(0, 3, n + n_test))
    pool, test = slice(n), slice(n, None)
    ids = [str(i) for i in range(n + n_test)]
    return ImageData(
        ImageSet(images[pool], labels[pool], ids[pool]), ImageSet(images[test], labels[test], ids[test]), tuple("abc")
    )


def state(pool: PoolDataModule) -> list[list[int]]:
    return [t.tolist() for t in (pool.labeled_since, pool.labels, pool.val_mask)]


# --- masks ----------------------------------------------------------------------------------------------------------


@SEEDED
@given(
    val=st.sets(st.integers(0, N - 1), max_size=4),
    calls=st.lists(st.lists(st.integers(0, N - 1), max_size=4), max_size=8),
)
def test_masks_partition_the_pool_and_illegal_calls_change_nothing(val: set[int], calls: list[list[int]]) -> None:
    data = make_data()
    pool = PoolDataModule(data, 4, 4, seed=0)
    kept = torch.tensor(sorted(val), dtype=torch.int64)
    pool.keep_for_validation(kept, data.pool.labels[kept])
    since: dict[int, int] = {}
    for round_, call in enumerate(calls):
        indices = torch.tensor(call, dtype=torch.int64)
        before = state(pool)
        if len(set(call)) < len(call) or set(call) & (val | set(since)):
            with pytest.raises(ValueError, match="unlabeled"):
                pool.label(indices, data.pool.labels[indices], since=round_)
            assert state(pool) == before
        else:
            pool.label(indices, data.pool.labels[indices], since=round_)
            since |= dict.fromkeys(call, round_)
        masks = torch.stack([pool.labeled_mask, pool.unlabeled_mask, pool.val_mask])
        assert masks.dtype == torch.bool and (masks.sum(0) == 1).all()
        assert pool.labeled_since.tolist() == [since.get(i, UNLABELED) for i in range(N)]
        truth = data.pool.labels.tolist()
        assert pool.labels.tolist() == [truth[i] if i in since or i in val else UNKNOWN for i in range(N)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([-1, 0]), "label -1 is no class: there are 3, from 0 to 2"),
        (torch.tensor([0, 99]), "label 99 is no class"),
        (torch.tensor([0, 3]), "label 3 is no class"),
        (torch.tensor([0.0, 1.0]), "labels must be whole numbers"),
        (torch.tensor([True, False]), "labels must be whole numbers"),
        (torch.tensor([[0], [1]]), "labels must be whole numbers"),
        (torch.tensor([0]), "an image of the pool and a label"),
    ],
)
@pytest.mark.parametrize("validation", [False, True])
def test_an_answer_outside_the_classes_is_refused(labels: Tensor, message: str, validation: bool) -> None:
    pool = PoolDataModule(make_data(), 4, 4, seed=0)
    before = state(pool)
    with pytest.raises(ValueError, match=message):
        if validation:
            pool.keep_for_validation(torch.tensor([2, 5]), labels)
        else:
            pool.label(torch.tensor([2, 5]), labels, since=0)
    assert state(pool) == before


def test_a_mask_is_not_taken_for_indices() -> None:
    pool = PoolDataModule(make_data(), 4, 4, seed=0)
    with pytest.raises(ValueError, match="indices must be whole numbers"):
        pool.label(torch.tensor([True, False]), torch.tensor([0, 1]), since=0)


PLAN = Plan(pool_size=N, initial_size=4, query_size=2, val_size=3, rounds=2)


@pytest.mark.parametrize("seed", range(5))
def test_validation_and_initial_set_depend_on_seed_and_sizes_only(seed: int) -> None:
    data = make_data()
    val, initial = draw(PoolDataModule(data, 4, 4, seed), PLAN)
    other = PoolDataModule(data, 8, 2, seed)
    other.label(torch.tensor([0, 5]), torch.tensor([1, 1]), since=0)
    other.round = 3
    torch.manual_seed(99)
    again = draw(other, replace(PLAN, query_size=1, rounds=5))
    assert [t.tolist() for t in again] == [val.tolist(), initial.tolist()]
    assert (len(val), len(initial)) == (3, 4)
    assert len({*val.tolist(), *initial.tolist()}) == 7
    assert (val.diff() > 0).all() and (initial.diff() > 0).all()
    bigger = draw(PoolDataModule(data, 4, 4, seed), replace(PLAN, initial_size=6))
    assert bigger[0].tolist() == val.tolist()


def test_other_seeds_draw_other_sets() -> None:
    drawn = [draw(PoolDataModule(make_data(), 4, 4, seed), PLAN) for seed in range(20)]
    for which in range(2):
        assert len({tuple(sets[which].tolist()) for sets in drawn}) > 10


@SEEDED
@given(initial=st.integers(2, 9), val=st.integers(0, 3), seed=st.integers(0, 50))
def test_a_balanced_start_takes_every_class_in_turn(initial: int, val: int, seed: int) -> None:
    data = make_data()
    plan = replace(PLAN, initial_size=initial, val_size=val, initial="balanced")
    kept, drawn = draw(PoolDataModule(data, 4, 4, seed), plan)
    assert len(drawn) == len(drawn.unique()) == initial and not torch.isin(drawn, kept).any()
    left = torch.ones(N, dtype=torch.bool)
    left[kept] = False
    there = torch.bincount(data.pool.labels[left], minlength=3)
    taken = torch.bincount(data.pool.labels[drawn], minlength=3)
    # A class may have fewer than another only where it has no more images.
    assert all(taken[a] >= taken.max() - 1 or taken[a] == there[a] for a in range(3))


def test_candidates_are_a_new_draw_of_unlabeled_images_every_round() -> None:
    data = make_data()
    pool = PoolDataModule(data, 4, 4, seed=0, pool_sample=5)
    pool.label(torch.tensor([1, 4]), data.pool.labels[[1, 4]], since=0)
    drawn = []
    for pool.round in range(10):
        drawn.append(pool.candidates())
        assert len(drawn[-1]) == 5 and (drawn[-1].diff() > 0).all() and pool.unlabeled_mask[drawn[-1]].all()
    assert len({tuple(each.tolist()) for each in drawn}) > 5
    everything = PoolDataModule(data, 4, 4, seed=0).candidates()
    assert everything.tolist() == list(range(N))


def epoch(batches: object) -> list[tuple[int, int]]:
    """(image, label) in the order of an epoch."""
    return [pair for x, y in batches for pair in zip(x[:, 0, 0, 0].tolist(), y.tolist(), strict=True)]  # type: ignore[attr-defined]


def test_training_sees_the_labels_paid_for_up_to_its_round_and_no_others() -> None:
    data = make_data()
    pool = PoolDataModule(data, 3, 4, seed=0)
    pool.keep_for_validation(torch.tensor([11]), data.pool.labels[[11]])
    asked = [[4, 9, 1], [0, 7], [2], [8, 3]]
    for since, call in enumerate(asked):
        pool.label(torch.tensor(call), data.pool.labels[call], since)
    truth = data.pool.labels.tolist()
    for round_ in range(len(asked)):
        pool.round = round_
        batches = pool.train_dataloader()
        first, second = epoch(batches), epoch(batches)
        paid = sorted(i for call in asked[: round_ + 1] for i in call)
        assert sorted(first) == sorted(second) == [(i, truth[i]) for i in paid]
        assert epoch(pool.train_dataloader()) == first, "the batches of a round follow from seed and round"
        assert first != second, "every epoch has an order of its own"
    assert epoch(pool.validation_batches()) == [(11, truth[11])]
    assert (pool.labels[[5, 6, 10]] == UNKNOWN).all()
    test = list(pool.test_dataloader())
    assert torch.equal(torch.cat([x for x, _ in test]), data.test.images)
    assert torch.equal(torch.cat([y for _, y in test]), data.test.labels)


# --- batches --------------------------------------------------------------------------------------------------------


@SEEDED
@given(n=st.integers(2, 400), batch_size=st.integers(2, 90), seed=st.integers(0, 9))
def test_epoch_plan_is_a_partition_into_the_fewest_even_batches_without_a_batch_of_one(
    n: int, batch_size: int, seed: int
) -> None:
    plan = epoch_plan(n, batch_size, np.random.default_rng(seed))
    sizes = [len(batch) for batch in plan]
    assert sorted(np.concatenate(plan)) == list(range(n))
    assert min(sizes) >= 2 and max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size or (batch_size, max(sizes)) == (2, 3)
    assert len(plan) == steps_per_epoch(n, batch_size) == math.ceil(n / batch_size) - (batch_size == 2) * (n % 2)


@SEEDED
@given(n=st.integers(1, 12), batch_size=st.integers(1, 14))
def test_eval_batches_keep_the_order(n: int, batch_size: int) -> None:
    pool = make_data().pool
    indices = torch.arange(n).flip(0)
    batches = EvalBatches(pool.images, pool.labels, indices, batch_size)
    assert epoch(batches) == [(i, int(pool.labels[i])) for i in indices.tolist()]
    assert len(list(batches)) == len(batches)


@SEEDED
@given(crop=st.integers(0, 6), flip=st.booleans(), dtype=st.sampled_from([torch.uint8, torch.float32]))
def test_augment_equals_a_loop_over_images_with_the_same_draws(crop: int, flip: bool, dtype: torch.dtype) -> None:
    images = make_data().pool.images.to(dtype)
    n, _, height, width = images.shape
    draws = torch.Generator().manual_seed(crop)

    def draw(high: int) -> list[int]:
        return torch.randint(high, (n, 1), generator=draws).flatten().tolist()

    down, right = (draw(2 * crop + 1), draw(2 * crop + 1)) if crop else ([0] * n, [0] * n)
    mirrored = draw(2) if flip else [0] * n
    twin = []
    for i, image in enumerate(images.numpy()):
        padded = np.pad(image, ((0, 0), (crop, crop), (crop, crop)))
        cut = padded[:, down[i] : down[i] + height, right[i] : right[i] + width]
        twin.append(cut[:, :, ::-1] if mirrored[i] else cut)
    out = augment(images, crop, flip, torch.Generator().manual_seed(crop))
    assert out.dtype == dtype
    np.testing.assert_array_equal(out.numpy(), np.stack(twin))
    assert crop or flip or torch.equal(out, images)


def test_augment_reaches_every_shift_and_both_sides() -> None:
    image = torch.arange(1, 10).view(1, 1, 3, 3)
    out = augment(image.repeat(600, 1, 1, 1), 1, True, torch.Generator().manual_seed(0))
    assert len(out.flatten(1).unique(dim=0)) == 3 * 3 * 2


# --- seeds and statistics -------------------------------------------------------------------------------------------


def test_streams_differ_by_seed_name_and_round_and_repeat_exactly() -> None:
    keys = [(seed, stream, round_) for seed in (0, 1, 2**32 - 1) for stream in Stream for round_ in range(4)]
    draws = [tuple(generator(*key).integers(2**32, size=4)) for key in keys]
    seeds = [torch_seed(*key) for key in keys]
    assert len(set(draws)) == len(set(seeds)) == len(keys)
    assert draws == [tuple(generator(*key).integers(2**32, size=4)) for key in keys]
    assert seeds == [torch_seed(*key) for key in keys]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_channel_statistics_equal_numpy_on_floats() -> None:
    data = make_data(200)
    pixels = data.pool.images.double().numpy() / 255
    means, deviations = data.statistics
    np.testing.assert_allclose(means, pixels.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(deviations, pixels.std((0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_constant_channel_keeps_its_scale(level: int) -> None:
    data = make_data(37)
    data.pool.images[:, 1] = level
    means, deviations = data.statistics
    assert (means[1], deviations[1]) == (pytest.approx(level / 255), 1.0)


def _flip_a_pixel(images: Tensor, labels: Tensor) -> None:
    images[-1, -1, -1, -1] ^= 1


def _change_a_label(images: Tensor, labels: Tensor) -> None:
    labels[-1] = (labels[-1] + 1) % 3


@pytest.mark.parametrize("change", [_flip_a_pixel, _change_a_label])
@pytest.mark.parametrize("part", ["pool", "test"])
def test_fingerprint_changes_with_one_pixel_or_label(part: str, change) -> None:
    changed = make_data()
    target = getattr(changed, part)
    change(target.images, target.labels)
    assert make_data().fingerprint() == make_data().fingerprint() != changed.fingerprint()
    assert replace(make_data(), classes=tuple("abd")).fingerprint() != make_data().fingerprint()


def test_where_others_answer_the_labels_of_the_pool_are_no_part_of_the_fingerprint() -> None:
    data = make_data()
    pool, test = (
        replace(data, **{part: replace(getattr(data, part), labels=1 - getattr(data, part).labels.clamp(max=1))})
        for part in ("pool", "test")
    )
    assert pool.fingerprint(pool_labels=False) == data.fingerprint(pool_labels=False) != data.fingerprint()
    assert test.fingerprint(pool_labels=False) != data.fingerprint(pool_labels=False)
