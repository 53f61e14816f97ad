"""Small margins, from different parts of the pool."""

from typing import Annotated

import torch
from pydantic import Field

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.kmeans import representatives
from al_lightning.acquisition.pick import drawn_order, ranked
from al_lightning.acquisition.scores import margin
from al_lightning.acquisition.select import Query


def margin_diverse(candidates: Candidates, n: int, *, beta: Annotated[int, Field(ge=1, le=10_000)] = 10) -> Query:
    """Of the beta n images of the lowest margins, those nearest to the centers of n clusters.

    Formula: s = 1 - (p1 - p2), with p1 and p2 the two highest class probabilities. The beta n images of the highest s
    are clustered into n clusters by their features, by k-means in which each counts s times; of each cluster the image
    nearest to its centroid.

    Source: Zhdanov 2019, "Diverse mini-batch Active Learning", Algorithm 1, informative by the margin.
    Where the paper takes n different images nearest to the centroids, each is one of its own cluster here.

    Cost: O(M K + I beta n^2 D) time for I iterations of k-means, O(M D) memory; M images,
    D features, K classes.

    Use when: the margin alone would ask for many images of the same kind.
    Avoid when: the model is not better than chance yet; or n is so large that k-means on beta n images takes too long.

    Args:
        candidates: M images.
        n: at most M.
        beta: how many images are clustered for one that is asked for; from M / n on, all.

    Raises:
        ConfigError: there is no model.
    """
    informativeness = 1 + margin(candidates)
    place = drawn_order(len(candidates), candidates.rng, informativeness.device)
    # In the order of their indices, so that a rounded margin does not change what k-means draws.
    kept = ranked(informativeness, place)[: beta * n].sort().values
    # Not 0, of which k-means could not take a mean.
    weights = informativeness[kept].clamp(min=torch.finfo(informativeness.dtype).eps)
    return Query(candidates.indices[representatives(candidates, kept, n, weights)])
