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
    """Minus the difference of the two highest class probabilities: the images that the model is torn between.

    Formula: p2 - p1, with p1 and p2 the highest and the second highest class probability; in [-1, 0].
    Source: Scheffer et al. 2001, "Active Hidden Markov Models for Information Extraction", section 3.
    Cost: O(M K) time, O(M) memory, beside the predictions.
    Use when: a query is small, or a first strategy is wanted: it is as fast as a pass over the pool and has no setting.
    Avoid when: there are so few labels that predictions say little, or many images of the pool are alike: it asks for
        all of them at once.

    Args:
        candidates: M images.

    Returns:
        `float [M]`.

    Raises:
        ConfigError: there is no model.
    """
    top = candidates.of_log_probabilities(lambda log_p: log_p.exp().topk(2, dim=1).values)
    return top[:, 1] - top[:, 0]


def uncertainty(candidates: Candidates) -> Tensor:
    """Least confidence: the images whose predicted class is the least probable.

    Formula: 1 - max p over the class probabilities p; in [0, 1 - 1/K].
    Source: Lewis and Gale 1994, "A Sequential Algorithm for Training Text Classifiers", for two classes; Settles 2009,
        "Active Learning Literature Survey", section 3.1.
    Cost: O(M K) time, O(M) memory, beside the predictions.
    Use when: there are two classes, where margin and entropy choose the same; or only the predicted class matters.
    Avoid when: there are many classes and few labels: images that are hard for any model come first. Like all scores
        it does not see that images of a batch are alike.

    Args:
        candidates: M images.

    Returns:
        `float [M]`.

    Raises:
        ConfigError: there is no model.
    """
    # Near 0, expm1 has more digits than 1 - p.
    return candidates.of_log_probabilities(lambda log_p: -torch.expm1(log_p.amax(1, keepdim=True))).squeeze(1)


def entropy(candidates: Candidates) -> Tensor:
    """Entropy of the prediction: the images whose class probabilities are spread over the most classes.

    Formula: H = -sum p log p over the class probabilities p, in nats, 0 log 0 = 0; in [0, log K].
    Source: Shannon 1948, "A Mathematical Theory of Communication", section 6; as a query: Settles 2009, "Active
        Learning Literature Survey", section 3.1.
    Cost: O(M K) time, O(M) memory, beside the predictions.
    Use when: all class probabilities matter, not only which is the highest.
    Avoid when: there are many classes and few labels: small probabilities of many classes outweigh a close decision
        between two. Like all scores it does not see that images of a batch are alike.

    Args:
        candidates: M images.

    Returns:
        `float [M]`.

    Raises:
        ConfigError: there is no model.
    """
    return candidates.of_log_probabilities(lambda log_p: _entropy(log_p)[:, None]).squeeze(1)


def bald(candidates: Candidates, *, mc_samples: Annotated[int, Field(ge=1, le=10_000)]) -> Tensor:
    """Mutual information of prediction and weights: images on which samples are each sure, and of different classes.

    Formula: H[(1/T) sum_t p_t] - (1/T) sum_t H[p_t], with p_t the class probabilities of sample t of T and H their
        entropy in nats; in [0, log K].
    Source: Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning", eq. 2, with
        Monte-Carlo dropout: Gal et al. 2017, "Deep Bayesian Active Learning with Image Data", section 3.
    Cost: O(M T K) time, O(M) memory, beside the samples, which come in pieces.
    Use when: some images are ambiguous whatever is learned (their labels are noise): it passes over them, entropy and
        margin do not.
    Avoid when: queries are large: the highest scores are often copies of one image (see batchbald, and `noise`).

    Args:
        candidates: M images.
        mc_samples: T, at least 2.

    Returns:
        `float [M]`.

    Raises:
        ConfigError: a model without dropout, or a single sample: it would be 0 everywhere.
    """

    def information(log_p: Tensor) -> Tensor:
        mean = log_p.logsumexp(1) - math.log(log_p.shape[1])
        return _entropy(mean) - _entropy(log_p).mean(1)

    return _of_samples(candidates, mc_samples, information).clamp(min=0)


def variation_ratios(candidates: Candidates, *, mc_samples: Annotated[int, Field(ge=1, le=10_000)]) -> Tensor:
    """Share of samples that predict another class than most of them do: the images on which the vote is closest.

    Formula: 1 - f / T, with f of the T samples predicting the class that most of them predict; in [0, 1 - 1/K].
    Source: Freeman 1965, "Elementary Applied Statistics", by Monte-Carlo dropout: Gal et al. 2017, "Deep Bayesian
        Active Learning with Image Data", section 3.
    Cost: O(M T K) time, O(M) memory, beside the samples, which come in pieces.
    Use when: only the predicted classes of samples can be trusted, not their probabilities.
    Avoid when: samples are few: there are at most T different scores, and ties, which the seed breaks, decide.

    Args:
        candidates: M images.
        mc_samples: T, at least 2.

    Returns:
        `float [M]`.

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
    """Standard deviation of a class probability over samples, in mean over the classes.

    Formula: (1/K) sum over the classes of sqrt((1/T) sum_t p_t^2 - ((1/T) sum_t p_t)^2), with p_t the probability of
        the class by sample t of T; in [0, sqrt((K - 1) / K^2)].
    Source: Kampffmeyer et al. 2016, "Semantic Segmentation of Small Objects and Modeling of Uncertainty in Urban Remote
        Sensing Images Using Deep Convolutional Neural Networks", by Monte-Carlo dropout: Gal et al. 2017, "Deep
        Bayesian Active Learning with Image Data", section 3.
    Cost: O(M T K) time, O(M) memory, beside the samples, which come in pieces.
    Use when: samples are to be compared by their probabilities, in a simpler way than by the logarithms of BALD.
    Avoid when: there are many classes: the mean over those that no sample predicts hides the few that matter. Like all
        scores it does not see that images of a batch are alike.

    Args:
        candidates: M images.
        mc_samples: T, at least 2.

    Returns:
        `float [M]`.

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
