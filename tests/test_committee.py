"""Committees: samples of predictions by further models, beside or in place of dropout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command
from run_folders import only_run

from al_lightning.models.learner import Committee, Learner, Scoring
from al_lightning.report import load
from al_lightning.testing import make_example

HEAD = ("embedding=pixels", "model=linear")


def rounds_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(only_run(folder) / "rounds.csv")


def models() -> list:
    pool = make_example()
    rng = np.random.default_rng(0)
    others = [type(pool)(**{**vars(pool), "weight": torch.from_numpy(rng.normal(size=(4, 8)))}) for _ in range(2)]
    return [each.model for each in (pool, *others)]


def test_samples_of_members_are_their_predictions() -> None:
    pool, (first, *others) = make_example(), models()
    learner = Learner(first, pool.rows, Scoring(16), Committee(others, by_dropout=False))
    samples = torch.cat([*learner.of(pool.indices).samples(100, np.random.default_rng(0))])
    alone = [Learner(each, pool.rows, Scoring(16)).of(pool.indices).log_probabilities for each in (first, *others)]
    torch.testing.assert_close(samples, torch.stack(alone, 1), rtol=0, atol=1e-12)


def test_members_that_sample_by_dropout_have_masks_of_their_own_in_turn() -> None:
    pool, (first, *others) = make_example(), models()
    learner = Learner(first, pool.rows, Scoring(16), Committee(others, by_dropout=True))
    samples = torch.cat([*learner.of(pool.indices).samples(10, np.random.default_rng(5))])
    rng = np.random.default_rng(5)
    own = [Learner(each, pool.rows, Scoring(16)).of(pool.indices) for each in (first, *others)]
    twins = [torch.cat([*each.samples(4, rng)]) for each in own]  # 10 of 3 members: 4 of each
    torch.testing.assert_close(samples, torch.cat(twins, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("strategy", "arguments"),
    [
        ("bald", ("model.members=3",)),
        ("variation_ratios", ("model.members=3", "model.ensemble=snapshots", "model.sampling=both")),
        ("epig", (*HEAD, "model.members=3")),
        ("batchbald", (*HEAD, "model.members=2", "model.sampling=both")),
        ("bald", (*HEAD, "model.members=3", "model.dropout=0")),
    ],
)
def test_a_committee_chooses_and_what_is_tested_is_as_without_it(
    command: Command, tmp_path: Path, strategy: str, arguments: tuple[str, ...]
) -> None:
    alone = tuple(
        each for each in arguments if "members" not in each and "ensemble" not in each and "sampl" not in each
    )
    common = (f"strategy={strategy}", "al.mc_samples=6", "al.query_size=5", "al.rounds=1")
    for folder, given in (("once", arguments), ("again", arguments), ("alone", ("strategy=margin", *alone))):
        ended = command(*common, *given, cwd=tmp_path / folder)
        assert ended.code in (0, None), ended.err
    once, again, without = (rounds_of(tmp_path / folder) for folder in ("once", "again", "alone"))
    measures = [column for column in once if column.startswith(("test/", "fit/a", "fit/l"))]
    assert once[measures].equals(again[measures])
    assert once[measures].loc[:0].equals(without[measures].loc[:0])
    assert once["fit/members_failed"].notna().tolist() == [True, False]
    queries = [pd.read_csv(only_run(tmp_path / each) / "queries.csv") for each in ("once", "again")]
    assert queries[0]["index"].tolist() == queries[1]["index"].tolist()
    assert any(score > 0 for score in queries[0]["score"].fillna(1)), "members that are all the same disagree nowhere"


def test_samples_of_a_committee_are_the_same_whatever_was_asked_for_before() -> None:
    """Features that are kept are cut into other pieces than those that stream."""
    example, (first, *others) = make_example(), models()
    found = []
    for touched in (False, True):
        learner = Learner(first, example.rows, Scoring(16), Committee(others, by_dropout=True))
        predictions = learner.of(example.indices)
        if touched:
            assert predictions.features.shape == (60, 8)
        found.append(torch.cat([*predictions.samples(6, np.random.default_rng(5))]))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_a_strategy_that_takes_no_samples_has_no_members_fitted(command: Command, tmp_path: Path) -> None:
    assert command(*HEAD, "model.members=3", "strategy=margin").code in (0, None)
    assert "fit/members_failed" not in rounds_of(tmp_path / "cwd")


def test_a_report_compares_a_committee_with_runs_without_one(command: Command, tmp_path: Path) -> None:
    for arguments in (("strategy=random",), ("strategy=bald",), ("strategy=bald", "model.members=3")):
        assert command(*HEAD, "al.mc_samples=4", *arguments).code in (0, None)
    rounds = load(tmp_path / "cwd" / "multirun_outputs")
    assert rounds["setting"].unique().tolist() == ["digits"]
    assert {*rounds["method"]} == {"random", "bald", "bald members=3"}


def test_members_that_do_not_fit_their_labels_are_marked(command: Command, tmp_path: Path) -> None:
    ended = command("strategy=bald", "model.members=3", "al.mc_samples=4")  # two steps fit nothing
    assert ended.code in (0, None) and "2 members failed to fit" in ended.out
    assert rounds_of(tmp_path / "cwd")["fit/members_failed"].tolist()[:-1] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("model.members=0",), "model.members=0"),
        (("model.sampling=both",), "model.members=1 model.sampling=both: there is no committee; give it at least 2"),
        (("model.ensemble=snapshots",), "model.members=1 model.ensemble=snapshots: there is no committee"),
        (("model.members=3", "model.sampling=dropout"), "model.sampling=dropout"),
        (("model.members=3", "model.ensemble=snapshots", "train.schedule=constant"), "of train.schedule=constant"),
        (("model.members=3", "model.ensemble=wide"), "model.ensemble=wide"),
        ((*HEAD, "model.members=3", "model.ensemble=snapshots"), "model.ensemble=deep"),
        (("strategy=bald", "model.dropout=0"), "type model.dropout=0.5, or model.members=5"),
        (
            ("strategy=bald", "model.members=3", "model.sampling=both", "model.dropout=0"),
            "take model.sampling=both away",
        ),
    ],
)
def test_a_committee_that_cannot_be_is_refused(command: Command, arguments: tuple[str, ...], told: str) -> None:
    ended = command(*arguments)
    assert ended.code == 2 and told in ended.err
