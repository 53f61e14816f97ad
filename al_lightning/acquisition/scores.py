"""Scores of the unlabeled images: pure functions of a pool, `float [M]`, higher = more informative.

K is the number of classes, p the predicted class probabilities of an image.
"""

import math
from collections.abc import Callable
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

    def information(log_p: Tensor) -> Tensor:
        mean = log_p.logsumexp(1) - math.log(log_p.shape[1])
        return _entropy(mean) - _entropy(log_p).mean(1)

    return _of_samples(candidates, mc_samples, information).clamp(min=0)


def variation_ratios(candidates: Candidates, *, mc_samples: Annotated[int, Field(ge=1, le=10_000)]) -> Tensor:
    """Share of dropout samples that predict another class than most of them do; in [0, 1 - 1/K].

    Freeman 1965, "Elementary Applied Statistics", by Monte-Carlo dropout: Gal et al. 2017, section 3.

    Raises:
        ConfigError: as :func:`bald`.
    """

    def disagreement(log_p: Tensor) -> Tensor:
        votes = log_p.new_zeros(len(log_p), log_p.shape[2])
        predicted = log_p.argmax(2)
        votes.scatter_add_(1, predicted, torch.ones_like(predicted, dtype=votes.dtype))
        return 1 - votes.amax(1) / log_p.shape[1]

    return _of_samples(candidates, mc_samples, disagreement)


def mean_std(candidates: Candidates, *, mc_samples: Annotated[int, Field(ge=1, le=10_000)]) -> Tensor:
    """Standard deviation of a class probability over dropout samples, in mean over the classes.

    sqrt(E[p^2] - E[p]^2), in [0, sqrt((K - 1) / K^2)]. Kampffmeyer et al. 2016, "Semantic Segmentation of Small Objects
    and Modeling of Uncertainty"; Gal et al. 2017, section 3.

    Raises:
        ConfigError: as :func:`bald`.
    """
    return _of_samples(candidates, mc_samples, lambda log_p: log_p.exp().std(1, correction=0).mean(1))


def mean_margin(candidates: Candidates, *, mc_samples: Annotated[int, Field(ge=1, le=10_000)]) -> Tensor:
    """Minus the margin of the mean prediction: smallest where the samples together cannot tell two classes apart.

    The noise of a single fit averages out, with the members of an ensemble more than with dropout.

    Formula: p = (1/T) sum_t p_t, with p_t the class probabilities of sample t of T; the score is minus the difference
        of the two highest entries of p, in [-1, 0].
    Source: the margin of Scheffer et al. 2001, "Active Hidden Markov Models for Information Extraction", section 3, of
        the mixture in Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep
        Ensembles", section 2.4.
    Cost: O(M T K) beside the samples, which come in pieces.
    Use when: fits vary between seeds, as with few labels, or there is an ensemble.
    Avoid when: there is no dropout and no ensemble. Like all scores it does not see that images of a batch are alike.

    Args:
        candidates: M images.
        mc_samples: T, at least 2.

    Raises:
        ConfigError: as :func:`bald`.
    """

    def negative_margin(log_p: Tensor) -> Tensor:
        top = log_p.exp().mean(1).topk(2, dim=1).values
        return top[:, 1] - top[:, 0]

    return _of_samples(candidates, mc_samples, negative_margin)


def _of_samples(candidates: Candidates, n: int, score: Callable[[Tensor], Tensor]) -> Tensor:
    """Scores of n samples, `[M]`: from logarithms of probabilities `[m, T, K]` to `[m]`, piece by piece."""
    # One tensor for all: small ones between large ones that come and go would keep the heap from shrinking.
    scores, done = torch.empty(0), 0
    for log_p in candidates.samples(n):
        scores = scores if done else log_p.new_empty(len(candidates))
        scores[done : done + len(log_p)] = score(log_p)
        done += len(log_p)
    return scores


def _entropy(log_p: Tensor) -> Tensor:
    # A probability of 0 has the logarithm -inf; what it adds is 0.
    return -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(-1)
