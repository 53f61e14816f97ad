"""Committees: samples of predictions by further models, beside or in place of dropout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command
from run_folders import only_run

from al_lightning.models.learner import Committee, Learner, Scoring
from al_lightning.testing import make_pool

HEAD = ("embedding=pixels", "model=linear")


def rounds_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(only_run(folder) / "rounds.csv")


def models() -> list:
    pool = make_pool()
    rng = np.random.default_rng(0)
    others = [type(pool)(**{**vars(pool), "weight": torch.from_numpy(rng.normal(size=(4, 8)))}) for _ in range(2)]
    return [each.model for each in (pool, *others)]


def test_samples_of_members_are_their_predictions() -> None:
    pool, (first, *others) = make_pool(), models()
    learner = Learner(first, pool.rows, Scoring(16), Committee(others, by_dropout=False))
    samples = torch.cat([*learner.of(pool.indices).samples(100, np.random.default_rng(0))])
    alone = [Learner(each, pool.rows, Scoring(16)).of(pool.indices).log_probabilities for each in (first, *others)]
    torch.testing.assert_close(samples, torch.stack(alone, 1), rtol=0, atol=1e-12)


def test_members_that_sample_by_dropout_have_masks_of_their_own_in_turn() -> None:
    pool, (first, *others) = make_pool(), models()
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
    assert once["fit/members_ok"].notna().tolist() == [True, False]
    queries = [pd.read_csv(only_run(tmp_path / each) / "queries.csv") for each in ("once", "again")]
    assert queries[0]["index"].tolist() == queries[1]["index"].tolist()
    assert queries[0]["score"].fillna(1).max() > 0, "members that are all the same disagree nowhere"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("model.members=0",), "model.members=0"),
        (("model.sampling=members",), "model.members=1 model.sampling=members: give it at least 2 members"),
        (("model.members=3", "model.sampling=dropout"), "model.sampling=dropout: give it members or both"),
        (("model.members=3", "model.ensemble=wide"), "model.ensemble=wide"),
        ((*HEAD, "model.members=3", "model.ensemble=snapshots"), "model.ensemble=deep"),
        (("strategy=bald", "model.dropout=0"), "type model.dropout=0.5 or model.members=5"),
        (("strategy=bald", "model.members=3", "model.sampling=both", "model.dropout=0"), "model.dropout=0"),
    ],
)
def test_a_committee_that_cannot_be_is_refused(command: Command, arguments: tuple[str, ...], told: str) -> None:
    ended = command(*arguments)
    assert ended.code == 2 and told in ended.err
