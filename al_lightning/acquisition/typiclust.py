"""TypiClust: the most typical image of each of the largest clusters that have no label yet."""

import heapq
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.blocks import blocks, nearest, squared_distances
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.kmeans import cluster
from al_lightning.acquisition.pick import drawn_order, ranked
from al_lightning.acquisition.select import Query

NEIGHBORS = 20  # whose distances make an image typical
SMALLEST = 5  # images of a cluster; smaller ones come last
PLAIN, BATCH = 50, 5000  # clusters up to which k-means looks at all images a step; else at so many


def typiclust(candidates: Candidates, n: int, *, max_clusters: Annotated[int, Field(ge=1)] = 500) -> Query:
    """Asks for the most typical image of each of the largest clusters that have the fewest labels.

    Formula:
        k-means on unit rows finds k = min(L + n, max_clusters) centroids, and every image, labeled or not, belongs to
        the cluster of the nearest one. The next image is of the cluster with the fewest labeled and chosen images, of
        these the largest one, and has in it the highest typicality(x) = 1 / mean of |x - y| over the 20 images y of the
        cluster that are nearest to x (all others where there are fewer). Clusters of less than 5 images come when all
        others are used up.

    Source:
        Hacohen, Dekel and Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets",
        section 3; k-means up to 50 clusters and mini-batch k-means beyond, 500 clusters at most, and the bound of 5, as
        the authors have it. Their code takes squared distances, counts no labeled images among the neighbors, and
        chooses from the clusters in turn, also where one has more labels by then; this follows the paper. Labeled
        images do not move the centroids here: that would take a second copy of all.

    Cost:
        Time O(M k D) a step of k-means (mini-batch: O(k D)), and O(m^2 D) for each cluster of m images that is chosen
        from: O(M^2 D) where there is one. Memory O((M + L) D).

    Use when:
        There are few labels or none: no model is needed, and typical images of every region come first.

    Avoid when:
        The budget is large: images at the borders of the classes, from which a good model learns most, come last.

    Args:
        candidates: M images, and L labeled ones.
        n: at most M.
        max_clusters: k, at most.
    """
    unlabeled, labeled = candidates.representation, candidates.labeled.representation
    k = min(len(labeled) + n, max_clusters, len(unlabeled))
    centroids = _centroids(unlabeled, k, candidates.rng)
    place = drawn_order(len(unlabeled), candidates.rng, unlabeled.device)
    assigned, assigned_labeled = nearest(unlabeled, centroids), nearest(labeled, centroids)
    counts, used = (torch.bincount(each, minlength=k).tolist() for each in (assigned, assigned_labeled))
    order = candidates.rng.permutation(k).tolist()  # of clusters that are alike
    sizes = [count + labels for count, labels in zip(counts, used, strict=True)]
    waiting = [(sizes[c] < SMALLEST, used[c], -sizes[c], order[c], c) for c in range(k) if counts[c]]
    heapq.heapify(waiting)
    typical: dict[int, Iterator[int]] = {}
    chosen = []
    while len(chosen) < n:
        *_, c = first = heapq.heappop(waiting)
        if c not in typical:
            inside = (assigned == c).nonzero().squeeze(1)
            rows = unlabeled if len(inside) == len(unlabeled) else unlabeled[inside]  # no copy of all
            distances = _distances(rows, labeled[assigned_labeled == c])
            typical[c] = iter(inside[ranked(-distances, place[inside])].tolist())
        chosen.append(next(typical[c]))
        counts[c] -= 1
        if counts[c]:
            heapq.heappush(waiting, (first[0], first[1] + 1, *first[2:]))
    return Query(candidates.indices[chosen])


def _centroids(rows: Tensor, k: int, rng: np.random.Generator) -> Tensor:
    """Of k clusters of unit rows `[M, D]`, which are no copy: plain k-means moves them by rounding errors."""
    if k <= PLAIN or rows.device.type != "cpu":
        return cluster(rows, k, rng)
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    seed = int(rng.integers(2**31))
    fit = MiniBatchKMeans(k, batch_size=BATCH, n_init="auto", random_state=seed, compute_labels=False)
    with threadpool_limits(1):  # with several, sums differ from run to run
        fit.fit(rows.numpy())
    return torch.from_numpy(fit.cluster_centers_).to(rows)


def _distances(unlabeled: Tensor, labeled: Tensor) -> Tensor:
    """Mean distance of each unlabeled image of a cluster, `[m, D]`, to its nearest neighbors in it, `[m]`."""
    rows = torch.cat([unlabeled, labeled]) if len(labeled) else unlabeled
    k = min(NEIGHBORS, len(rows) - 1)
    means = unlabeled.new_zeros(len(unlabeled))
    for block in blocks(len(unlabeled) if k else 0, max(len(rows), k * rows.shape[1])):
        squared = squared_distances(rows[block], rows)
        squared.diagonal(block.start)[: block.stop - block.start] = torch.inf  # no image is its own neighbor
        neighbors = rows[squared.topk(k, dim=1, largest=False).indices]
        # Anew, by differences: equal images are at distance 0, and not a rounding error apart.
        means[block] = torch.linalg.vector_norm(neighbors - rows[block, None], dim=2).mean(1)
    return means
