"""K-means on the features of the pool, and the images at the border of two clusters."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.pool import Pool

MAX_ITERATIONS = 300


def boundary(pool: Pool, *, n_clusters: Annotated[int, Field(ge=2)]) -> Tensor:
    """Minus the difference of the Euclidean distances to the second closest and the closest centroid; at most 0.

    The paper's k-means strategy. The features are clustered as they are, unscaled.

    Args:
        pool: M images.
        n_clusters: from 2 to M.
    """
    centroids = cluster(pool.features, n_clusters, pool.rng)
    nearest = _distances(pool.features, centroids).topk(2, dim=1, largest=False).values
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

    Runs until no image changes its cluster, or `MAX_ITERATIONS`. An empty cluster keeps its centroid.

    Args:
        features: `[M, D]`.
        n_clusters: k, at most M.
        rng: draws the seeds.

    Returns:
        Centroids `[k, D]`.
    """
    centroids = _plus_plus(features, n_clusters, rng)
    assigned = torch.full((len(features),), -1, device=features.device)
    for _ in range(MAX_ITERATIONS):
        closest = _distances(features, centroids).argmin(1)
        if torch.equal(closest, assigned):
            break
        assigned = closest
        # A matrix product, because adding by index is not reproducible on a GPU.
        member = torch.nn.functional.one_hot(assigned, n_clusters).to(features)
        counts = member.sum(0)[:, None]
        centroids = torch.where(counts > 0, (member.T @ features) / counts.clamp(min=1), centroids)
    return centroids


def _distances(features: Tensor, centroids: Tensor) -> Tensor:
    # Not by matrix product: the strategy lives off small differences, which it would lose to cancellation.
    return torch.cdist(features, centroids, compute_mode="donot_use_mm_for_euclid_dist")


def _plus_plus(features: Tensor, n_clusters: int, rng: np.random.Generator) -> Tensor:
    chosen = [int(rng.integers(len(features)))]
    squared = torch.full((len(features),), torch.inf, device=features.device)
    for _ in range(n_clusters - 1):
        squared = squared.minimum((features - features[chosen[-1]]).square().sum(1))
        cumulated = squared.double().cumsum(0)
        drawn = torch.searchsorted(cumulated, rng.random() * cumulated[-1], right=True)
        chosen.append(int(drawn.clamp(max=len(features) - 1)))
    return features[chosen]
