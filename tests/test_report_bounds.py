"""Floor and ceiling: what is not attainable is named so and competes with nobody, and what there is left to win."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from report_runs import one, table
from run_writer import write_run

from al_lightning.acquisition import ceiling
from al_lightning.report import load
from al_lightning.report.bounds import CEILING, marked
from al_lightning.report.compare import Comparison, compare
from al_lightning.report.measures import MEASURES
from al_lightning.report.sections import sections
from al_lightning.report.settle import settle
from al_lightning.report.statistics import paired, ratio_interval
from al_lightning.report.tables import tables

TOP = "ceiling (not attainable)"
RANDOM = {0: 0.50, 1: 0.52, 2: 0.51}
CURVES = {
    "random": RANDOM,
    "margin": {0: 0.56, 1: 0.56, 2: 0.57},
    "entropy": {0: 0.49, 1: 0.50, 2: 0.51},
    TOP: {0: 0.70, 1: 0.71, 2: 0.72},
}


def flat(curves: Mapping[str, Mapping[int, float]], last: Mapping[str, int] | None = None) -> pd.DataFrame:
    """Runs of two rounds whose area is the given one; the second is at 20 labels, or what is named."""
    ends = last or {}
    return table(
        {m: {s: {10: a - 0.1, ends.get(m, 20): a + 0.1} for s, a in seeds.items()} for m, seeds in curves.items()}
    )


def without(*names: str) -> dict[str, dict[int, float]]:
    return {name: seeds for name, seeds in CURVES.items() if name not in names}


def ways(comparison: Comparison) -> dict[str, dict[str, float]]:
    return comparison.bounds.set_index("method").to_dict("index")


def test_a_ceiling_changes_nothing_that_is_said_of_the_others() -> None:
    for ends in ({}, {TOP: 15}, {TOP: 30}):  # a ceiling that ends early or late does not bind the range either
        with_it, alone = one(flat(CURVES, ends)), one(flat(without(TOP)))
        for name in ("verdicts", "pairs", "penalty"):
            pd.testing.assert_frame_equal(getattr(with_it, name), getattr(alone, name))
        assert (with_it.start, with_it.end, with_it.targets) == (alone.start, alone.end, alone.targets)
        assert with_it.headline.startswith(alone.headline) and settle(with_it)[:1] == settle(alone)[:1]
        assert with_it.methods == (*alone.methods, TOP) and with_it.ranked == (*alone.ranked, TOP)
        assert with_it.beyond == (TOP,) and alone.beyond == () and alone.bounds.empty
    far = {**without("random"), TOP: {0: 0.85, 1: 0.85, 2: 0.85}}
    some, none = one(flat(far)), one(flat(without("random", TOP)))  # targets then follow from all others
    assert some.targets == none.targets != ()


def test_the_share_of_the_way_by_hand() -> None:
    comparison = one(flat(CURVES))
    way = ways(comparison)
    # by seed: margin 0.06, 0.04, 0.06 of 0.20, 0.19, 0.21
    assert way["margin"]["gain"] == pytest.approx(0.16 / 3) and way["margin"]["share"] == pytest.approx(0.16 / 0.60)
    assert way["margin"]["left"] == pytest.approx(0.60 / 3 - 0.16 / 3)
    assert way["entropy"]["share"] == pytest.approx(-0.03 / 0.60)
    assert (way["random"]["share"], way[TOP]["share"], way[TOP]["left"]) == (0, 1, 0)
    assert comparison.headline.endswith(
        "The ceiling (not attainable) is better than random by 0.2000 AUBC; margin has gone 27% of that way, 0.1467 is "
        "left."
    )
    assert TOP not in comparison.headline.partition("The ceiling")[0]
    a, b = np.array([0.06, 0.04, 0.06]), np.array([0.20, 0.19, 0.21])
    for end in (way["margin"]["low"], way["margin"]["high"]):  # there the t-test is at its level
        assert paired(a, end * b).p == pytest.approx(0.05)


def test_the_verdict_table_and_every_other_name_it() -> None:
    (section,) = sections([one(flat(CURVES))])
    verdict, bounds = section.tables[:2]
    rows, way = ({row[0].text: [cell.text for cell in row] for row in each.rows} for each in (verdict, bounds))
    assert [*rows] == [*way] == ["margin", "random", "entropy", TOP], "best first, and what competes with nobody last"
    assert [row[1] for row in rows.values()][1:] == ["reference", "not distinguishable", "not attainable"]
    assert rows[TOP][3:5] == ["", ""], "no difference, no p"
    assert "random, with the same training, is the floor." in verdict.notes
    assert (bounds.name, bounds.title, bounds.folded) == ("bounds", "From random, the floor, to the ceiling", False)
    assert way["margin"][1] == "+0.0533" and way["margin"][2].startswith("27% (") and way["margin"][3] == "+0.1467"
    assert way["entropy"][2].startswith("−5% (")
    assert (way["random"][1:], way[TOP][1:]) == (["0.0000", "0%", "+0.2000", "3"], ["+0.2000", "100%", "0.0000", "3"])
    shown = " ".join(cell.text for each in section.tables for row in each.rows for cell in row)
    assert "ceiling" in shown.replace(TOP, "ceiling") and "ceiling" not in shown.replace(TOP, "")


def test_without_a_ceiling_random_is_named_as_the_floor_and_that_is_all() -> None:
    comparison = one(flat(without(TOP)))
    verdict = tables(comparison, {})[0]
    assert "random, with the same training, is the floor." in verdict.notes
    assert "bounds" not in [each.name for each in tables(comparison, {})]
    assert "ceiling" not in comparison.headline


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ({"random": RANDOM, TOP: {0: 0.4, 1: 0.4, 2: 0.4}}, "is not better than random here, so what is left to win"),
        ({"random": RANDOM, TOP: CURVES[TOP]}, "The ceiling (not attainable) is better than random by 0.2000 AUBC."),
        ({"random": RANDOM, "a": {0: 0.8, 1: 0.8, 2: 0.9}, TOP: CURVES[TOP]}, "; a is above it, so what is left"),
        (without("margin"), "and no strategy has gone any of that way."),
    ],
)
def test_what_is_said_at_the_edges(curves: dict[str, dict[int, float]], said: str) -> None:
    comparison = one(flat(curves))
    assert said in comparison.headline
    assert ("There is no strategy but random that is attainable" in comparison.headline) == (len(curves) == 2)


def test_without_random_or_a_common_seed_there_is_no_way() -> None:
    for curves in (without("random"), {TOP: CURVES[TOP]}, {**CURVES, TOP: {7: 0.7, 8: 0.7}}):
        comparison = one(flat(curves))
        assert comparison.bounds.empty and "ceiling" not in comparison.headline
        assert tables(comparison, {})[0].rows[-1][1].text == "not attainable"


def test_the_way_goes_by_the_seeds_that_all_three_have() -> None:
    fewer = {**CURVES, "margin": {1: 0.56, 2: 0.57, 3: 0.9}, TOP: {0: 0.70, 1: 0.71}}
    way = ways(one(flat(fewer)))
    assert [way[name]["seeds"] for name in ("random", "entropy", "margin", TOP)] == [2, 2, 1, 2]
    assert way["margin"]["share"] == pytest.approx(0.04 / 0.19) and math.isnan(way["margin"]["low"])


def test_of_a_measure_that_falls_the_way_is_down() -> None:
    rounds = flat(CURVES)
    rounds["test/nll"] = 3 - 3 * rounds["test/acc"]
    way, down = ways(one(rounds)), ways(one(rounds, measure=MEASURES["nll"]))
    for name, row in way.items():
        assert down[name]["share"] == pytest.approx(row["share"])
        assert down[name]["gain"] == pytest.approx(3 * row["gain"])


def test_of_two_ceilings_the_higher_one_counts() -> None:
    more = {f"{TOP} trials={n}": {s: a + 0.01 * n for s, a in CURVES[TOP].items()} for n in (1, 3, 2)}
    comparison = one(flat({**without(TOP), **more}))
    assert comparison.bounds["method"].iloc[-1] == f"{TOP} trials=3" and len(comparison.beyond) == 3


def test_runs_are_loaded_under_the_name_that_says_it(tmp_path) -> None:
    assert CEILING == ceiling.NAME and marked("margin") == "margin"
    for name in ("random", "ceiling"):
        write_run(tmp_path / "s", "", [0.5, 0.6], strategy__name=name)
    rounds = load(tmp_path)
    assert set(rounds["method"]) == {"random", TOP} and set(rounds["strategy"]) == {"random", "ceiling"}
    assert compare(rounds)[0].beyond == (TOP,)


def test_the_interval_of_a_ratio_covers_it_in_95_of_100_studies_and_is_not_bounded_where_nothing_is_known() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        b = rng.normal(0.2, 0.04, 5)
        low, high = ratio_interval(0.3 * b + rng.normal(0, 0.02, 5), b)
        covered += low <= 0.3 <= high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)
    for a, b in (([0.1], [0.2]), ([0.1, 0.1, 0.2], [-0.1, 0.2, 0.0]), ([0.1, 0.2], [0.2, 0.4])):
        assert all(map(math.isnan, ratio_interval(a, b)))
