"""The simulated oracle answers at once, and wrongly as often as it is told."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from hypothesis import given
from hypothesis import strategies as st
from run_folders import only_run, table

from al_lightning.data.sources import digits
from al_lightning.errors import ConfigError
from al_lightning.oracle import Question
from al_lightning.oracle.simulated import Simulated


@given(st.floats(0, 1), st.integers(0, 3))
def test_noise_is_another_class_as_often_as_it_says(noise: float, seed: int) -> None:
    data = digits()
    truth = data.pool.labels.numpy()
    everyone = Question(0, range(len(truth)), data.pool.ids, data.classes)
    told = np.array([answer.answer for answer in Simulated(data, seed, noise=noise).ask(everyone)])
    assert ((told >= 0) & (told < 10)).all()
    assert abs((told != truth).mean() - noise) <= 4.5 * np.sqrt(noise * (1 - noise) / len(truth)) + 1e-9
    few = Question(0, [5, 900, 17], data.pool.ids, data.classes)
    assert [answer.answer for answer in Simulated(data, seed, noise=noise).ask(few)] == told[[5, 900, 17]].tolist()


def test_noise_by_class_is_of_the_named_classes_only() -> None:
    data = digits()
    truth = data.pool.labels.numpy()
    everyone = Question(0, range(len(truth)), data.pool.ids, data.classes)
    told = np.array([answer.answer for answer in Simulated(data, 0, noise={"3": 1.0}).ask(everyone)])
    assert (told[truth == 3] != 3).all() and (told[truth != 3] == truth[truth != 3]).all()
    assert set(told[truth == 3].tolist()) == {0, 1, 2, 4, 5, 6, 7, 8, 9}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("oracle.noise=1.5", "oracle.noise=1.5: must be a probability from 0 to 1"),
        ("oracle.noise={three: 0.1}", "oracle.noise.three: there is no such class; there are: 0, 1, "),
        ("oracle.noise=often", "oracle.noise=often: "),
    ],
)
def test_noise_that_cannot_be_is_refused(setting: str, said: str, command: Command) -> None:
    ended = command(setting)
    assert ended.code == 2
    assert said in ended.err


def test_a_run_with_noise_is_another_run_and_learns_what_it_was_told(tmp_path: Path, command: Command) -> None:
    assert command("oracle.noise=0.5", "al.rounds=1").code == 0
    folder = only_run(tmp_path / "cwd")
    truth = digits().pool.labels
    labels = [(int(row["label"]), int(truth[int(row["index"])])) for row in table(folder / "queries.csv")]
    wrong = sum(told != true for told, true in labels)
    assert 5 <= wrong <= 35, "about half of 40"
    assert command("al.rounds=1").code == 0
    assert len(list(folder.parent.glob("digits-*"))) == 2
    with pytest.raises(ConfigError):
        Simulated(digits(), 0, noise=-0.1)
