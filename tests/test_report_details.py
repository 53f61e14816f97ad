"""What strategies queried, by hand; and where names are put in figures."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import Run, study, write

from al_lightning.report import load
from al_lightning.report.compare import Comparison, compare
from al_lightning.report.details import Details, class_balance, last_rounds, overlap, pooled_bins, read, shown_seeds
from al_lightning.report.details import Run as Last
from al_lightning.report.figures.files import slug
from al_lightning.report.figures.labels import spread


def only(folder: Path) -> Comparison:
    (comparison,) = compare(load(folder))
    return comparison


@given(
    st.lists(st.tuples(st.floats(-2, 6), st.floats(0.05, 0.6)), min_size=1, max_size=12),
    st.floats(-0.2, 0),
    st.floats(3, 5),
)
def test_labels_never_overlap(labels: list[tuple[float, float]], low: float, high: float) -> None:
    wanted, heights = (list(values) for values in zip(*labels, strict=True))
    placed = spread(wanted, heights, low, high)
    order = sorted(range(len(labels)), key=lambda i: (wanted[i], i))
    for a, b in pairwise(order):
        assert placed[b] - placed[a] >= (heights[a] + heights[b]) / 2 - 1e-9, "in the order of the lines' ends, apart"
    assert min(at - height / 2 for at, height in zip(placed, heights, strict=True)) >= low - 1e-9
    if sum(heights) <= high - low:
        assert max(at + height / 2 for at, height in zip(placed, heights, strict=True)) <= high + 1e-9


def test_labels_that_fit_stay_where_their_lines_end() -> None:
    assert spread([1, 3, 2], [0.5, 0.5, 0.5], 0, 4) == pytest.approx([1, 3, 2])
    assert spread([2, 2, 2], [1, 1, 1], 0, 9) == pytest.approx([1, 2, 3]), "around the place that all want"


def queries(rows: list[tuple[str, int, int, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=pd.Index(("method", "seed", "round", "index", "label"))).assign(rank=0)


@pytest.fixture
def details(tmp_path: Path) -> Iterator[Details]:
    study(tmp_path, ("random", "margin"), range(2), Run(pool=30, query=1))
    yield read(only(tmp_path))


def test_overlap_by_hand(details: Details) -> None:
    rows = [("a", 0, 0, 1, 0), ("a", 0, 1, 2, 0), ("b", 0, 0, 2, 0), ("b", 0, 1, 3, 0), ("b", 0, 2, 1, 0)]
    rows += [("a", 1, 0, 5, 0), ("b", 1, 0, 5, 0), ("c", 2, 0, 5, 0)]
    found = overlap(replace(details, queries=queries(rows), pool_size=10), ("a", "b", "c"))
    assert found is not None
    seen, chance = found
    assert seen.loc["a", "b"] == seen.loc["b", "a"] == pytest.approx((1 / 3 + 1) / 2), "until round 1, which both have"
    assert chance.loc["a", "b"] == pytest.approx((0.4 / 3.6 + 0.1 / 1.9) / 2)
    assert np.isnan(seen["c"].to_numpy()).all(), "no seed in common"
    assert overlap(replace(details, queries=queries(rows[:2])), ("a", "b")) is None


def test_class_balance_by_hand(details: Details) -> None:
    rows = [("a", 0, 0, 1, 0), ("a", 0, 0, 2, 1), ("a", 1, 0, 3, 1), ("b", 0, 0, 1, -1)]
    assert details.pool is not None
    pool = replace(details.pool, label=np.array([0, 0, 0, 1, -1]), mask=np.ones(5, dtype=bool))
    shares = class_balance(replace(details, queries=queries(rows), classes=("x", "y"), pool=pool), ("a", "b"))
    assert shares is not None
    assert shares.to_dict("index") == {"pool": {0: 0.75, 1: 0.25}, "a": {0: 0.25, 1: 0.75}}, "b has no known label"


def test_bins_are_pooled_by_their_images() -> None:
    bins = pd.DataFrame({"bin": [0, 1, 0], "n": [1, 0, 3], "confidence": [0.5, None, 0.1], "accuracy": [1, None, 0]})
    assert pooled_bins(bins).to_dict("records") == [
        {"bin": 0, "n": 4, "confidence": pytest.approx(0.2), "accuracy": 0.25}
    ]


def test_methods_are_shown_at_the_same_labels(tmp_path: Path) -> None:
    long = write(tmp_path, Run("margin", rounds=9))
    write(tmp_path, Run("random", rounds=6))
    write(tmp_path, Run("margin", seed=1, rounds=3, planned=9, state="failed"))
    alone = write(tmp_path, Run("bald", rounds=2, planned=6, state="failed"))
    last = {(run.method, run.seed): run for run in last_rounds(only(tmp_path))}
    assert set(last) == {("margin", 0), ("random", 0), ("bald", 0)}
    assert last["margin", 0] == Last(str(long), "margin", 0, 5, 70)
    assert last["bald", 0] == Last(str(alone), "bald", 0, 1, 30), "it has no run that got to the end"


def test_one_seed_stands_for_all_methods_where_it_can() -> None:
    assert shown_seeds([("a", 0), ("a", 1), ("b", 1), ("b", 2)]) == {"a": 1, "b": 1}
    assert shown_seeds([("a", 4), ("a", 1), ("b", 2)]) == {"a": 1, "b": 2}


def test_two_settings_never_share_a_file() -> None:
    taken: set[str] = set()
    assert [slug(text, taken) for text in ("mnist, model=cnn", "mnist  model cnn", "漢", "../..")] == [
        *("mnist-model-cnn", "mnist-model-cnn-2", "setting", "setting-2")
    ]
