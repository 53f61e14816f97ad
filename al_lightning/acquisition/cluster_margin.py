"""Cluster-Margin: the smallest margins, spread over clusters."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from al_lightning.acquisition.blocks import blocks, squared_distances, squared_lengths
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn_order, ranked
from al_lightning.acquisition.scores import margin
from al_lightning.acquisition.select import Query

MAX_CLUSTERED = 5000  # images: their distances are 100 MB


def cluster_margin(
    candidates: Candidates,
    n: int,
    *,
    margin_factor: Annotated[int, Field(ge=1)] = 10,
    cluster_size: Annotated[int, Field(ge=1)] = 10,
) -> Query:
    """Images of small margin, one of each cluster after the other, those of small clusters first.

    Formula: k = min(max(n, min(margin_factor n, 5000)), M) images of the smallest margin (the difference of the two
        highest class probabilities) are clustered by average linkage of the Euclidean distances of their features. The
        tree is cut into at most k / cluster_size clusters, rounded up. From the smallest cluster to the largest, a
        random image of each that is left in it; then again from the smallest cluster that is not used up, until there
        are n.
    Source: Citovsky et al. 2021, "Batch Active Learning at Scale", algorithms 1 and 2. It differs in what is clustered:
        in the paper the whole pool, once, by the features of the first model; here anew each round what has a small
        margin. And the tree is cut by the mean size of its clusters, in the paper by a distance.
    Cost: time O(M K + k^2 D), memory O(k^2), beside features and predictions.
    Use when: queries are large, and the smallest margins are many images of the same kind.
    Avoid when: queries are above 5,000 images, of which only the margin decides, or odd images are bad ones: they are
        clusters of their own, which come first.

    Args:
        candidates: M images.
        n: at most M.
        margin_factor: images that are clustered, in queries.
        cluster_size: images a cluster, in mean.
    """
    place = drawn_order(len(candidates), candidates.rng, candidates.indices.device)
    size = max(n, min(margin_factor * n, MAX_CLUSTERED))
    smallest = ranked(margin(candidates), place)[:size]
    if len(smallest) == n:
        return Query(candidates.indices[smallest])
    clusters = _clusters(candidates.features[smallest].double().cpu(), -(-len(smallest) // cluster_size))
    at = _round_robin(clusters, candidates.rng.permutation(len(smallest)))[:n]
    return Query(candidates.indices[smallest[torch.from_numpy(at).to(smallest.device)]])


def _clusters(features: Tensor, n_clusters: int) -> np.ndarray:
    """The cluster of each image, `int [k]`, by average linkage; at most so many clusters.

    Args:
        features: `float64 [k, D]`, of at least two images.
        n_clusters: fewer come of equal distances.
    """
    lengths, column = squared_lengths(features), torch.arange(len(features))
    distances, done = features.new_empty(len(features) * (len(features) - 1) // 2), 0
    for rows in blocks(len(features), 4 * len(features)):  # in double precision, and there are a few of that size
        squared = squared_distances(features[rows], features)
        # What is rounding only is none: equal images are never in two clusters.
        squared[squared <= 1e-12 * (lengths[rows, None] + lengths)] = 0
        above = squared[column > column[rows, None]]  # the order that scipy wants
        distances[done : done + len(above)] = above
        done += len(above)
    return fcluster(linkage(distances.sqrt_().numpy(), "average"), n_clusters, "maxclust")


def _round_robin(clusters: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """All positions `int [k]`: one of each cluster, from the smallest to the largest, then a second one, and so on.

    Args:
        clusters: `int [k]`.
        drawn: `int [k]`, a random order: within a cluster, and of clusters of the same size by their first image.
    """
    _, first, cluster, sizes = np.unique(clusters[drawn], return_index=True, return_inverse=True, return_counts=True)
    by_cluster = np.argsort(cluster, kind="stable")
    turn = np.empty_like(by_cluster)
    turn[by_cluster] = np.arange(len(drawn)) - np.repeat(sizes.cumsum() - sizes, sizes)
    return drawn[np.lexsort((first[cluster], sizes[cluster], turn))]
