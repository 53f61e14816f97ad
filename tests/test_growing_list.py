"""The list of images of a pool that grows, and the rounds that follow from what has been asked for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_lightning.config.plan import Begun, make_plan
from al_lightning.config.schema import ActiveLearning
from al_lightning.data.growing import continued
from al_lightning.data.listing import Listed
from al_lightning.errors import DataError

TEST = [Listed("test", "cat", "t", "0")]
FILES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["cat", "dog"]))  # what is there, in any order


@given(st.lists(FILES, min_size=1, max_size=6), st.booleans(), st.randoms(use_true_random=False))
def test_an_index_is_the_order_of_first_sight(seen: list[dict[str, str]], drawn: bool, random: Any) -> None:
    rows, first = TEST, []
    for files in seen:
        now = [Listed("pool", name, each, f"pixels of {each}") for each, name in files.items()] + TEST
        if drawn:  # as any test part may be
            now = [each._replace(part=random.choice(["pool", "test"])) for each in now]
        first += [each for each in files if each not in first]
        before, rows = rows, continued(rows, now, drawn=drawn)
        assert [each.id for each in rows] == [*first, "t"] and rows[-1:] == TEST
        assert all(each.pixels == f"pixels of {each.id}" and each.part == "pool" for each in rows[:-1])
        assert {each.id: each.name for each in rows[:-1]}.items() >= files.items()
        assert continued(rows, now, drawn=drawn) == rows, "seen twice is seen once"
        assert len(rows) >= len(before)


@given(FILES.filter(len), st.data())
def test_an_id_is_never_that_of_another_image(files: dict[str, str], data: st.DataObject) -> None:
    before = [Listed("pool", name, each, f"pixels of {each}") for each, name in files.items()] + TEST
    changed = data.draw(st.sampled_from(before)).id
    now = [each._replace(pixels="other") if each.id == changed else each for each in before]
    with pytest.raises(DataError, match=f"^1 changed pixels \\({changed}\\)$"):
        continued(before, now, drawn=data.draw(st.booleans()))


@given(st.integers(2, 50), st.integers(1, 9), st.integers(0, 9), st.integers(0, 6), st.integers(0, 400))
def test_a_plan_that_goes_on_is_the_one_that_began(initial: int, query: int, val: int, done: int, budget: int) -> None:
    """Where the pool has not grown, it makes no difference how far a run has come."""
    al: Any = ActiveLearning(
        initial_size=initial, query_size=query, val_size=val, rounds=None, budget=initial + val + budget,
        initial="random", pool_sample=None,
    )  # fmt: skip
    begun = Begun(done, initial + val + done * query, initial, val)
    one, other = make_plan(al, 200), make_plan(al, 200, begun=begun)
    for plan in (one, other):
        assert [plan.n_paid(r) - plan.n_labeled(r) for r in range(9)] == [val] * 9
    assert one.rounds == other.rounds
    assert [one.n_candidates(r) for r in range(9)] == [other.n_candidates(r) for r in range(9)]
