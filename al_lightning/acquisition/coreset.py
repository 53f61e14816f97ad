"""CoreSet: the images that the labeled ones cover worst."""

import torch
from torch import Tensor

from al_lightning.acquisition.blocks import blocks, offsets, squared_distances, squared_lengths
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn_order, highest
from al_lightning.acquisition.select import Query


def coreset(candidates: Candidates, n: int) -> Query:
    """The image farthest from all labeled and chosen ones, n times.

    Formula: u = argmax_i min_j |h_i - h_j| over the unlabeled i, where j is labeled or chosen, h are the features and
    |.| is the Euclidean distance; then u is chosen. Where nothing is labeled, the first image is drawn at random.

    Source: Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    Algorithm 1 (k-center greedy); without its mixed integer program (Algorithm 2), which allows for outliers.

    Cost: O((L + n) M D) time, O(M) memory besides the features; M images, L labeled ones, D features.

    Use when: labels should cover the pool, and its features are good from the start.
    Avoid when: there are outliers: each of them is far from everything and asked for early.

    Args:
        candidates: M images.
        n: at most M.

    Raises:
        ConfigError: there is no model.
    """
    features = candidates.features
    place = drawn_order(len(features), candidates.rng, features.device)
    nearest = torch.full_like(features[:, 0], torch.inf)
    if len(candidates.labeled):
        nearest = _to_nearest(features, candidates.labeled.features)
    chosen = []
    for _ in range(n):
        chosen.append(highest(nearest, place))
        nearest = nearest.minimum(offsets(features, features[chosen[-1]])[0])
        nearest[chosen] = -torch.inf
    return Query(candidates.indices[chosen])


def _to_nearest(features: Tensor, centers: Tensor) -> Tensor:
    """Squared distances `[M]` of features `[M, D]` to the nearest of the centers `[c, D]`."""
    squared = torch.empty_like(features[:, 0])
    for rows in blocks(len(features), sum(centers.shape)):
        # A matrix product finds it, but gives equal rows a distance that is rounded, and not 0.
        nearest = squared_distances(features[rows], centers).argmin(1)
        squared[rows] = squared_lengths(features[rows] - centers[nearest])
    return squared
