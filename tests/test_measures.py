"""Measures against scikit-learn and NumPy, curve summaries against figures worked out by hand, and the clock."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, log_loss, roc_auc_score

from al_lightning import clock as clock_module
from al_lightning.clock import PHASES, Clock
from al_lightning.models.measures import MEASURES, measure
from al_lightning.runs.learning_curve import aubc, labels_to

# scikit-learn's, of the twins; a warning of our own measures would stand on the user's screen.
pytestmark = pytest.mark.filterwarnings("error", "ignore:y_pred contains classes not in y_true")
K = 6


def slow_ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Guo et al. 2017, eq. 3: bin m holds the confidences in ((m - 1) / 15, m / 15]."""
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0.0
    for m in range(1, 16):
        inside = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def random_case(seed: int, occurring: list[int], n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(occurring, n)
    logits = rng.normal(size=(n, K)) + 1.5 * np.eye(K)[labels]
    return torch.from_numpy(logits).float(), torch.from_numpy(labels)


def twin(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    p, y = logits.double().softmax(1).numpy(), labels.numpy()
    predicted = p.argmax(1)
    aurocs = [roc_auc_score(y == k, p[:, k]) for k in np.unique(y) if 0 < (y == k).mean() < 1]
    return {
        "acc": accuracy_score(y, predicted),
        "balanced_acc": balanced_accuracy_score(y, predicted),
        "f1": f1_score(y, predicted, average="macro"),  # over the classes that occur or are predicted
        "auroc": float(np.mean(aurocs)) if aurocs else math.nan,
        "nll": log_loss(y, p, labels=range(K)),
        "ece": slow_ece(p, y),
    }


CASES = {"all classes": list(range(K)), "two absent": [0, 2, 3, 5], "two classes": [1, 4], "one class": [2]}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("occurring", CASES.values(), ids=list(CASES))
def test_measure_equals_its_twin(name: str, occurring: list[int]) -> None:
    logits, labels = random_case(0, occurring)
    scalars, *_ = measure(logits, labels)
    assert tuple(scalars) == MEASURES
    assert scalars[name].item() == pytest.approx(twin(logits, labels)[name], abs=1e-5, nan_ok=True)


def test_a_class_that_neither_occurs_nor_is_predicted_changes_nothing_but_the_probabilities() -> None:
    logits, labels = random_case(1, [0, 1, 2])
    logits[:, 3:] = -60
    full, fewer = measure(logits, labels)[0], measure(logits[:, :3], labels)[0]
    for name in MEASURES:
        assert full[name].item() == pytest.approx(fewer[name].item(), abs=1e-6)


def test_ece_keeps_confidences_that_round_to_one_in_the_last_bin() -> None:
    logits = torch.tensor([[40.0, 0.0], [40.0, 0.0], [3.5, 0.0], [3.5, 0.0]])
    labels = torch.tensor([0, 1, 0, 0])  # confidences 1, 1, 0.971, 0.971, all in the last bin
    measured = measure(logits, labels)[0]["ece"].item()
    assert measured == pytest.approx(slow_ece(logits.softmax(1).numpy(), labels.numpy()), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_classes", [3, 5, 15, 6, 7])
def test_a_confidence_at_the_border_of_two_bins_belongs_to_the_lower_one(n_classes: int, dtype: torch.dtype) -> None:
    logits = torch.zeros(
        30, n_classes, dtype=dtype
    )  # confidences of 1/3, 1/5 and 1/15 are borders, 1/6 and 1/7 are not
    logits[10:, 0] = 3.0
    labels = torch.arange(30) % n_classes
    scalars, _, reliability = measure(logits, labels)
    p = logits.softmax(1).numpy()
    filled = {math.ceil(round(15 * each, 4)) - 1 for each in p.max(1).tolist()}
    assert reliability[:, 0].nonzero().squeeze(1).tolist() == sorted(filled)
    assert scalars["ece"].item() == pytest.approx(slow_ece(p, labels.numpy()), abs=1e-6)


def test_confusion_has_true_classes_in_rows() -> None:
    logits, labels = random_case(2, [0, 2, 3, 5])
    _, confusion, _ = measure(logits, labels)
    assert confusion.dtype == torch.int64
    assert confusion.tolist() == confusion_matrix(labels, logits.argmax(1), labels=range(K)).tolist()


def test_the_bins_of_the_reliability_diagram_are_those_of_the_ece() -> None:
    logits, labels = random_case(3, list(range(K)))
    scalars, _, reliability = measure(logits, labels)
    n, confidence, correct = reliability.unbind(1)
    assert n.sum() == len(labels)
    assert correct.sum() / len(labels) == pytest.approx(scalars["acc"].item(), abs=1e-6)
    assert (confidence - correct).abs().sum() / len(labels) == pytest.approx(scalars["ece"].item(), abs=1e-6)
    edges = torch.arange(16, dtype=torch.float64) / 15
    assert (confidence >= n * edges[:-1] - 1e-6).all() and (confidence <= n * edges[1:] + 1e-6).all()


def test_extreme_logits_give_finite_measures() -> None:
    signs = torch.from_numpy(np.random.default_rng(0).choice([-1e4, 1e4], (50, K))).float()
    scalars, *_ = measure(signs, torch.arange(50) % K)
    assert all(math.isfinite(value) for value in scalars.values())


@pytest.mark.parametrize(
    ("n_labeled", "accuracy", "expected"),
    [
        ([100], [0.7], 0.7),
        ([100, 200], [0.5, 0.7], 0.6),
        ([10, 20, 50], [0.2, 0.4, 0.8], (10 * 0.3 + 30 * 0.6) / 40),  # uneven steps
        ([5, 6, 106], [0.9, 0.9, 0.9], 0.9),
        ([0, 50, 100], [0.0, 1.0, 0.0], 0.5),
    ],
)
def test_aubc_by_hand(n_labeled: list[float], accuracy: list[float], expected: float) -> None:
    assert aubc(n_labeled, accuracy) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("target", "n_labeled", "accuracy", "expected"),
    [
        (0.9, [10, 20, 30], [0.5, 0.7, 0.89], None),
        (0.9, [10, 20], [0.95, 0.5], 10.0),  # above from the start
        (0.9, [10, 20], [0.9, 0.95], 10.0),
        (0.8, [10, 20, 60], [0.5, 0.7, 0.9], 40.0),
        (0.8, [10, 20, 30, 40], [0.6, 1.0, 0.5, 0.9], 15.0),  # crosses, dips, crosses again: the first time counts
        (0.8, [10, 20, 30], [0.9, 0.3, 0.9], 10.0),
        (0.8, [10, 20, 30], [0.5, 0.8, 0.9], 20.0),  # exactly at a point
        (0.8, [10, 20, 30], [0.6, 0.4, 0.9], 28.0),
    ],
)
def test_labels_to_by_hand(target: float, n_labeled: list[float], accuracy: list[float], expected: float) -> None:
    reached = labels_to(target, n_labeled, accuracy)
    assert reached == (None if expected is None else pytest.approx(expected))


# --- the clock ------------------------------------------------------------------------------------------------------


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(clock_module, "perf_counter", fake)
    return fake


def test_a_nested_phase_pauses_the_one_around_it(time: FakeTime) -> None:
    clock = Clock()
    time.now += 1
    with clock.phase("fit"):
        time.now += 2
        with clock.phase("select"):
            time.now += 4
            with clock.phase("score"):
                time.now += 8
            time.now += 16
        time.now += 32
        with clock.phase("select"):
            time.now += 64
    time.now += 128
    assert clock.seconds() == {"fit": 34.0, "score": 8.0, "select": 84.0, "test": 0.0, "other": 129.0}
    assert sum(clock.seconds().values()) == 255.0
    assert set(clock.seconds()) == {*PHASES, "other"}


def test_an_exception_ends_its_phase(time: FakeTime) -> None:
    clock = Clock()
    with pytest.raises(RuntimeError), clock.phase("fit"), clock.phase("score"):
        time.now += 2
        raise RuntimeError
    time.now += 5
    assert clock.seconds() | {"score": 2.0, "other": 5.0} == clock.seconds()


def test_restart_counts_from_zero(time: FakeTime) -> None:
    clock = Clock()
    with clock.phase("test"):
        time.now += 3
    before = clock.seconds()
    clock.restart()
    time.now += 1
    assert clock.seconds() == dict.fromkeys(PHASES, 0.0) | {"other": 1.0}
    assert before["test"] == 3.0, "what was handed out does not change"
