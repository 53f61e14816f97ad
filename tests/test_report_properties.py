"""What holds for any runs: the order of rows, the direction of a pair, and targets that were never reached."""

import math

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from report_runs import table

from al_lightning.report.compare import Comparison, compare


def one(rounds: pd.DataFrame) -> Comparison:
    (comparison,) = compare(rounds, (0.5, 0.8, 0.97), 1.0)
    return comparison


accuracies = st.lists(st.integers(0, 20).map(lambda k: k / 20), min_size=1, max_size=4)


@st.composite
def studies(draw: st.DrawFn) -> pd.DataFrame:
    keys = st.tuples(st.sampled_from(["random", "a", "b"]), st.integers(0, 3))
    runs = draw(st.dictionaries(keys, accuracies, min_size=1, max_size=8))
    states = {key: draw(st.sampled_from(["finished", "running", "failed"])) for key in runs}
    curves: dict[str, dict[int, dict[int, float]]] = {}
    for (method, seed), values in runs.items():
        curves.setdefault(method, {})[seed] = {10 * (i + 1): value for i, value in enumerate(values)}
    return table(curves, states)


@given(studies(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_changes_nothing(rounds: pd.DataFrame, seed: int) -> None:
    shuffled = rounds.sample(frac=1, random_state=seed)
    before, after = one(rounds), one(shuffled)
    for name, value in vars(before).items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, getattr(after, name), check_exact=True)
        elif not (isinstance(value, float) and math.isnan(value)):
            assert value == getattr(after, name), name


@given(studies())
@settings(max_examples=40, deadline=None)
def test_a_pair_turned_around_is_its_negative(rounds: pd.DataFrame) -> None:
    swapped = rounds.replace({"method": {"a": "b", "b": "a"}})
    pairs, turned = (one(each).pairs.query("b != 'random'") for each in (rounds, swapped))
    np.testing.assert_array_equal(pairs["difference"], -turned["difference"])
    np.testing.assert_array_equal(pairs["low"], -turned["high"])
    np.testing.assert_array_equal(pairs[["p", "p_holm"]], turned[["p", "p_holm"]])


@given(studies())
@settings(max_examples=40, deadline=None)
def test_what_never_was_reached_is_never_a_number(rounds: pd.DataFrame) -> None:
    comparison = one(rounds)
    for row in comparison.labels_to.to_dict("records"):
        best = rounds.loc[rounds["method"] == row["method"]].groupby("seed")["test/acc"].max().to_list()
        reached = [accuracy >= row["target"] for accuracy in best]
        assert (row["seeds"], row["reached"]) == (len(reached), sum(reached))
        assert math.isnan(row["mean"]) == (not all(reached))
        assert math.isnan(row["last"]) == all(reached)
    for row in comparison.saved.to_dict("records"):
        assert math.isnan(row["saved"]) == (row["bound"] == "unknown")
        assert row["bound"] == "" or math.isnan(row["half_width"])
