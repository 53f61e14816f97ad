"""The plan of the rounds: sizes held against a pool and a budget."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_lightning.config.plan import make_plan, to_images
from al_lightning.config.schema import ActiveLearning
from al_lightning.errors import ConfigError

SEEDED = settings(derandomize=True, deadline=None, max_examples=150)

SIZES = st.integers(1, 80) | st.floats(0.001, 0.5)
POOLS = st.integers(2, 300)


def section(initial: float, query: float, rounds: int | None, budget: int | None, val: float = 0) -> ActiveLearning:
    return ActiveLearning(
        initial_size=initial,
        query_size=query,
        rounds=rounds,
        budget=budget,
        val_size=val,
        n_clusters=12,
        mc_samples=10,
        initial="random",
        pool_sample=None,
        pool_batch_size=64,
    )


@SEEDED
@given(fraction=st.floats(1e-6, 1, exclude_max=True), pool=st.integers(2, 100_000), whole=st.integers(0, 500))
def test_a_size_is_a_number_of_images_or_the_nearest_to_a_fraction(fraction: float, pool: int, whole: int) -> None:
    images = to_images(fraction, pool)
    assert 1 <= images <= pool
    assert images == 1 or abs(images - fraction * pool) <= 0.5
    assert to_images(whole, pool) == whole


@SEEDED
@given(
    pool=POOLS,
    initial=SIZES,
    query=SIZES,
    val=st.just(0) | SIZES,
    limits=st.tuples(st.none() | st.integers(0, 30), st.none() | st.integers(1, 400)).filter(any),
)
def test_rounds_stay_within_pool_and_budget_or_the_key_is_named(
    pool: int, initial: float, query: float, val: float, limits: tuple[int | None, int | None]
) -> None:
    rounds, budget = limits
    start = to_images(initial, pool) + to_images(val, pool)
    step = to_images(query, pool)
    too_small, too_large = to_images(initial, pool) < 2, start > pool
    too_poor = budget is not None and budget < start
    affordable = pool if budget is None else (min(pool, budget) - start) // step
    too_long = rounds is not None and start + min(rounds, affordable) * step > pool
    al = section(initial, query, rounds, budget, val)
    if too_small or too_large or too_long or too_poor:
        with pytest.raises(ConfigError) as refused:
            make_plan(al, pool)
        key = "initial_size" if too_small or too_large else "budget" if too_poor else "rounds"
        assert str(refused.value).startswith(f"al.{key}={getattr(al, key)}")
        return
    plan = make_plan(al, pool)
    limit = pool if budget is None else min(pool, budget)
    assert plan.n_paid(0) == start and plan.n_labeled(plan.rounds) == to_images(initial, pool) + plan.rounds * step
    assert plan.n_paid(plan.rounds) <= limit
    assert plan.rounds == rounds or plan.n_paid(plan.rounds) + step > limit, "stopped before any limit"
    for round_ in range(plan.rounds):
        assert plan.n_candidates(round_) >= plan.query_size
    assert plan.n_candidates(plan.rounds) == pool - plan.n_paid(plan.rounds)


def test_a_strategy_looks_at_a_sample_that_has_room_for_the_query() -> None:
    plan = make_plan(replace(section(10, 20, 2, None), pool_sample=0.25), 100)
    assert [plan.n_candidates(round_) for round_ in range(3)] == [25, 25, 25]
    assert make_plan(replace(section(10, 20, 4, None), pool_sample=25), 100).n_candidates(4) == 10
    with pytest.raises(ConfigError, match=r"^al\.pool_sample=0\.1: 10 images to choose 20"):
        make_plan(replace(section(10, 20, 2, None), pool_sample=0.1), 100)


@SEEDED
@given(pool=st.integers(60, 300), query=SIZES, budgets=st.tuples(st.integers(50, 400), st.integers(50, 400)))
def test_a_smaller_budget_is_a_prefix_of_a_larger_one(pool: int, query: float, budgets: tuple[int, int]) -> None:
    plans = [make_plan(section(30, query, None, budget, 20), pool) for budget in sorted(budgets)]
    small, large = ([plan.n_paid(r) for r in range(plan.rounds + 1)] for plan in plans)
    assert large[: len(small)] == small
