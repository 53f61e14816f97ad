"""Labels to a target and labels saved, against figures computed by hand."""

import math

import pytest
from report_runs import one, table

from al_lightning.report.measures import MEASURES

CROSSING = {
    # labels to 0.6: 15, 20, 25; to 0.8: 30, never up to 40, 40; to 0.95: never
    "random": {0: {10: 0.5, 20: 0.7, 30: 0.8}, 1: {10: 0.5, 20: 0.6, 40: 0.7}, 2: {10: 0.5, 20: 0.5, 30: 0.7, 40: 0.8}},
    # to 0.6: 10 (from the start), 15, 20; to 0.8: 20, 20, 30; to 0.95: never, never, 40
    "margin": {0: {10: 0.7, 20: 0.8, 40: 0.9}, 1: {10: 0.4, 20: 0.8}, 2: {10: 0.4, 20: 0.6, 30: 0.8, 40: 0.95}},
    # to 0.6: never up to 10, 10, 20; to 0.8: never
    "bald": {0: {10: 0.5}, 1: {10: 0.6}, 2: {10: 0.5, 20: 0.6}},
}
T3 = 4.302653  # t(0.975) of 3 seeds


def test_labels_to_a_target_by_hand() -> None:
    rows = one(table(CROSSING), (0.6, 0.8, 0.95)).labels_to.set_index(["method", "target"])
    row = rows.loc[("random", 0.6)]
    assert (row["seeds"], row["reached"], row["mean"], row["median"]) == (3, 3, pytest.approx(20), pytest.approx(20))
    assert row["half_width"] == pytest.approx(T3 * 5 / math.sqrt(3), abs=1e-6)
    assert math.isnan(row["last"])
    assert row["text"] == "20 ± 12"
    row = rows.loc[("random", 0.8)]  # 30, 40 and one that ended at 40: the middle one is 40, whatever that one would do
    assert (row["reached"], row["median"], row["last"]) == (2, 40, 40)
    assert math.isnan(row["mean"]) and math.isnan(row["half_width"]), "never 0, never the last count"
    assert row["text"] == "median 40 (2 of 3 reached)"
    row = rows.loc[("bald", 0.6)]  # 10, 20 and one that ended at 10: the middle one may be anything from 10 to 20
    assert (row["reached"], row["last"]) == (2, 10)
    assert math.isnan(row["median"])
    assert row["text"] == "≥ 10 (2 of 3 reached)"
    row = rows.loc[("margin", 0.95)]
    # ended at 40 and 20, reached at 40: the one that ended at 20 may have been next, so 40 itself is possible
    assert (row["reached"], row["last"], row["text"]) == (1, 40, "≥ 40 (1 of 3 reached)")
    # they ended at 30, 40 and 40: at least two of them need more than 40
    assert rows.loc[("random", 0.95), "text"] == "> 40 (0 of 3 reached)"
    assert rows.loc[("bald", 0.95), "text"] == "> 10 (0 of 3 reached)", "10, 10 and 20: the middle one is above 10"


def test_labels_saved_by_hand() -> None:
    comparison = one(table(CROSSING), (0.6, 0.8, 0.95), cost_per_label=2.5)
    rows = comparison.saved.set_index(["method", "target"])
    assert set(rows.index.get_level_values(0)) == {"bald", "margin"}
    row = rows.loc[("margin", 0.6)]  # 15 - 10, 20 - 15, 25 - 20
    assert (row["seeds"], row["saved"], row["half_width"]) == (3, pytest.approx(5), pytest.approx(0))
    assert (row["share"], row["bound"], row["cost"]) == (pytest.approx(15 / 60), "", pytest.approx(12.5))
    assert row["text"] == "5 ± 0 (25%)"
    row = rows.loc[("margin", 0.8)]  # 30 - 20, at least 40 - 20, 40 - 30: 40 of 110
    assert (row["saved"], row["bound"], row["share"]) == (pytest.approx(40 / 3), "at least", pytest.approx(40 / 110))
    assert math.isnan(row["half_width"])
    assert row["text"] == "at least 13 (36%)"
    row = rows.loc[("bald", 0.6)]  # at most 15 - 10, 20 - 10, 25 - 20: 20 of 60
    assert (row["saved"], row["bound"], row["share"]) == (pytest.approx(20 / 3), "at most", pytest.approx(20 / 60))
    for key in (("margin", 0.95), ("bald", 0.8), ("bald", 0.95)):  # both never; or at most and at least
        assert rows.loc[key, "bound"] == rows.loc[key, "text"] == "unknown"
        assert math.isnan(rows.loc[key, "saved"]) and math.isnan(rows.loc[key, "cost"])
    row = one(table({"random": {0: {10: 0.6}}, "margin": {1: {10: 0.6}}}), (0.6,)).saved.iloc[0]
    assert (row["seeds"], row["bound"], row["text"]) == (0, "unknown", "no common seed")
    row = one(table({"random": {0: {10: 0.5, 20: 0.7}}, "margin": {0: {10: 0.6}}}), (0.6,)).saved.iloc[0]
    assert (row["text"], row["bound"]) == ("5 (33%)", "")
    assert math.isnan(row["half_width"]), "one seed has no interval"
    assert math.isnan(row["cost"]), "no price was given"


@pytest.mark.parametrize(
    ("first", "last", "targets"),
    [
        (0.55, 0.9616, (0.8, 0.9, 0.95)),
        (0.55, 0.95, (0.8, 0.9, 0.95)),
        (0.1, 0.36, (0.2, 0.3)),
        (0.91, 0.945, (0.92, 0.93, 0.94)),  # no rounder number in between
        (0.9712, 0.9741, (0.972, 0.973, 0.974)),
        (0.97121, 0.97124, ()),
        (0.7, 0.6, ()),
        (0.985, 0.999, (0.99,)),
    ],
)
def test_targets_follow_from_what_random_reached(first: float, last: float, targets: tuple[float, ...]) -> None:
    curves = {
        "random": {0: {10: first - 0.01, 20: last - 0.01}, 1: {10: first + 0.01, 20: last + 0.01}},
        "margin": {0: {10: 0.2, 20: 1.0}},
    }
    assert one(table(curves)).targets == targets


def test_targets_are_behind_the_end_that_all_have() -> None:
    rounds = table({"random": {0: {10: 0.5, 20: 0.75, 40: 0.99}}, "margin": {0: {10: 0.5, 20: 0.6}}})
    assert one(rounds).targets == (0.6, 0.7)
    assert one(table({"a": {0: {10: 0.55, 20: 0.85}}, "b": {0: {10: 0.55, 20: 0.65}}})).targets == (0.6, 0.7)


def test_a_target_that_nobody_reached_has_no_column_and_is_named() -> None:
    comparison = one(table(CROSSING), (0.6, 0.97, 0.99))
    assert comparison.targets == (0.6,)
    assert set(comparison.labels_to["target"]) == set(comparison.saved["target"]) == {0.6}
    assert "No run reached 97%, 99%." in comparison.notes


def test_targets_of_a_measure_that_falls_are_reached_from_above() -> None:
    rounds = table({"random": {0: {10: 0.5, 20: 0.6, 30: 0.7}}, "a": {0: {10: 0.5, 20: 0.8, 30: 0.85}}})
    rounds["test/nll"] = 3 - 3 * rounds["test/acc"]  # random 1.5, 1.2, 0.9, a 1.5, 0.6, 0.45
    comparison = one(rounds, measure=MEASURES["nll"])
    assert comparison.targets == (1.0,)
    labels = comparison.labels_to.set_index("method")["mean"]
    assert labels.to_dict() == {"random": pytest.approx(20 + 10 * 2 / 3), "a": pytest.approx(10 + 10 * 5 / 9)}
    assert comparison.saved["saved"].item() == pytest.approx(80 / 3 - 140 / 9)
