"""The first labels chosen by an embedding: `al.initial`, also where round 0 asks for them."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command
from run_folders import only_run
from sklearn.datasets import load_digits

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.initial import first_strategy
from al_lightning.data.sources import digits

HEAD = ("embedding=pixels", "model=linear")
SEEING = ("typiclust", "probcover", "maxherding", "kmeans")


def asked(folder, round_: int) -> list[int]:
    queries = pd.read_csv(only_run(folder) / "queries.csv")
    return sorted(queries.loc[queries["round"] == round_, "index"])


@pytest.mark.parametrize("initial", SEEING)
def test_the_initial_set_is_what_the_strategy_chooses_and_the_same_for_every_strategy(
    command: Command, tmp_path, initial: str
) -> None:
    sizes = ("al.initial_size=12", "al.query_size=4", "al.rounds=1", "al.val_size=10", f"al.initial={initial}")
    for strategy in ("random", "entropy"):
        assert command(*HEAD, *sizes, f"strategy={strategy}", cwd=tmp_path / strategy).code in (0, None)
    first, again = (
        pd.read_csv(only_run(tmp_path / strategy) / "queries.csv").query("round == -1")
        for strategy in ("random", "entropy")
    )
    assert first["index"].tolist() == again["index"].tolist()
    chosen = first.loc[first["use"] == "train", "index"].tolist()
    assert len({*chosen}) == 12 and first["use"].value_counts().to_dict() == {"train": 12, "val": 10}
    drawn = command(*HEAD, *sizes[:-1], "strategy=random", cwd=tmp_path / "drawn")
    assert drawn.code in (0, None)
    others = pd.read_csv(only_run(tmp_path / "drawn") / "queries.csv").query("round == -1 and use == 'train'")
    assert sorted(others["index"]) != chosen


@pytest.mark.parametrize("initial", SEEING)
def test_without_a_label_round_0_asks_by_it(command: Command, tmp_path, initial: str) -> None:
    arguments = ("al.initial_size=0", "al.query_size=15", "al.rounds=2", f"al.initial={initial}")
    assert command(*HEAD, *arguments, cwd=tmp_path / "run").code in (0, None)
    assert len({*asked(tmp_path / "run", 0)}) == 15 and asked(tmp_path / "run", -1) == []


@pytest.mark.parametrize("initial", SEEING)
def test_the_first_images_lie_closer_to_all_others_than_random_ones(initial: str) -> None:
    """What they are for: more of the pool has one of them nearby."""
    data = digits()
    rows = torch.from_numpy(load_digits(return_X_y=True)[0][:600] / 16).float()
    covered = []
    for name in (initial, "random"):
        distances = []
        for seed in range(5):
            candidates = Candidates(None, torch.arange(600), np.random.default_rng(seed), embedding=rows)
            chosen = first_strategy(name, data)(candidates, 20).indices
            distances.append(float(torch.cdist(rows, rows[chosen]).amin(1).mean()))
        covered.append(np.mean(distances))
    assert covered[0] < covered[1]


@pytest.mark.parametrize("initial", SEEING)
def test_it_takes_an_embedding(command: Command, initial: str) -> None:
    ended = command(f"al.initial={initial}")
    assert ended.code == 2 and f"al.initial={initial}: takes an embedding" in ended.err
