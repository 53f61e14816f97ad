"""The statistics of the report against figures computed by hand, textbook examples and simulation."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ncfdtr
from scipy.stats import t, ttest_rel
from statsmodels.stats.multitest import multipletests

from al_lightning.report.statistics import (
    area,
    curve,
    detectable,
    holm,
    interval,
    paired,
    paired_all,
    paired_columns,
    power,
    seeds_needed,
)

# "Student" 1908: hours of additional sleep of ten patients after each of two drugs.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


@pytest.fixture(scope="module", autouse=True)
def no_collection() -> Iterator[None]:
    """Statsmodels collects garbage in every adjustment: half a second each in a long session, and here are hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc.collect", lambda: 0)
        yield


def test_the_interval_of_a_mean_by_hand() -> None:
    three = interval([0.5, 0.6, 0.7])  # mean 0.6, spread 0.1
    assert (three.mean, three.n) == (pytest.approx(0.6), 3)
    assert three.half_width == pytest.approx(4.302653 * 0.1 / math.sqrt(3), abs=1e-7)  # t(0.975, 2 degrees)
    assert interval([0.5, 0.5]).half_width == 0


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    one, none = interval([0.5]), interval([])
    assert (one.mean, one.n, none.n) == (0.5, 1, 0)
    assert math.isnan(one.half_width) and math.isnan(none.mean) and math.isnan(none.half_width)


def test_the_paired_test_on_students_sleep() -> None:
    test = paired(SLEEP_1, SLEEP_2)  # as R's documentation of `sleep` prints it
    assert test.n == 10
    assert test.difference == pytest.approx(-1.58)
    assert test.p == pytest.approx(0.002833, abs=5e-7)
    assert test.difference - test.half_width == pytest.approx(-2.4598858, abs=5e-8)
    assert test.difference + test.half_width == pytest.approx(-0.7001142, abs=5e-8)
    assert test.spread == pytest.approx(1.229995, abs=5e-7)


def test_without_spread_there_is_no_test() -> None:
    same, shifted, one, none = paired([1, 2], [1, 2]), paired([0.3, 0.4], [0.2, 0.3]), paired([2], [1]), paired([], [])
    assert (same.difference, same.half_width, same.spread) == (0, 0, 0)
    # 0.3 - 0.2 and 0.4 - 0.3 differ by 8e-17: no p of 0
    assert (shifted.half_width, shifted.spread) == (0, 0)
    assert math.isnan(same.p) and math.isnan(shifted.p)
    assert (one.difference, one.n, none.n) == (1, 1, 0)
    assert all(map(math.isnan, (one.half_width, one.p, one.spread, none.difference, none.p)))


@given(st.lists(st.lists(st.integers(-50, 50), min_size=0, max_size=6), max_size=6))
def test_tests_of_several_lengths_at_once_are_scipys_one_by_one(drawn: list[list[int]]) -> None:
    vectors = [np.array(each) / 100 for each in drawn]
    for vector, test in zip(vectors, paired_all(vectors), strict=True):
        assert test.n == len(vector)
        if len(set(vector.tolist())) > 1:
            alone = ttest_rel(vector, np.zeros(len(vector)))
            low, high = alone.confidence_interval(0.95)
            assert test.p == pytest.approx(alone.pvalue)
            assert (test.difference - test.half_width, test.difference + test.half_width) == pytest.approx((low, high))
        else:
            assert math.isnan(test.p)


def test_many_tests_at_once_are_each_test() -> None:
    columns = np.random.default_rng(0).normal(size=(4, 30))
    columns[:, 0], columns[:, 1] = 0, 0.25
    mean, p = paired_columns(columns)
    each = [paired(column, np.zeros(4)) for column in columns.T]
    np.testing.assert_array_equal(mean, [test.difference for test in each])
    np.testing.assert_array_equal(p, [test.p for test in each])


def test_a_curve_over_the_seeds_that_got_so_far() -> None:
    rows = pd.DataFrame(
        {
            "n_labeled": [20, 40, 60, 20, 40, 20, 40],
            "test/acc": [0.5, 0.6, 0.7, 0.5, 0.7, 0.5, 0.8],
            "test/auroc": [math.nan, 0.8, 0.9, 0.7, 0.9, 0.8, math.nan],
        }
    )
    points = curve(rows)
    assert points["n_labeled"].to_list() == [20, 40, 60]
    assert points["mean"].to_list() == pytest.approx([0.5, 0.7, 0.7])
    half_width = 4.302653 * 0.1 / math.sqrt(3)  # spread 0.1 of three
    assert points["half_width"].to_list() == pytest.approx([0, half_width, math.nan], abs=1e-7, nan_ok=True)
    assert points["n"].to_list() == [3, 3, 1]
    assert curve(rows, "test/auroc")["n"].to_list() == [2, 2, 1], "nan does not count"


def test_areas_with_uneven_budgets_and_cuts_by_hand() -> None:
    labels, accuracy = [10, 20, 50], [0.5, 0.7, 0.8]
    # 10 x (0.5 + 0.7) / 2 + 30 x (0.7 + 0.8) / 2 = 6 + 22.5, over 40
    assert area(labels, accuracy, 10, 50) == pytest.approx(28.5 / 40)
    # height 0.6 at 15 and 0.75 at 35: 5 x 0.65 + 15 x 0.725 = 3.25 + 10.875, over 20
    assert area(labels, accuracy, 15, 35) == pytest.approx(14.125 / 20)
    assert area(labels, accuracy, 10, 20) == pytest.approx(0.6)
    assert area(labels, accuracy, 35, 35) == pytest.approx(0.75), "no range: the height"
    assert area([10], [0.5], 10, 10) == 0.5


def test_holm_on_a_textbook_example() -> None:
    # sorted 0.005 0.01 0.03 0.04, times 4 3 2 1 = 0.02 0.03 0.06 0.04, never below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.9, 0.02]) == pytest.approx([1, math.nan, 1, 0.06], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=30)
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    expected: Any = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(p), expected, atol=1e-15)
    assert holm([]) == []
    assert holm([0.04]) == [0.04]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(1e-4, 0.5))
def test_holm_rejects_what_its_steps_reject(p: list[float], alpha: float) -> None:
    adjusted = holm(p)
    ordered = sorted(zip(p, adjusted, strict=True))
    assert all(raw <= after <= 1 for raw, after in ordered)
    assert [after for _, after in ordered] == sorted(adjusted)
    rejected = set()
    for step, position in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[position] * (len(p) - step) >= alpha:
            break
        rejected.add(position)
    assert {position for position, after in enumerate(adjusted) if after < alpha} == rejected


def test_power_against_published_sample_sizes() -> None:
    # Cohen's d of 0.2, 0.5 and 0.8, two-sided paired t-test, 5%, 80% power: 198.2, 33.4 and 14.3 pairs (R's
    # power.t.test, G*Power)
    assert [seeds_needed(effect) for effect in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert detectable(34) < 0.5 < detectable(33)
    assert power(0, 5, 0.01) == pytest.approx(0.01 / 2, abs=1e-6), "without a difference, its level in one tail"
    assert seeds_needed(0) is None
    assert seeds_needed(0.2, most=198) is None
    assert seeds_needed(1e6) == 2


@given(st.integers(2, 1000), st.floats(0.05, 3), st.floats(1e-4, 0.5))
def test_power_is_that_of_the_square_of_t_less_the_wrong_sign(n: int, effect: float, alpha: float) -> None:
    both = 1 - ncfdtr(1, n - 1, n * effect**2, t.ppf(1 - alpha / 2, n - 1) ** 2)  # noncentral F: either sign
    # scipy's is nan far out, where no test misses.
    wrong = power(-effect, n, alpha)
    assert power(effect, n, alpha) + wrong == pytest.approx(1 if np.isnan(both) else both, abs=1e-4)


@pytest.mark.parametrize(("n", "pairs"), [(2, 1), (3, 15), (5, 1), (5, 15)])
def test_the_detectable_difference_is_found_in_80_of_100_simulations(n: int, pairs: int) -> None:
    differences = np.random.default_rng(n).normal(detectable(n, 0.05 / pairs), 1, size=(n, 200_000))
    found = (paired_columns(differences)[1] < 0.05 / pairs).mean()
    assert found == pytest.approx(0.80, abs=0.004)  # 4 standard errors of the simulation


def test_the_detectable_difference_exists_for_hundreds_of_methods() -> None:
    assert all(detectable(n, 0.05 / 300) > detectable(n) > 0 for n in (3, 5, 20, 1000))


def simulate(studies: int, seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curves of two methods, `[studies, seeds, rounds]`, and their labels.

    They saturate, share the start of their seed, have noise of each round and of each run, are cut at 1 and counted in
    thousandths as a test part of 1,000 images does it.
    """
    labels = np.arange(1, 11) * 100.0
    start = rng.normal(0, 0.04, (studies, seeds, 1))  # the initial set of the seed, which both begin with
    accuracies = []
    for rate, top in ((250, 0.975), (200, 0.99)):
        run = rng.normal(0, 0.006, (studies, seeds, 1))
        noise = rng.normal(0, 0.012, (studies, seeds, len(labels)))
        fading = np.exp(-labels / rate)
        accuracies.append(np.round(np.clip(top - (0.5 - start) * fading + run + noise, 0, 1), 3))
    return labels, accuracies[0], accuracies[1]


def test_intervals_over_five_seeds_cover_the_truth_in_95_of_100_studies() -> None:
    rng = np.random.default_rng(20)
    labels, a, b = simulate(1, 200_000, rng)
    mean_a, mean_b = ((np.trapezoid(each, labels) / 900).mean() for each in (a, b))
    labels, a, b = simulate(2000, 5, rng)
    assert (np.concatenate([a, b]) == 1).mean() > 0.01, "saturated enough to be cut"
    covered_mean, covered_difference = [], []
    for runs_a, runs_b in zip(a, b, strict=True):
        areas_a, areas_b = (
            [area(labels.tolist(), run.tolist(), 100, 1000) for run in runs] for runs in (runs_a, runs_b)
        )
        alone, test = interval(areas_a), paired(areas_b, areas_a)
        covered_mean.append(abs(alone.mean - mean_a) <= alone.half_width)
        covered_difference.append(abs(test.difference - (mean_b - mean_a)) <= test.half_width)
    assert 0.93 <= np.mean(covered_mean) <= 0.97
    assert 0.93 <= np.mean(covered_difference) <= 0.97


def test_holm_keeps_the_error_of_all_pairs_of_equal_methods_below_5_in_100() -> None:
    rng = np.random.default_rng(4)
    # Four methods that share their seeds: [studies, methods, seeds]
    areas = rng.normal(0, 0.02, (1500, 1, 5)) + rng.normal(0, 0.01, (1500, 4, 5))
    differences = np.stack([areas[:, i] - areas[:, j] for i in range(4) for j in range(i)], axis=1)
    _, p = paired_columns(differences.reshape(-1, 5).T)
    # What is not below 0.05 before is not afterwards, see above.
    wrong = [min(each) < 0.05 and min(holm(each)) < 0.05 for each in p.reshape(1500, 6).tolist()]
    assert np.mean(wrong) < 0.05 + 0.012  # 2 standard errors
