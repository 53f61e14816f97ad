"""What is said of each strategy against random, and of all in a headline: by hand, and at the edges."""

import math
from collections.abc import Mapping

import pandas as pd
import pytest
from report_runs import one, table

from al_lightning.report.measures import MEASURES

BASE = {seed: 0.5 + 0.01 * seed for seed in range(5)}


def flat(curves: Mapping[str, Mapping[int, float]]) -> pd.DataFrame:
    """Runs of two rounds whose area is the given one."""
    return table({m: {s: {10: a - 0.1, 20: a + 0.1} for s, a in seeds.items()} for m, seeds in curves.items()})


def shifted(*by: float) -> dict[int, float]:
    """Areas that differ from BASE by these."""
    return {seed: BASE[seed] + shift for seed, shift in enumerate(by)}


def sentences(rounds: pd.DataFrame) -> dict[str, str]:
    return dict(one(rounds).verdicts[["method", "sentence"]].itertuples(index=False, name=None))


def test_the_sentences_of_the_verdicts() -> None:
    comparison = one(
        flat(
            {
                "random": BASE,
                "better": shifted(0.010, 0.011, 0.012, 0.013, 0.014),
                "worse": shifted(-0.010, -0.011, -0.012, -0.013, -0.014),
                "near": shifted(-0.01, 0, 0.01, 0.02, 0.03),
                "same": BASE,
                "alone": {0: 0.6},
                "none": {7: 0.6, 8: 0.6},
            }
        )
    )
    assert dict(comparison.verdicts[["method", "verdict"]].itertuples(index=False, name=None)) == {
        "alone": "unknown",
        "better": "better",
        "near": "not distinguishable",
        "none": "unknown",
        "same": "not distinguishable",
        "worse": "worse",
    }
    said: dict[str, str] = dict(comparison.verdicts[["method", "sentence"]].itertuples(index=False, name=None))
    # mean 0.012, spread 0.00158, error 0.000707, t(0.975, 4) = 2.776: 0.0100 to 0.0140; t = 17.0, p = 0.00007. Three
    # comparisons with random have a p: better, near and worse
    tail = "p < 0.001, adjusted for 3 comparisons; 5 seeds)."
    assert said["better"] == (
        f"better: better than random: AUBC +0.0120 (95% interval, not adjusted, +0.0100 to +0.0140; {tail}"
    )
    assert said["worse"] == (
        f"worse: worse than random: AUBC −0.0120 (95% interval, not adjusted, −0.0140 to −0.0100; {tail}"
    )
    # t = sqrt 2: p = 0.230, the largest of three. 5 seeds find 2.857 spreads of 0.0158 at 0.05 / 3, 31 find 0.632
    assert said["near"] == (
        "near: not distinguishable from random: AUBC +0.0100 (95% interval, not adjusted, −0.0096 to +0.0296; "
        "p = 0.23, adjusted for 3 comparisons; 5 seeds). 5 seeds would have found a difference of 0.036 (80% power); "
        "about 25 more would find one of the size seen."
    )
    assert said["same"] == "same: not distinguishable from random: the same AUBC in each of 5 seeds."
    assert said["alone"] == "alone: one seed, so no interval and no verdict: AUBC +0.1000 against random."
    assert said["none"] == "none: no seed whose runs cover 10 to 20 labels is also one of random's, so no verdict."
    assert comparison.headline == (
        "better (+0.0120 AUBC) beats random. worse (−0.0120) is worse than random. near and same are not "
        "distinguishable from random with 5 seeds. No verdict on alone and none: one seed in common or no "
        "seed in common."
    )
    assert comparison.ranked[2:4] == ("better", "near") and comparison.ranked[-1] == "worse"


def test_holm_is_over_the_comparisons_with_random_and_the_pairs_have_their_own() -> None:
    curves = {"random": BASE, **{f"m{i}": shifted(*(0.01 * i + 0.004 * s**i for s in range(5))) for i in (1, 2, 3)}}
    comparison = one(flat(curves))
    assert len(comparison.verdicts) == 3 and len(comparison.pairs) == 6
    for family in (comparison.verdicts, comparison.pairs):
        steps, last = {}, 0.0  # the smallest times all of them, the next times one fewer, never below the one before
        for left, p in zip(range(len(family), 0, -1), sorted(family["p"]), strict=True):
            steps[p] = last = max(last, min(1, left * p))
        assert family["p_holm"].to_list() == pytest.approx([steps[p] for p in family["p"]])
    against = comparison.pairs.query("b == 'random'")
    assert (against["p_holm"].to_numpy() > comparison.verdicts["p_holm"].to_numpy()).any()
    assert against["p"].to_list() == comparison.verdicts["p"].to_list()


def test_one_comparison_is_not_adjusted_and_agrees_with_its_interval() -> None:
    # t = 2.82 and 2.72 at 4 degrees: 2.776 is the border
    for scale, verdict in ((1.0, "better"), (1.04, "not distinguishable")):
        rounds = flat({"random": BASE, "a": shifted(*(0.0126 + scale * d for d in (-0.01, -0.01, 0, 0.01, 0.01)))})
        row = one(rounds).verdicts.iloc[0]
        assert row["verdict"] == verdict
        assert (row["low"] > 0) == (verdict == "better")
        assert "adjusted" not in row["sentence"]


def test_an_interval_without_0_beside_no_verdict_is_explained() -> None:
    close = shifted(*(0.0135 + d for d in (-0.01, -0.01, 0, 0.01, 0.01)))  # p = 0.039
    noise = shifted(-0.02, 0.02, 0.01, -0.03, 0.01)
    said = sentences(flat({"random": BASE, "close": close, "noise": noise}))
    assert "not distinguishable" in said["close"] and "(95% interval, not adjusted, +0.0011 to" in said["close"]
    assert "p = 0.078, adjusted for 2 comparisons" in said["close"]
    assert "Alone its interval leaves out 0; with 2 comparisons that happens by chance too often." in said["close"]
    assert "Alone" not in said["noise"]


def test_two_seeds_estimate_nothing() -> None:
    row = one(flat({"random": {0: 0.5, 1: 0.6}, "a": {0: 0.52, 1: 0.7}})).verdicts.iloc[0]
    assert math.isnan(row["detectable"]) and math.isnan(row["more_seeds"])
    assert row["sentence"].endswith("2 seeds say too little of the spread to tell how many it takes.")


def test_what_cannot_be_is_not_said_to_be_found() -> None:
    high = {seed: 0.88 + 0.001 * seed for seed in range(3)}
    wild = {0: 0.70, 1: 0.89, 2: 0.84}  # spread 0.098: 3 seeds find 3.26 of them, 0.32
    said = sentences(flat({"random": high, "a": wild}))["a"]
    assert "3 seeds as scattered as these can find no improvement: there is room for 0.12; about" in said
    wilder = {0: 0.2, 1: 0.89, 2: 0.84}  # spread 0.38: 1.26 of an area of at most 1
    said = sentences(flat({"random": high, "a": wilder}))["a"]
    assert "3 seeds as scattered as these can find no difference at all" in said


def test_more_seeds_than_anybody_runs_are_not_counted() -> None:
    row = one(flat({"random": BASE, "a": shifted(-0.02, 0.02, 0, 0.03, -0.029)})).verdicts.iloc[0]
    assert row["more_seeds"] == math.inf
    assert row["sentence"].endswith("not even 100 more would find one of the size seen.")


def test_the_same_difference_in_every_seed_is_no_proof() -> None:
    row = one(flat({"random": {0: 0.5, 1: 0.6}, "a": {0: 0.51, 1: 0.61}})).verdicts.iloc[0]
    assert row["verdict"] == "unknown" and math.isnan(row["p"]) and math.isnan(row["p_holm"])
    assert row["sentence"] == (
        "a: AUBC +0.0100 against random in each of 2 seeds: there is no spread to test it against, so no verdict."
    )


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ({}, "There are no runs but random's: there is nothing to compare it with."),
        ({"a": (-0.01, 0, 0.01, 0.02, 0.03)}, "a is not distinguishable from random with 5 seeds."),
        (
            {name: (-0.01 * k, 0, 0.01, 0.02, 0.03) for k, name in enumerate("abc", 1)},
            "No strategy is distinguishable from random with 5 seeds.",
        ),
        (
            {"a": (-0.01, 0, 0.01, 0.02, 0.03), "b": (0.010, 0.011, 0.012, 0.013, 0.014), "c": (0.02, 0.021, 0.022)},
            "c (+0.0210 AUBC) and b (+0.0120) beat random. a is not distinguishable from random with 5 seeds.",
        ),
        ({"a": (0.1,), "b": (0.1,), "c": (0.2,)}, "No verdict on any strategy: one seed in common."),
    ],
)
def test_headlines(methods: dict[str, tuple[float, ...]], said: str) -> None:
    assert one(flat({"random": BASE, **{name: shifted(*by) for name, by in methods.items()}})).headline == said


def test_of_a_measure_that_falls_less_is_better() -> None:
    rounds = flat({"random": BASE, "a": shifted(0.010, 0.011, 0.012, 0.013, 0.014)})
    rounds["test/nll"], rounds["test/f1"] = 3 - 3 * rounds["test/acc"], rounds["test/acc"]
    rounds.loc[rounds["method"] == "a", "test/acc"] = 0.1
    acc, f1, nll = (one(rounds, measure=MEASURES[name]) for name in ("acc", "f1", "nll"))
    assert [each.verdicts["verdict"].item() for each in (acc, f1, nll)] == ["worse", "better", "better"]
    assert nll.verdicts["difference"].item() == pytest.approx(-0.036)
    assert nll.lower_is_better and nll.measure == "test/nll" and nll.ranked == f1.ranked == ("a", "random")
    assert acc.ranked == ("random", "a")
    assert (nll.penalty.loc["a", "random"], nll.penalty.loc["random", "a"]) == (2, 0)
    # from 10 to 20 labels the mean of random falls from 1.74 to 1.14
    assert nll.targets == (1.5,)
    assert one(rounds, (0.6,)).targets == (0.6,)
