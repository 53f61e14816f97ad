"""Expected predictive information gain."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.blocks import blocks
from al_lightning.acquisition.candidates import Candidates


def epig(
    candidates: Candidates,
    *,
    mc_samples: Annotated[int, Field(ge=1, le=10_000)],
    n_targets: Annotated[int, Field(ge=1)] = 100,
) -> Tensor:
    """The images whose label tells most about the labels of other images of the pool, and not about the weights.

    Formula: with p_t(y | x) the class probabilities of image x under sample t of T, and J target images x*,
        p(y, y*) = (1/T) sum_t p_t(y | x) p_t(y* | x*), p(y) and p(y*) its margins, and the score
        (1/J) sum over x* of sum over y, y* of p(y, y*) log(p(y, y*) / (p(y) p(y*))), in nats, in [0, log K].
        It is computed as H[y] + H[y*] - H[y, y*] in mean over x*.
    Source: Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning", section 4: the Monte-Carlo
        estimate for categorical predictions. The targets are drawn from the candidates, uniformly and without putting
        back, anew each round; the paper draws them from the inputs that predictions are wanted for. An image that is
        drawn is one of its own J targets.
    Cost: time O(M J K^2 T) beside the samples, those of the targets twice; memory O(M).
    Use when: the pool is what the model will have to predict, and it contains images that it will never meet or that
        do not matter: unlike BALD this score is low for them.
    Avoid when: there are many classes (the time is quadratic in K), or other images matter than those of the pool.

    Args:
        candidates: M images.
        mc_samples: T, at least 2.
        n_targets: J; all candidates where there are fewer.

    Returns:
        `float [M]`.

    Raises:
        ConfigError: a model without dropout, or a single sample: the score would be 0 everywhere.
    """
    n_drawn = min(n_targets, len(candidates))
    targets = torch.from_numpy(candidates.rng.choice(len(candidates), n_drawn, replace=False))
    target = candidates.samples_at(targets, mc_samples).exp().mT.flatten(0, 1)  # [J * K, T]
    of_targets = torch.special.entr(target.mean(1)).sum() / n_drawn
    scores = []
    for log_p in candidates.samples(mc_samples):
        n_classes, n_samples = log_p.shape[2], log_p.shape[1]
        for rows in blocks(len(log_p), n_classes * len(target)):
            own = log_p[rows].exp().mT  # [m, K, T]
            joint = own.flatten(0, 1) @ (target.T / n_samples)  # [m * K, J * K]
            of_pairs = torch.special.entr(joint).view(len(own), -1).sum(1) / n_drawn
            scores.append(torch.special.entr(own.mean(2)).sum(1) + of_targets - of_pairs)
    return torch.cat(scores).clamp(min=0)
