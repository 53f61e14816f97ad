"""When a run that went through is said to have learned nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_lightning.runs.learning_curve import learns_nothing

LABELS = [20, 40, 60, 80, 100, 120]


@pytest.mark.parametrize(
    ("accuracy", "n_classes", "said"),
    [
        ([0.1] * 6, 10, "near chance in all 6 rounds: accuracy 0.10, a guess among 10 classes 0.10"),
        ([0.08, 0.13, 0.09, 0.11, 0.1, 0.12], 10, "near chance in all 6 rounds: accuracy 0.08 to 0.13"),
        ([0.5] * 6, 2, "near chance in all 6 rounds: accuracy 0.50, a guess among 2 classes 0.50"),
        ([0.11], 10, "near chance in its only round: accuracy 0.11"),
        (
            [0.6, 0.62, 0.5, 0.4, 0.3, 0.2],
            10,
            "falling with more labels: accuracy 0.61 up to 40 labels, 0.25 from 100 on",
        ),
    ],
)
def test_a_run_that_learns_nothing_is_told(accuracy: list[float], n_classes: int, said: str) -> None:
    assert learns_nothing(LABELS[: len(accuracy)], accuracy, n_classes, 360).startswith(said)


@pytest.mark.parametrize(
    "accuracy",
    [
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.4],  # late, but it learns
        [0.3, 0.35, 0.5, 0.4, 0.6, 0.7],
        [0.98, 0.97, 0.98, 0.97, 0.96, 0.97],  # at its ceiling
        [0.8, 0.82, 0.6, 0.85, 0.86, 0.9],  # one fit that failed
        [0.42, 0.36],  # two rounds may differ by chance
        [],
    ],
)
def test_a_run_that_learns_is_left_alone(accuracy: list[float]) -> None:
    assert learns_nothing(LABELS[: len(accuracy)], accuracy, 10, 360) == ""


@given(st.integers(2, 100), st.integers(100, 10_000), st.integers(0, 1000))
def test_a_guess_is_always_told(n_classes: int, test_size: int, seed: int) -> None:
    guessed = np.random.default_rng(seed).binomial(test_size, 1 / n_classes, 6) / test_size
    near = np.minimum(guessed, 1 / n_classes + 3 * np.sqrt((1 - 1 / n_classes) / n_classes / test_size))
    assert learns_nothing(LABELS, near.tolist(), n_classes, test_size).startswith("near chance")


@given(st.integers(2, 100), st.lists(st.floats(0, 0.1), min_size=1, max_size=12))
def test_a_curve_that_rises_is_never_told(n_classes: int, steps: list[float]) -> None:
    accuracy = np.minimum(1, 1 / n_classes + 0.2 + np.cumsum(steps)).tolist()
    assert learns_nothing(range(1, len(accuracy) + 1), accuracy, n_classes, 1000) == ""


@pytest.mark.parametrize("test_size", [2, 4, 12])
def test_on_a_handful_of_images_a_good_run_is_left_alone(test_size: int) -> None:
    assert learns_nothing(LABELS[:2], [1.0, 1.0], 2, test_size) == ""
