"""ALFA-Mix: images whose predicted class changes when their features are mixed with those of a class."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.kmeans import representatives
from al_lightning.acquisition.select import Query


def alfa_mix(candidates: Candidates, n: int, *, epsilon: Annotated[float, Field(gt=0, le=1000)] = 0.2) -> Query:
    """Of the images whose predicted class a small mixing with a class changes, those nearest to centers of n clusters.

    Formula: the features h of an image are mixed with the anchor z of each labeled class, the mean of its labeled
    features, to a z + (1 - a) h, with the a [D] that raises the loss of the predicted class the most to first order:
    a = (epsilon / sqrt(D)) |z - h| g / |g| / (z - h), where g is the gradient of that loss with respect to h, and the
    last division is element by element. Where z and h are equal in an element, mixing leaves it as it is. An image is
    kept where an anchor changes its predicted class. Those that are kept are clustered into n clusters by their
    features (k-means); of each cluster the image nearest to its centroid. Where fewer than n are kept, all of them and
    others at random. The head is linear, with weights W: g = W^T (p - e), with the class probabilities p and the
    one-hot vector e of the predicted class.

    Source: Parvaneh et al. 2022, "Active Learning by Feature Mixing", section 3, eq. 5 (the closed form of a).
    The published code also widens epsilon until more than n images are kept, and scales features to length 1 before
    it clusters them; neither is done here.

    Cost: O(C M D K + I n m D) time for C labeled classes, m images kept and I iterations of k-means, O(M D) memory;
    M images, D features, K classes.

    Use when: labels are few, and the features of the classes lie apart.
    Avoid when: there are many classes (time grows with their square), or nothing is labeled: it is random then.

    Args:
        candidates: M images.
        n: at most M.
        epsilon: how far features are mixed, as a share of the distance to the anchor, times sqrt(D).

    Raises:
        ConfigError: there is no model.
    """
    head, anchors = candidates.head, _anchors(candidates)
    share = epsilon / math.sqrt(head.in_features)

    def changed(rows: Tensor) -> Tensor:
        log_p = head(rows).log_softmax(1)
        predicted = log_p.argmax(1)
        direction, by_any = _uphill(log_p, predicted, head.weight), torch.zeros_like(predicted, dtype=torch.bool)
        for anchor in anchors:
            between = anchor - rows
            step = direction * (share * torch.linalg.vector_norm(between, dim=1, keepdim=True))
            by_any |= head(rows + step.masked_fill_(between == 0, 0)).argmax(1) != predicted
        return by_any[:, None]

    kept = candidates.of_features(changed).squeeze(1).nonzero().squeeze(1)
    return Query(candidates.indices[representatives(candidates, kept, n)])


def _anchors(candidates: Candidates) -> Tensor:
    """Mean features `[C, D]` of each class that has labels."""
    labeled = candidates.labeled
    if not len(labeled):
        return candidates.head.weight[:0]
    features = labeled.features
    # A matrix product, because adding by index is not reproducible on a GPU.
    member = (labeled.labels == labeled.labels.unique()[:, None]).to(features)
    return member @ features / member.sum(1, keepdim=True)


def _uphill(log_p: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Unit vectors `[m, D]` along the gradient of the loss of the predicted class, or 0 where there is none.

    (p - e) / (1 - p of the predicted class) has the direction of p - e, and does not vanish where the model is sure.
    """
    lowest = torch.finfo(log_p.dtype).min
    others = log_p.clamp(min=lowest / 2).scatter(1, predicted[:, None], lowest).softmax(1)
    residuals = others.scatter(1, predicted[:, None], -1)
    return normalize(residuals @ weight, dim=1, eps=torch.finfo(log_p.dtype).tiny)
