"""DropQuery: images whose predicted class dropout changes, from different parts of the pool."""

from typing import Annotated

import torch
from pydantic import Field

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.kmeans import representatives
from al_lightning.acquisition.select import Query


def drop_query(
    candidates: Candidates,
    n: int,
    *,
    mc_samples: Annotated[int, Field(ge=2, le=10_000)] = 3,
    drop: Annotated[float, Field(gt=0, lt=1)] = 0.75,
) -> Query:
    """Of the images whose predicted class changes under most dropout masks, those nearest to the centers of n clusters.

    Formula: an image is kept where sum_t [y_t != y] > T/2: y its predicted class, y_t that under dropout mask t of T.
    Those that are kept are clustered into n clusters by their features (k-means); of each cluster the image nearest to
    its centroid. Where fewer than n are kept, all of them and others at random.

    Source: Gupte et al. 2024, "Revisiting Active Learning in the Era of Vision Foundation Models", DropQuery.
    Its masks differ from image to image; here all images share the T masks, as in all sampling here. A model with a
    hidden layer (`model=mlp`) has its inputs and that layer dropped.

    Cost: O(T M D K + I n m D) time for m images kept and I iterations of k-means, O(M D) memory;
    M images, D features, K classes.

    Use when: the features are an embedding of a large pretrained model and the head on them is linear.
    Avoid when: the head is so robust to dropout that few predictions change: the rest is random.

    Args:
        candidates: M images.
        n: at most M.
        mc_samples: T.
        drop: probability of dropping a feature; the model need not have been trained with it.

    Raises:
        ConfigError: there is no model.
    """
    predicted = candidates.log_probabilities.argmax(1, keepdim=True)
    changed, done = torch.empty_like(predicted[:, 0]), 0
    for log_p in candidates.samples(mc_samples, drop):
        rows = slice(done, done + len(log_p))
        changed[rows] = (log_p.argmax(2) != predicted[rows]).sum(1)
        done = rows.stop
    kept = (2 * changed > mc_samples).nonzero().squeeze(1)
    return Query(candidates.indices[representatives(candidates, kept, n)])
