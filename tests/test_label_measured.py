"""What the server says of model and annotators, from draws and second answers as they are in the store."""

from pathlib import Path

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
    desk = Desk(store, 0.0, 0)
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
    # What was said first counts: a suggestion that was accepted, a dispute and a second look at the skipped one do not.
    store.answer(1, "doubtful-1", [Given(103, "label", 2)], "doubtful", 5.0)
    store.answer(2, "again-0002", [Given(104, "label", 2), Given(109, "label", 1)], "page", 5.0)
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
    classes = measured.curve()["classes"]
    assert {each["id"]: (each["n"], each["accuracy"]) for each in classes} == {
        1: (7, pytest.approx(1)),
        2: (1, 0.0),
    }
    # Of two answers to three images: agreed on one; another is 1, as the review says; of the third nobody knows.
    assert state["kappa_n"] == 3
    assert {each["name"]: (each["accuracy"], each["accuracy_n"]) for each in state["annotators"]} == {
        "a": (pytest.approx(2 / 3), 3),
        "b": (pytest.approx(1 / 3), 3),
    }

    # Undone, a draw is open and counts no more; of the one that was skipped the first answer is the other one now.
    store.undo(1, "undo-00001", "draws-0002")
    measured.look()
    assert measured.state()["estimate"]["n"] == 8

    # A hundred more cannot be labeled when fewer are open; when none is, there is no accuracy on them.
    store.answer(1, "chosen-002", [Given(item, "label", 1) for item in range(111, 153)], "page", 100.0)
    measured.look()
    assert measured.state()["estimate"]["expected"] is not None
    store.answer(1, "chosen-003", [Given(153, "label", 1)], "page", 100.0)
    measured.look()
    assert measured.state()["estimate"]["expected"] is None
    rest = [*range(51, 101), 108, 110, *range(154, 201)]
    store.answer(1, "chosen-004", [Given(item, "label", 1) for item in rest], "page", 100.0)
    measured.look()
    assert measured.state()["estimate"] is None
    assert [each["id"] for each in measured.curve()["classes"]] == [1]
