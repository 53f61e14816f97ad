"""What the server says of model and annotators, from draws and second answers as they are in the store."""

from pathlib import Path

import numpy as np
import pytest
from label_servers import add_live_query, store_of, write_predictions

from al_lightning.label import estimate
from al_lightning.label.desk import Desk
from al_lightning.label.measured import Measured
from al_lightning.label.project import Settings
from al_lightning.label.scanning import take_up
from al_lightning.label.watching import Watching
from al_lightning.people.records import Given


def test_it_is_the_estimate_of_the_model_in_use_on_what_is_open(tmp_path: Path) -> None:
    store = store_of(tmp_path, 200)
    store.answer(1, "chosen-001", [Given(item, "label", 1) for item in range(1, 51)], "page", 100.0)
    query = add_live_query(store, [60], n_labeled=50)
    write_predictions(tmp_path, query, {item: (1, 0.5 + item / 400) for item in range(1, 200)}, n_labeled=50)
    desk = Desk(store, 0.0, np.random.default_rng(0))
    take_up(store, desk)
    watching, measured = Watching(desk, tmp_path), Measured(desk, Settings(root="", target=0.6, price=2))
    watching.look()
    measured.look()
    assert measured.state()["estimate"] is None

    # Ten draws of which eight are right, one is skipped and one is open.
    desk.add_draws(range(101, 111))
    store.answer(1, "draws-0001", [Given(item, "label", 1) for item in range(101, 108)], "page", 35.0)
    store.answer(1, "draws-0002", [Given(108, "label", 2), Given(109, "skip")], "page", 5.0)
    store.answer(2, "again-0001", [Given(101, "label", 1), Given(102, "label", 2)], "page", 5.0)
    store.answer(2, "review-001", [Given(102, "label", 1)], "review", 5.0)
    measured.look()
    state = measured.state()
    trials = estimate.trials(store.draws(), dict.fromkeys(range(101, 108), 1) | {108: 2})
    is_open = [item for item in range(51, 200) if not 101 <= item < 110]
    expected = estimate.accuracy(trials, [0.5 + item / 400 for item in is_open], 50)
    assert expected
    found = state["estimate"]
    assert found["accuracy"] == pytest.approx(expected.accuracy, abs=1e-6)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert (found["n"], found["n_labeled"]) == (8, 50)
    assert found["expected"]["money"] == 200
    assert found["expected"]["minutes"] == pytest.approx(100 * 2 / 60)  # two seconds, in median
    assert found["enough"]["said"] is False
    assert {each["id"]: (each["n"], each["accuracy"]) for each in found["per_class"]} == {
        1: (7, pytest.approx(1)),
        2: (1, 0.0),
    }
    assert measured.curve()["classes"] == found["per_class"]
    # Of two answers to two images: agreed on one; the other is 1, as the review says, and so is Ann right on both.
    assert state["kappa_n"] == 2
    assert {each["name"]: (each["accuracy"], each["accuracy_n"]) for each in state["annotators"]} == {
        "a": (1.0, 2),
        "b": (0.5, 2),
    }

    # Undone, the draw is open and counts no more.
    store.undo(1, "undo-00001", "draws-0002")
    measured.look()
    assert measured.state()["estimate"]["n"] == 7
