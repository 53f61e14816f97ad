"""Every score against a slow and obvious twin, the bounds that its docstring states, and how ties break."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import choose
from al_lightning.acquisition.epig import epig
from al_lightning.acquisition.kmeans import boundary, cluster, lloyd
from al_lightning.acquisition.scores import bald, entropy, margin, mean_margin, mean_std, uncertainty, variation_ratios
from al_lightning.acquisition.select import Query, top, uniform
from al_lightning.clock import Clock
from al_lightning.contract import ContractError
from al_lightning.models.backbones import Backbone, cnn
from al_lightning.models.classifier import Classifier
from al_lightning.models.learner import Learner, Scoring

M, K, D = 40, 8, 8
LOG_K = math.log(K)
SEEDED = settings(derandomize=True, deadline=None, max_examples=60)
SCORES: dict[str, Callable[[Candidates], Tensor]] = {
    "margin": margin,
    "uncertainty": uncertainty,
    "entropy": entropy,
    "bald": lambda pool: bald(pool, mc_samples=5),
    "variation_ratios": lambda pool: variation_ratios(pool, mc_samples=5),
    "mean_std": lambda pool: mean_std(pool, mc_samples=5),
    "mean_margin": lambda pool: mean_margin(pool, mc_samples=5),
    "epig": lambda pool: epig(pool, mc_samples=5, n_targets=3),
    "kmeans": lambda pool: boundary(pool, n_clusters=4),
}
BOUNDS = {"margin": (-1, 0), "uncertainty": (0, 1 - 1 / K), "entropy": (0, LOG_K), "bald": (0, LOG_K)}
BOUNDS |= {"variation_ratios": (0, 1 - 1 / K), "mean_std": (0, math.sqrt((K - 1) / K**2))}
BOUNDS |= {"mean_margin": (-1, 0), "epig": (0, LOG_K)}


def make_model(backbone: Backbone, dropout: float) -> Classifier:
    return Classifier(
        backbone,
        K,
        dropout=dropout,
        scale=(torch.tensor(127.5), torch.tensor(76.5)),
        optimizer=torch.optim.Adam,
        schedule="constant",
        total_steps=1,
        crop=0,
        flip=False,
        augmentation_seed=0,
    )


def make_pool(
    *, dropout: float = 0.3, scale: float = 40.0, seed: int = 0, size: int = M
) -> tuple[Candidates, Classifier]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.randint(256, (2 * size, 1, 8, 8), dtype=torch.uint8)
        model = make_model(cnn(1, (8, 8), width=2), dropout)
    model.eval().requires_grad_(False)
    model.head.weight *= scale
    return Candidates(
        Learner(model, images, Scoring(16, Clock())), torch.arange(0, 2 * size, 2), np.random.default_rng(seed)
    ), model


def pool_of(logits: np.ndarray, dropout: float = 0.3) -> Candidates:
    """A pool whose features are the logits."""
    pool, model = make_pool(dropout=dropout, size=len(logits))
    model.head.weight.copy_(torch.eye(K))
    model.head.bias.zero_()
    pool.predictions.inputs = torch.from_numpy(logits)
    return pool


def probabilities(pool: Candidates, model: Classifier, mask: np.ndarray | None = None) -> list[list[float]]:
    weight, bias = model.head.weight.double().numpy(), model.head.bias.double().numpy()
    rows = []
    for x in pool.features.double().numpy():
        logits = [
            bias[k] + sum(weight[k, d] * x[d] * (1.0 if mask is None else mask[d]) for d in range(D)) for k in range(K)
        ]
        powers = [math.exp(value - max(logits)) for value in logits]
        rows.append([power / sum(powers) for power in powers])
    return rows


def slow_entropy(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p if q > 0)


TWINS = {
    "margin": lambda p: sorted(p)[-2] - sorted(p)[-1],
    "uncertainty": lambda p: 1 - max(p),
    "entropy": slow_entropy,
}


@pytest.mark.parametrize("name", TWINS)
def test_score_equals_its_twin(name: str) -> None:
    pool, model = make_pool()
    scores = SCORES[name](pool).numpy()
    twin = [TWINS[name](p) for p in probabilities(pool, model)]
    np.testing.assert_allclose(scores, twin, atol=1e-6)
    assert np.ptp(scores) > 0.1, "a pool on which all scores agree shows nothing"


def test_kmeans_boundary_equals_loops_over_the_same_centroids() -> None:
    pool, _ = make_pool(seed=3)
    features = pool.features.double().numpy()
    centroids = cluster(pool.features, 4, np.random.default_rng(3)).double().numpy()
    twin = []
    for x in features:
        first, second, *_ = sorted(math.dist(x, centroid) for centroid in centroids)
        twin.append(first - second)
    scores = boundary(pool, n_clusters=4).numpy()
    np.testing.assert_allclose(scores, twin, atol=1e-6)
    assert (scores <= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_lloyd_finds_what_scikit_learn_finds(seed: int) -> None:
    blobs = torch.from_numpy(make_blobs(400, 5, centers=6, center_box=(-40, 40), random_state=seed)[0]).float()
    reference = KMeans(6, n_init=10, random_state=0).fit(blobs.numpy())  # type: ignore[arg-type]
    centroids = lloyd(blobs, 6, np.random.default_rng(seed))
    inertia = torch.cdist(blobs, centroids).amin(1).square().sum().item()
    assert inertia == pytest.approx(reference.inertia_, rel=1e-4)


def test_lloyd_ends_where_every_centroid_is_the_mean_of_its_cluster() -> None:
    points = torch.from_numpy(np.random.default_rng(0).random((300, 3), dtype=np.float32))
    centroids = lloyd(points, 7, np.random.default_rng(1))
    assigned = torch.cdist(points, centroids).argmin(1)
    means = torch.stack([points[assigned == k].mean(0) for k in range(7)])
    torch.testing.assert_close(centroids, means)


def test_lloyd_survives_fewer_distinct_points_than_clusters() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).repeat(5, 1)
    centroids = lloyd(points, 4, np.random.default_rng(0))
    assert torch.cdist(points, centroids).amin(1).tolist() == [0.0] * 10


LOGITS = st.integers(1, 6).flatmap(
    lambda n: arrays(np.float32, (n, K), elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False))
)


@pytest.mark.parametrize("name", BOUNDS)
@SEEDED
@given(logits=LOGITS, dropout=st.sampled_from([0.01, 0.1, 0.5, 0.99]))
def test_scores_are_finite_and_stay_in_their_stated_bounds(name: str, logits: np.ndarray, dropout: float) -> None:
    scores = SCORES[name](pool_of(logits, dropout))
    low, high = BOUNDS[name]
    assert scores.shape == (len(logits),)
    assert scores.isfinite().all()
    assert (scores >= low - 1e-6).all() and (scores <= high + 1e-5).all()


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_extreme_logits_are_finite(name: str) -> None:
    signs = np.random.default_rng(0).choice([-1e4, 1e4], (M, K)).astype(np.float32)
    scores = SCORES[name](pool_of(signs))
    assert scores.isfinite().all()


def test_bounds_are_reached_by_a_certain_and_by_a_clueless_prediction() -> None:
    logits = np.zeros((2, K), np.float32)
    logits[0, 0] = 1e4
    pool = pool_of(logits)
    for name in ("margin", "uncertainty", "entropy"):
        assert SCORES[name](pool).tolist() == pytest.approx(BOUNDS[name], abs=1e-6)


# --- from scores to a query -----------------------------------------------------------------------------------------


@SEEDED
@given(scores=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=M), seed=st.integers(0, 99))
def test_top_sorts_by_score_and_then_by_the_drawn_order(scores: list[float], seed: int) -> None:
    pool, _ = make_pool(seed=seed, size=len(scores))
    place = {position: rank for rank, position in enumerate(np.random.default_rng(seed).permutation(len(scores)))}
    wanted = sorted(range(len(scores)), key=lambda i: (-scores[i], place[i]))
    n = 1 + len(scores) // 2
    query = top(pool, n, score=lambda pool: torch.tensor(scores))
    assert query.scores is not None
    assert query.indices.tolist() == [2 * i for i in wanted[:n]]
    assert query.scores.tolist() == [scores[i] for i in wanted[:n]]


def tied(pool: Candidates, n: int) -> Query:
    return top(pool, n, score=lambda pool: torch.zeros(len(pool)))


@pytest.mark.parametrize("choose", [tied, uniform])
def test_ties_break_by_the_seed_and_never_by_position(choose: Callable[[Candidates, int], Query]) -> None:
    pool, _ = make_pool()
    picks = np.zeros(M)
    for seed in range(400):
        pool.rng = np.random.default_rng(seed)
        picks[choose(pool, 4).indices.numpy() // 2] += 1
    expected = 400 * 4 / M
    assert (((picks - expected) ** 2 / expected).sum()) < 72.1  # chi-square, 39 degrees of freedom: p > 0.001
    again = [choose(make_pool(seed=5)[0], 4).indices.tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_a_score_that_is_not_a_number_is_refused() -> None:
    pool, _ = make_pool(size=3)
    for odd in ("nan", "inf", "-inf"):
        with pytest.raises(ContractError, match="1 of 3 scores"):
            top(pool, 1, score=lambda pool, odd=odd: torch.tensor([0.0, float(odd), 1.0]))


def test_predictions_that_are_not_finite_are_the_fit_s_fault_and_not_the_strategy_s() -> None:
    spoilt, model = make_pool(size=3)
    model.head.bias.fill_(float("nan"))
    for name in ("margin", "uncertainty", "entropy", "bald"):
        with pytest.raises(FloatingPointError, match="infinite or not a number"):
            choose(partial(top, score=SCORES[name]), spoilt, 1, seed=0)
