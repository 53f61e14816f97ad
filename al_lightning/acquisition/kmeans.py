"""K-means on the features of the pool, and the images at the border of two clusters."""

import math
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates

MAX_ITERATIONS = 300
RESTARTS = 4


def boundary(candidates: Candidates, *, n_clusters: Annotated[int, Field(ge=2)]) -> Tensor:
    """Minus the difference of the Euclidean distances to the second closest and the closest centroid; at most 0.

    The paper's k-means strategy. The features are clustered as they are, unscaled.

    Args:
        candidates: M images.
        n_clusters: from 2 to M.
    """
    centroids = cluster(candidates.features, n_clusters, candidates.rng)
    nearest = _distances(candidates.features, centroids).topk(2, dim=1, largest=False).values
    return nearest[:, 0] - nearest[:, 1]


def cluster(features: Tensor, n_clusters: int, rng: np.random.Generator) -> Tensor:
    """Centroids `[k, D]` of features `[M, D]`: scikit-learn on a CPU, :func:`lloyd` on a GPU."""
    if features.device.type == "cpu":
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # with several threads, sums differ from run to run
            fit = KMeans(n_clusters, n_init="auto", max_iter=MAX_ITERATIONS, random_state=int(rng.integers(2**31)))
            return torch.from_numpy(fit.fit(features.numpy()).cluster_centers_).to(features)
    return lloyd(features, n_clusters, rng)


def lloyd(features: Tensor, n_clusters: int, rng: np.random.Generator) -> Tensor:
    """Lloyd's algorithm from k-means++ seeds (Arthur and Vassilvitskii 2007), on the device of the features.

    The best of `RESTARTS` by the sum of squared distances. Each runs until no image changes its cluster, or
    `MAX_ITERATIONS`. An empty cluster keeps its centroid.

    Args:
        features: `[M, D]`.
        n_clusters: k, at most M.
        rng: seeds the draws.

    Returns:
        Centroids `[k, D]`.
    """
    generator = torch.Generator(features.device).manual_seed(int(rng.integers(2**63)))
    found = torch.stack([_descend(features, _plus_plus(features, n_clusters, generator)) for _ in range(RESTARTS)])
    inertia = torch.stack([_distances(features, centroids).amin(1).square().sum() for centroids in found])
    return found[inertia.argmin()]


def _descend(features: Tensor, centroids: Tensor) -> Tensor:
    clusters = torch.arange(len(centroids), device=features.device)
    assigned = torch.full((len(features),), -1, device=features.device)
    for iteration in range(MAX_ITERATIONS):
        closest = _distances(features, centroids).argmin(1)
        # Not every time: the host would wait for the device. What has settled stays where it is.
        if iteration % 10 == 9 and torch.equal(closest, assigned):
            break
        assigned = closest
        # A matrix product, because adding by index is not reproducible on a GPU.
        member = (assigned[:, None] == clusters).to(features)
        counts = member.sum(0)[:, None]
        centroids = torch.where(counts > 0, (member.T @ features) / counts.clamp(min=1), centroids)
    return centroids


def _distances(features: Tensor, centroids: Tensor) -> Tensor:
    # Not by matrix product: the strategy lives off small differences, which it would lose to cancellation.
    return torch.cdist(features, centroids, compute_mode="donot_use_mm_for_euclid_dist")


def _plus_plus(features: Tensor, n_clusters: int, generator: torch.Generator) -> Tensor:
    """Seeds, each the best of a few that are drawn by squared distance, as scikit-learn has it."""
    trials = 2 + int(math.log(n_clusters))
    at = torch.randint(len(features), (1,), generator=generator, device=features.device)
    chosen, squared = [features[at]], _distances(features[at], features)[0].square()
    for _ in range(n_clusters - 1):
        # The first of exponential clocks whose rates are the squared distances: a draw without a cumulated sum, which
        # has no reproducible form on a GPU.
        clocks = torch.empty(trials, len(features), device=features.device).exponential_(generator=generator)
        drawn = features[(clocks / squared).argmin(1)]
        left = _distances(drawn, features).square().minimum(squared)
        best = left.sum(1).argmin().view(1)
        squared = left[best][0]
        chosen.append(drawn[best])
    return torch.cat(chosen)
