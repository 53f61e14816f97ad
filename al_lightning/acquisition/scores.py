"""Scores of the unlabeled images: pure functions of a pool, `float [M]`, higher = more informative.

K is the number of classes, p the predicted class probabilities of an image.
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates


def margin(candidates: Candidates) -> Tensor:
    """Minus the difference of the two highest class probabilities; in [-1, 0].

    Scheffer et al. 2001, "Active Hidden Markov Models for Information Extraction", section 3.
    """
    top = candidates.log_probabilities.exp().topk(2, dim=1).values
    return top[:, 1] - top[:, 0]


def uncertainty(candidates: Candidates) -> Tensor:
    """Least confidence, 1 - max p; in [0, 1 - 1/K]. Settles 2009, "Active Learning Literature Survey", section 3.1."""
    # Near 0, expm1 has more digits than 1 - p.
    return -torch.expm1(candidates.log_probabilities.amax(1))


def entropy(candidates: Candidates) -> Tensor:
    """Entropy of the prediction, -sum p log p, in nats; in [0, log K]. Shannon 1948."""
    return _entropy(candidates.log_probabilities)


def bald(candidates: Candidates, *, mc_samples: Annotated[int, Field(ge=1, le=10_000)]) -> Tensor:
    """Mutual information of prediction and weights, H[mean p] - mean H[p] over dropout samples; in [0, log K].

    Houlsby et al. 2011, eq. 2, with Monte-Carlo dropout: Gal et al. 2017, "Deep Bayesian Active Learning with Image
    Data", section 3.

    Raises:
        ConfigError: a model without dropout, or a single sample: it would be 0 everywhere.
    """
    # One tensor for all: small ones between large ones that come and go would keep the heap from shrinking.
    scores, done = torch.empty(len(candidates), device=candidates.indices.device), 0
    for log_p in candidates.samples(mc_samples):
        mean = log_p.logsumexp(1) - math.log(mc_samples)
        scores[done : done + len(log_p)] = _entropy(mean) - _entropy(log_p).mean(1)
        done += len(log_p)
    return scores.clamp(min=0)


def _entropy(log_p: Tensor) -> Tensor:
    # A probability of 0 has the logarithm -inf; what it adds is 0.
    return -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(-1)
