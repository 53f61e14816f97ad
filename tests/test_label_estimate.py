"""The accuracy by random draws: its formula in plain loops, how often its interval covers, and when it is enough."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from al_lightning.label.estimate import (
    BLOCK,
    Enough,
    Expected,
    Share,
    Trials,
    accuracy,
    curve,
    enough,
    expected,
    per_class,
    seconds_a_label,
    sequences,
    trials,
)
from al_lightning.people.records import LABEL, SKIP, Draw, Event

NOBODY = Trials(np.zeros(0, int), np.zeros(0), np.zeros(0, bool), np.zeros(0, int))


def known(
    n_labeled: Sequence[int], probability: Sequence[float], correct: Sequence[bool], label: Sequence[int] | None = None
) -> Trials:
    labels = np.array(label if label is not None else [1] * len(correct))
    return Trials(np.array(n_labeled), np.array(probability), np.array(correct, bool), labels)


def draw(item: int, predicted: int | None, n_labeled: int | None = 10) -> Draw:
    return Draw(
        item, "", item, None if predicted is None else 1, n_labeled, predicted, None if predicted is None else 0.7
    )


def test_a_draw_counts_that_was_predicted_and_then_labeled() -> None:
    found = trials([draw(1, 5), draw(2, 5), draw(3, None, None), draw(4, 6)], {1: 5, 2: 6, 3: 5})
    assert found.correct.tolist() == [True, False] and found.label.tolist() == [5, 6]
    assert found.n_labeled.tolist() == [10, 10] and found.probability.tolist() == [0.7, 0.7]
    assert len(trials([], {}).correct) == 0


one = st.tuples(st.integers(1, 200), st.floats(0.1, 1), st.booleans())


@given(st.lists(one, max_size=30), st.lists(st.floats(0.1, 1), max_size=20), st.integers(1, 300))
def test_the_estimate_is_that_of_the_formula(draws: list[tuple[int, float, bool]], left: list[float], now: int) -> None:
    found = accuracy(known([n for n, _, _ in draws], [p for _, p, _ in draws], [c for _, _, c in draws]), left, now)
    counted = [each for each in draws if each[0] >= now / 2]
    if not counted or not left:
        assert found is None
        return
    total = sum(n**2 for n, _, _ in counted)
    value = sum(left) / len(left) / 2 + sum(n**2 / total * (right - p / 2) for n, p, right in counted)
    size = 1 / (sum((n**2 / total) ** 2 for n, _, _ in counted) + 1 / len(left))
    assert found is not None and found.n == len(counted)
    value = min(max(value, 0), 1)
    assert found.accuracy == pytest.approx(value, abs=1e-9)
    assert 0 <= found.low <= found.accuracy + 1e-9 and found.accuracy - 1e-9 <= found.high <= 1
    if 1e-6 < value < 1 - 1e-6:
        right = value * size
        assert found.low == pytest.approx(stats.beta.ppf(0.025, right, size - right + 1), abs=1e-6)
        assert found.high == pytest.approx(stats.beta.ppf(0.975, right + 1, size - right), abs=1e-6)


@pytest.mark.parametrize("n", [1, 5, 10])
@pytest.mark.parametrize("true", [0.5, 0.9, 1.0])
def test_a_few_draws_of_one_model_are_never_overrated(n: int, true: float) -> None:
    """Of every number of right ones, by its chance: exact."""
    chance = stats.binom.pmf(np.arange(n + 1), n, true)
    found = [
        accuracy(known([10] * n, [true] * n, [i < right for i in range(n)]), [true] * 10**6, 10)
        for right in range(n + 1)
    ]
    covers = [each is not None and each.low <= true <= each.high + 1e-12 for each in found]
    assert chance @ covers >= 0.95 - 1e-9
    assert all(each is not None and each.high - each.low > 0.25 for each in found)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def simulated(
    true: float, claims: float, rises: float, takes: int, rng: np.random.Generator
) -> tuple[Share | None, float]:
    """A project of 200 labels: the estimate, and the true accuracy on the rest.

    Args:
        true: accuracy at the end.
        claims: slope of what the model claims on the scale of logits: 1 is honest, more too sure.
        rises: logits that it learns from 10 to 200 labels.
        takes: 1: the images it is least sure of are labeled, -1: the surest.
    """
    ease = rng.normal(size=3000)
    u, left, rows = rng.random(3000), np.ones(3000, bool), []
    offset = {0.5: 0.0, 0.9: 2.75, 0.98: 4.7}[true]
    for n in range(10, 200, 10):
        logit = offset + 1.2 * ease - rises * (1 - np.log(n / 10) / np.log(20))
        drawn = rng.choice(np.flatnonzero(left), 2, replace=False)
        rows += [(n, sigmoid(claims * logit[i]), u[i] < sigmoid(logit[i])) for i in drawn]
        left[drawn] = False
        left[np.flatnonzero(left)[np.argsort(takes * logit[left])[:8]]] = False
    logit = (offset + 1.2 * ease)[left]
    n_labeled, probability, right = zip(*rows, strict=True)
    share = accuracy(known(n_labeled, probability, right), sigmoid(claims * logit), 200)
    return share, float((u[left] < sigmoid(logit)).mean())


@pytest.mark.parametrize("takes", [1, -1])
@pytest.mark.parametrize("claims", [0.6, 1.0, 1.6])
@pytest.mark.parametrize(("true", "rises"), [(0.5, 0.0), (0.5, 1.5), (0.9, 1.5), (0.98, 0.0), (0.98, 1.5)])
def test_it_covers_whatever_the_model_claims_and_whatever_is_taken(
    true: float, rises: float, claims: float, takes: int
) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(150):
        share, truth = simulated(true, claims, rises, takes, rng)
        covered.append(share is not None and share.low <= truth <= share.high)
    # Of 0.935 or more, 150 projects show fewer than this once in a thousand times.
    assert sum(covered) >= stats.binom.ppf(0.001, 150, 0.935)


def test_by_class_it_is_the_share_of_what_people_called_so() -> None:
    found = per_class(known([10, 100, 100, 100], [0.5] * 4, [True, True, False, True], [1, 1, 1, 2]), 100)
    assert {label: (each.accuracy, each.n) for label, each in found.items()} == {1: (0.5, 2), 2: (1.0, 1)}
    assert found[2].low == pytest.approx(0.025) and found[2].high == 1
    assert per_class(NOBODY, 10) == {}


def test_the_curve_has_a_point_for_complete_blocks_only() -> None:
    n = 2 * BLOCK + 1
    points = curve(known([*range(n)], [0.5] * n, [i < BLOCK for i in range(n)]))
    assert [(each.accuracy, each.n, each.n_labeled) for each in points] == [
        (1.0, BLOCK, (BLOCK - 1) / 2),
        (0.0, BLOCK, BLOCK + (BLOCK - 1) / 2),
    ]


def test_the_gain_is_that_of_the_curve_that_the_draws_are_from() -> None:
    rng = np.random.default_rng(0)
    for size, error in ((2, 0.0), (2, 0.3), (400, 0.0), (400, 0.3)):  # draws a model; error at 500 labels
        n = np.repeat(np.arange(250, 500, 10), size)
        found = expected(
            known(n.tolist(), [0.5] * len(n), (rng.random(len(n)) >= error * (n / 500) ** -0.5).tolist()),
            500,
            price=0.5,
            seconds=3,
        )
        assert found is not None and (found.labels, found.money, found.minutes) == (100, 50, 5)
        true = error * (1 - (600 / 500) ** -0.5)
        assert -1e-12 <= found.low <= true + 0.002 and true - 0.002 <= found.high <= 0.15
        if size == 400:
            assert found.gain == pytest.approx(true, abs=0.007)
    assert expected(NOBODY, 10, price=1, seconds=None) is None


def test_seconds_of_an_action_are_divided_among_its_labels() -> None:
    def event(kind: str, action: str, seconds: float | None) -> Event:
        return Event(0, "", 1, kind, 1, 1 if kind == LABEL else None, seconds, action, "page", None)

    grid = [event(LABEL, "grid", 8.0)] * 4
    assert seconds_a_label([*grid, event(LABEL, "a", 30.0), event(SKIP, "b", 99.0), event(LABEL, "c", None)]) == 2
    assert seconds_a_label([event(SKIP, "b", 1.0)]) is None


def test_the_sequences_are_wrong_in_few_projects_however_often_one_looks() -> None:
    """Draws of models that become better; each start has its own mean of what they were."""
    rng = np.random.default_rng(0)
    n_labeled = np.repeat(np.arange(10, 800, 20), 4)
    chance = 0.95 - 0.5 * (n_labeled / 10) ** -0.5
    wrong = 0
    projects = [
        Trials(n_labeled, chance, row < chance, np.ones(len(chance), int)) for row in rng.random((40, len(chance)))
    ]
    for of_project in projects:
        misses = [
            not each.low <= chance[:n][n_labeled[:n] >= each.start].mean() <= each.high
            for n in range(4, len(chance) + 1, 4)
            for each in sequences(of_project.where(np.arange(len(chance)) < n))
        ]
        wrong += any(misses)
    assert wrong <= stats.binom.ppf(0.999, 40, 0.05)
    last = sequences(projects[-1])
    assert [each.start for each in last] == [0, 100, 200, 400]
    assert [each.n for each in last] == [int((n_labeled >= each.start).sum()) for each in last]


def test_early_bad_models_do_not_weigh_for_ever() -> None:
    good = known([10] * 100 + [450] * 200, [0.5] * 300, [False] * 100 + [True] * 200)
    said = enough(good, None, target=0.9, worth=None)
    assert said is not None and said.said and "since" in said.why and sequences(good)[0].high < 0.9
    assert enough(good, None, target=0.99, worth=None) == Enough(
        False, said.why.replace("the target is 90.0%", "the target is 99.0%")
    )
    nothing = enough(NOBODY, None, target=0.9, worth=None)
    assert nothing is not None and not nothing.said and "no image" in nothing.why


def test_further_labels_have_to_be_worth_their_price() -> None:
    gain = Expected(100, 0.02, 0.0, 0.05, 50.0, None)
    assert enough(NOBODY, gain, target=None, worth=None) is None and enough(NOBODY, None, target=None, worth=1) is None
    cheap, dear = (enough(NOBODY, gain, target=None, worth=worth) for worth in (26.0, 24.0))
    assert cheap is not None and dear is not None and not cheap.said and dear.said
    assert "2.0 points" in dear.why and "worth 48.00" in dear.why and "cost 50.00" in dear.why
    both = enough(NOBODY, gain, target=0.9, worth=24.0)
    assert both == dear


def test_it_needs_no_torch() -> None:
    code = "import sys, al_lightning.label.estimate, al_lightning.label.agreement; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
