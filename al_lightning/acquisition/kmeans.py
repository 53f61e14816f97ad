"""K-means on the features of the pool, and the images at the border of two clusters."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.blocks import blocks
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn_order, filled

MAX_ITERATIONS = 300
RESTARTS = 4
CLOSE = 1e-5  # relative, of distances that differ by rounding in fp32


def boundary(candidates: Candidates, *, n_clusters: Annotated[int, Field(ge=2)]) -> Tensor:
    """Minus the difference of the distances to the second closest and the closest centroid: images between clusters.

    Formula: d1 - d2, with d1 and d2 the Euclidean distances of the features to the closest and the second closest of k
        centroids by k-means; at most 0. The features are clustered as they are, unscaled.
    Source: "Using neural networks to select what data to label", its k-means strategy.
    Cost: O(I M k D) time for I iterations of k-means, one copy of the features; M images, D features.
    Use when: the borders of the clusters are those of the classes, and the predictions are not to be trusted.
    Avoid when: clusters cut through classes: images at their borders are no harder than others. Or the pool is large
        and D too: it is clustered anew each round.

    Args:
        candidates: M images.
        n_clusters: k, at least 2; as many as there are images at most are made.

    Returns:
        `float [M]`.

    Raises:
        ConfigError: there is no model.
    """
    k = min(n_clusters, len(candidates))
    centroids = cluster(candidates.of_features(lambda rows: rows), k, candidates.rng)
    nearest = candidates.of_features(
        lambda rows: _distances(rows, centroids).topk(min(k, 2), dim=1, largest=False).values
    )
    return nearest[:, 0] - nearest[:, -1]


def nearest_to_centers(features: Tensor, n: int, rng: np.random.Generator, weights: Tensor | None = None) -> Tensor:
    """Of each of n clusters the row nearest to its centroid, `int64 [n]`, different positions.

    Where there are fewer clusters with rows in them, rows of the others at random.

    Args:
        features: `float [M, D]`; the caller has no more use for them, see :func:`cluster`.
        n: number of clusters and of rows, at most M.
        rng: of the clustering, and of the order among equal rows.
        weights: `float [M]`, how much a row counts for the centroids; None: all the same.
    """
    place = drawn_order(len(features), rng, features.device)
    if n == len(features):
        return place.argsort()
    centroids = cluster(features, n, rng, weights)
    distance, assigned = features.new_empty(len(features)), torch.empty_like(place)
    for rows in blocks(len(features), n):
        # Equal rows have to be equally far, so that their places decide: a matrix product rounds them differently.
        distance[rows], assigned[rows] = _distances(features[rows], centroids).min(1)
    closest = torch.full_like(centroids[:, 0], torch.inf).scatter_reduce_(0, assigned, distance, "amin")
    # Both images of a cluster of two are equally far from its centroid, but for rounding: their places decide.
    tied = distance <= closest[assigned] * (1 + CLOSE)
    first = place.new_full((n,), len(place)).scatter_reduce_(0, assigned[tied], place[tied], "amin")
    return filled(place.argsort()[first[first < len(place)]], n, place)


def representatives(candidates: Candidates, among: Tensor, n: int, weights: Tensor | None = None) -> Tensor:
    """Of some candidates, those nearest to the centroids of n clusters of their features, `int64 [n]`, positions.

    Where they are at most n, all of them, and others at random.

    Args:
        candidates: M images.
        among: `int64 [m]`, different positions.
        n: at most M.
        weights: `float [m]`, see :func:`nearest_to_centers`.
    """
    place = drawn_order(len(candidates), candidates.rng, candidates.indices.device)
    if len(among) > n:
        among = among[nearest_to_centers(candidates.features_at(among), n, candidates.rng, weights)]
    return filled(among, n, place)


def cluster(features: Tensor, n_clusters: int, rng: np.random.Generator, weights: Tensor | None = None) -> Tensor:
    """Centroids `[k, D]`: scikit-learn on a CPU, :func:`lloyd` on a GPU.

    Args:
        features: `float [M, D]`; the caller has no more use for them, they are moved to save a copy.
        n_clusters: k, at most M.
        rng: seeds the draws.
        weights: `float [M]`, how much a row counts; None: all the same.
    """
    if features.device.type == "cpu":
        from sklearn.cluster import KMeans, _kmeans
        from threadpoolctl import threadpool_limits

        seed = int(rng.integers(2**31))
        fit = KMeans(n_clusters, n_init="auto", max_iter=MAX_ITERATIONS, random_state=seed, copy_x=False)
        # With several threads, sums differ from run to run. Fewer different rows than clusters are no mistake here.
        with threadpool_limits(1), warnings.catch_warnings(), _in_place(_kmeans, "_tolerance", _tolerance):
            warnings.filterwarnings("ignore", "Number of distinct clusters")
            fit.fit(features.numpy(), sample_weight=None if weights is None else weights.numpy())
        return torch.from_numpy(fit.cluster_centers_).to(features)
    return lloyd(features, n_clusters, rng, weights)


@contextmanager
def _in_place(module: ModuleType, name: str, function: Callable[..., Any]) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, original)


def _tolerance(rows: np.ndarray, tol: float) -> np.floating:
    """The bits of scikit-learn's, which copies all rows on the way, a few columns at a time."""
    return np.mean(np.concatenate([rows[:, start : start + 16].var(0) for start in range(0, rows.shape[1], 16)])) * tol


def lloyd(features: Tensor, n_clusters: int, rng: np.random.Generator, weights: Tensor | None = None) -> Tensor:
    """Lloyd's algorithm from k-means++ seeds (Arthur and Vassilvitskii 2007), on the device of the features.

    The best of `RESTARTS` by the sum of squared distances. Each runs until no image changes its cluster, or
    `MAX_ITERATIONS`. An empty cluster keeps its centroid.

    Args:
        features: `[M, D]`.
        n_clusters: k, at most M.
        rng: seeds the draws.
        weights: `float [M]`, how much a row counts; None: all the same.

    Returns:
        Centroids `[k, D]`.
    """
    generator = torch.Generator(features.device).manual_seed(int(rng.integers(2**63)))
    weight = features.new_ones(len(features)) if weights is None else weights.to(features)
    seeds = [_plus_plus(features, n_clusters, weight, generator) for _ in range(RESTARTS)]
    found = torch.stack([_descend(features, weight, each) for each in seeds])
    inertia = torch.stack([_distances(features, centroids).amin(1).square() @ weight for centroids in found])
    return found[inertia.argmin()]


def _descend(features: Tensor, weight: Tensor, centroids: Tensor) -> Tensor:
    clusters = torch.arange(len(centroids), device=features.device)
    assigned = torch.full((len(features),), -1, device=features.device)
    for iteration in range(MAX_ITERATIONS):
        closest = _distances(features, centroids).argmin(1)
        # Not every time: the host would wait for the device. What has settled stays where it is.
        if iteration % 10 == 9 and torch.equal(closest, assigned):
            break
        assigned = closest
        # A matrix product, because adding by index is not reproducible on a GPU.
        member = (assigned[:, None] == clusters) * weight[:, None]
        counts = member.sum(0)[:, None]
        centroids = torch.where(counts > 0, (member.T @ features) / counts, centroids)
    return centroids


def _distances(features: Tensor, centroids: Tensor) -> Tensor:
    # Not by matrix product: the strategy lives off small differences, which it would lose to cancellation.
    return torch.cdist(features, centroids, compute_mode="donot_use_mm_for_euclid_dist")


def _plus_plus(features: Tensor, n_clusters: int, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Seeds, each the best of a few that are drawn by weighted squared distance, as scikit-learn has it."""
    trials = 2 + int(math.log(n_clusters))
    at = torch.multinomial(weight, 1, generator=generator)
    chosen, squared = [features[at]], _distances(features[at], features)[0].square()
    for _ in range(n_clusters - 1):
        # The first of exponential clocks whose rates are the squared distances: a draw without a cumulated sum, which
        # has no reproducible form on a GPU.
        clocks = torch.empty(trials, len(features), device=features.device).exponential_(generator=generator)
        drawn = features[(clocks / (squared * weight)).argmin(1)]
        left = _distances(drawn, features).square().minimum(squared)
        best = (left @ weight).argmin().view(1)
        squared = left[best][0]
        chosen.append(drawn[best])
    return torch.cat(chosen)
