"""What runs say of each other, against figures computed by hand: uneven budgets, censoring, ties, missing seeds."""

import math

import pandas as pd
import pytest
from report_runs import one, table

from al_lightning.report.compare import compare
from al_lightning.report.statistics import detectable

T3 = 4.302653  # t(0.975) of 3 seeds


def flat(curves: dict[str, dict[int, float]]) -> pd.DataFrame:
    """Runs of two rounds whose area is the given one."""
    return table({m: {s: {10: a - 0.1, 20: a + 0.1} for s, a in seeds.items()} for m, seeds in curves.items()})


def test_areas_by_hand_without_the_run_that_is_not_there_yet() -> None:
    comparison = one(
        table(
            {
                "margin": {0: {20: 0.5, 40: 0.8, 60: 0.9}, 1: {20: 0.5, 40: 0.8}},
                "random": {0: {20: 0.5, 40: 0.6, 60: 0.7}, 1: {20: 0.5, 40: 0.7, 60: 0.7}},
            },
            {("margin", 1): "running"},
        )
    )
    assert comparison.methods == ("random", "margin") and comparison.reference == "random"
    assert (comparison.start, comparison.early_end, comparison.end) == (20, 30, 60)
    # whole: trapezoids over 20 to 60; early: 20 to 30, where the curve is halfway to its second point
    expected = {("margin", 0): (0.75, 0.575), ("random", 0): (0.6, 0.525), ("random", 1): (0.65, 0.55)}
    areas = comparison.areas.set_index(["method", "seed"])
    assert {key: (row["whole"], row["early"]) for key, row in areas.iterrows()} == {
        key: pytest.approx(value) for key, value in expected.items()
    }
    random, margin = comparison.aubc.to_dict("records")
    assert (random["seeds"], random["whole"], random["early"]) == (2, pytest.approx(0.625), pytest.approx(0.5375))
    assert random["whole_half_width"] == pytest.approx(12.706205 * 0.025)  # t(0.975, 1) x standard error
    assert (margin["seeds"], margin["whole"]) == (1, pytest.approx(0.75))
    assert math.isnan(margin["whole_half_width"])
    assert comparison.notes == (
        "AUBC from 20 to 60 labels; early: to 30.",
        "margin: left out of AUBC, verdicts, pairs and penalties, short of 60 labels: seed 1 (running at 40).",
        "margin: no AUBC for seed 1, which others have; pairs go by the seeds of both.",
        "margin: one seed, so no interval.",
    )
    assert comparison.verdicts[["method", "verdict", "sentence"]].values.tolist() == [
        ["margin", "unknown", "margin: one seed, so no interval and no verdict: AUBC +0.1500 against random."]
    ]
    assert comparison.headline == "No verdict on margin: one seed in common."
    assert len(comparison.rounds) == 11, "curves use all runs"


def test_the_range_ends_where_every_method_has_finished() -> None:
    curves = {
        "bald": {0: {10: 0.5}, 1: {10: 0.4, 20: 0.6, 30: 0.7}},  # no finished run: does not bind
        "margin": {0: {10: 0.5, 20: 0.6, 30: 0.7}, 1: {10: 0.5, 20: 0.6}},
        "random": {0: {10: 0.5, 20: 0.6, 30: 0.6, 40: 0.6}, 1: {10: 0.5, 40: 0.8}},
    }
    states = {("bald", 0): "failed", ("bald", 1): "running", ("margin", 1): "stopped"}
    comparison = one(table(curves, states))
    assert (comparison.start, comparison.end) == (10, 30)
    areas = comparison.areas.set_index(["method", "seed"])["whole"].to_dict()
    assert areas == {
        ("bald", 1): pytest.approx((0.5 + 0.65) / 2),
        ("margin", 0): pytest.approx((0.55 + 0.65) / 2),
        ("random", 0): pytest.approx((0.55 + 0.6) / 2),
        ("random", 1): pytest.approx(0.6),  # from 0.5 to 0.7 at 30, on a straight line to 0.8 at 40
    }
    assert comparison.notes[:4] == (
        "AUBC from 10 to 30 labels; early: to 15.",
        "Some runs have up to 40 labels; what they did after 30, the most that every method has finished, is in the "
        "curves only.",
        "bald: left out of AUBC, verdicts, pairs and penalties, short of 30 labels: seed 0 (failed at 10).",
        "margin: left out of AUBC, verdicts, pairs and penalties, short of 30 labels: seed 1 (stopped at 20).",
    )
    nobody = one(table(curves, {(method, seed): "running" for method in curves for seed in (0, 1)}))
    assert nobody.end == 30, "no run has finished: over all runs, the least of 30, 30 and 40"


def test_the_range_begins_where_all_that_take_part_have_begun() -> None:
    comparison = one(table({"a": {0: {10: 0.4, 30: 0.6, 50: 0.8}}, "b": {0: {20: 0.5, 50: 0.8}}}))
    assert (comparison.start, comparison.end) == (20, 50)
    # a: 0.5 at 20, 0.6 at 30: 10 x 0.55 + 20 x 0.7 = 19.5, over 30
    assert comparison.areas["whole"].to_list() == pytest.approx([0.65, 0.65])
    apart = one(table({"a": {0: {10: 0.4, 20: 0.6}}, "b": {0: {30: 0.5, 50: 0.8}}}))
    assert apart.areas.empty
    assert apart.notes[0] == "b begins at 30 labels, where others have ended (20): nothing can be compared."
    assert apart.pairs["seeds"].to_list() == [0]
    single = one(table({"a": {0: {10: 0.4}}, "b": {0: {10: 0.5}}}))
    assert single.areas["whole"].to_list() == [0.4, 0.5], "one point is its own area"


def test_pairs_by_hand() -> None:
    # margin - random: 0.1, 0.2, 0.3, mean 0.2, spread 0.1, t = 0.2 / (0.1 / sqrt 3) = 2 sqrt 3,
    # p = 1 - t / sqrt(2 + t^2) = 1 - sqrt(12 / 14) for 2 degrees of freedom
    # entropy - random: 0.1 for every seed, which is no test
    # entropy - margin: 0, -0.1, -0.2, t = sqrt 3, p = 1 - sqrt(3 / 5)
    comparison = one(
        flat(
            {
                "random": {0: 0.5, 1: 0.5, 2: 0.6},
                "margin": {0: 0.6, 1: 0.7, 2: 0.9, 3: 0.9},
                "entropy": {2: 0.7, 1: 0.6, 0: 0.6},
                "bald": {2: 0.6},
            }
        )
    )
    assert comparison.methods == ("random", "bald", "entropy", "margin")
    rows = comparison.pairs.set_index(["a", "b"])
    assert list(rows.index) == [
        *(("bald", "random"), ("entropy", "random"), ("margin", "random")),
        *(("bald", "entropy"), ("bald", "margin"), ("entropy", "margin")),
    ]
    margin, tie, last = rows.loc[("margin", "random")], rows.loc[("entropy", "random")], rows.loc[("entropy", "margin")]
    assert (margin["seeds"], margin["difference"]) == (3, pytest.approx(0.2))
    half_width = T3 * 0.1 / math.sqrt(3)
    assert (margin["low"], margin["high"]) == pytest.approx((0.2 - half_width, 0.2 + half_width), abs=1e-7)
    assert margin["p"] == pytest.approx(1 - math.sqrt(12 / 14))
    assert (tie["difference"], tie["low"], tie["high"]) == pytest.approx((0.1, 0.1, 0.1))
    assert math.isnan(tie["p"]) and math.isnan(tie["p_holm"]), "there is no spread to test it against"
    assert last["p"] == pytest.approx(1 - math.sqrt(3 / 5))
    # two pairs have a p: times 2 and 1; of the comparisons with random one
    assert margin["p_holm"] == pytest.approx(2 * (1 - math.sqrt(12 / 14)))
    assert last["p_holm"] == pytest.approx(1 - math.sqrt(3 / 5))
    verdicts = comparison.verdicts.set_index("method")
    assert verdicts.loc["margin", "p_holm"] == pytest.approx(1 - math.sqrt(12 / 14))
    assert verdicts.loc["margin", "detectable"] == pytest.approx(0.1 * detectable(3, 0.05))
    assert verdicts.loc["margin", "more_seeds"] == 2, "5 seeds find 2 spreads at 5% with 91% power, 4 with 75%"
    assert verdicts["verdict"].to_dict() == {
        "bald": "unknown",
        "entropy": "unknown",
        "margin": "not distinguishable",
    }
    alone = rows.loc[("bald", "random")]
    assert (alone["seeds"], alone["difference"]) == (1, pytest.approx(0))
    assert all(math.isnan(alone[name]) for name in ("low", "high", "p", "p_holm"))
    assert "entropy: no AUBC for seed 3, which others have; pairs go by the seeds of both." in comparison.notes


def test_without_random_there_is_no_verdict_and_it_is_said() -> None:
    comparison = one(flat({"a k=10": {0: 0.5, 1: 0.6}, "a k=9": {0: 0.5, 1: 0.7}}), (0.5,))
    assert comparison.reference is None and comparison.verdicts.empty and comparison.saved.empty
    assert comparison.methods == ("a k=9", "a k=10")
    assert comparison.pairs[["a", "b"]].values.tolist() == [["a k=9", "a k=10"]]
    assert "There are no runs of random, so no labels saved and no verdict." in comparison.notes
    assert comparison.headline.startswith("There are no runs of random")


def test_the_penalty_matrix_by_hand() -> None:
    # margin - random by seed: at 10: 0.1 0.2 0.3, p = 0.074; at 20: 0.2 0.2 0.2, no test; at 30: 0.19 0.20 0.21,
    # t = 34.6; at 40: 0 0 0; at 50: -0.19 -0.20 -0.21; at 60 one of them has no round
    random: dict[int, dict[int, float]] = {seed: dict.fromkeys((10, 20, 30, 40, 50, 60), 0.5) for seed in range(3)}
    margin: dict[int, dict[int, float]] = {
        0: {10: 0.6, 20: 0.7, 30: 0.69, 40: 0.5, 50: 0.31, 60: 0.9},
        1: {10: 0.7, 20: 0.7, 30: 0.70, 40: 0.5, 50: 0.30, 60: 0.9},
        2: {10: 0.8, 20: 0.7, 30: 0.71, 40: 0.5, 50: 0.29, 70: 0.9},
    }
    comparison = one(table({"random": random, "margin": margin, "bald": {0: random[0]}}))
    assert list(comparison.penalty.index) == list(comparison.penalty.columns) == ["random", "bald", "margin"]
    assert comparison.penalty.values.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert "Penalty matrix: 5 budgets a pair." in comparison.notes


def test_a_run_given_twice_counts_once_and_the_longer_of_two() -> None:
    rounds = table({"random": {0: {10: 0.5, 20: 0.6}, 1: {10: 0.5, 20: 0.7}}, "a": {0: {10: 0.6, 20: 0.8}}})
    longer = table({"a": {0: {10: 0.6, 20: 0.8, 30: 0.9}}}, folder="other/a", study="other", state="running")
    shorter = table({"a": {0: {10: 0.1}}}, folder="another/a", study="another")
    alone, twice = one(rounds), one(pd.concat([rounds, rounds]))
    pd.testing.assert_frame_equal(alone.areas, twice.areas)
    assert alone.notes == twice.notes and len(twice.rounds) == 6
    comparison = one(pd.concat([shorter, rounds, longer]))
    assert comparison.rounds.query("method == 'a'")["folder"].to_list() == ["other/a"] * 3
    assert comparison.notes[:2] == (
        "a, seed 0: study/a-s0 (2 rounds) does not count, other/a (3 rounds) does.",
        "a, seed 0: another/a (1 round) does not count, other/a (3 rounds) does.",
    )


def test_settings_are_held_apart_and_share_their_plain_training_runs() -> None:
    curve = {"random": {0: {10: 0.5, 20: 0.6}}}
    rounds = pd.concat(
        [
            table(curve, setting="digits, al.query_size=10", folder="1"),
            table(curve, setting="digits, al.query_size=9", folder="2"),
            table({"random": {0: {100: 0.9}}}, setting="digits", folder="3", one_shot=True),
            table({"random": {0: {100: 0.9}}}, setting="digits", folder="4", one_shot=True, study="again"),
            table({"random": {0: {200: 0.95}}}, setting="digits", folder="5", one_shot=True),
            table({"random": {0: {300: 0.95}}}, setting="mnist", folder="6", one_shot=True),
        ]
    )
    nine, ten, mnist = compare(rounds, (0.5,), None)
    assert (nine.setting, ten.setting, mnist.setting) == (
        *("digits, al.query_size=9", "digits, al.query_size=10", "mnist"),
    )
    for comparison in (nine, ten):
        assert comparison.methods == ("random",)
        assert comparison.one_shot["n_labeled"].to_list() == [100, 200]
        assert comparison.pairs.empty and comparison.verdicts.empty
    assert mnist.methods == () and mnist.rounds.empty and mnist.areas.empty and mnist.aubc.empty
    assert mnist.one_shot["n_labeled"].to_list() == [300]
    assert mnist.reference is None and mnist.notes == ()
