"""BatchBALD: the batch whose labels together tell most about the weights."""

import math
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.blocks import blocks
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn_order, highest_lazily
from al_lightning.acquisition.samples import sampled_probabilities
from al_lightning.acquisition.select import Query


def batchbald(
    candidates: Candidates,
    n: int,
    *,
    mc_samples: Annotated[int, Field(ge=1, le=10_000)],
    configurations: Annotated[int, Field(ge=1, le=100_000)] = 1000,
) -> Query:
    """The batch whose labels together have the highest mutual information with the weights, one image after another.

    Formula: with B the images chosen so far and T samples of the weights, the next image x maximizes
        I(y_B, y_x; w) = H[y_B, y_x] - (1/T) sum_t (sum over b in B of H_t[y_b] + H_t[y_x]), that is, the gain
        I(y_x; w | y_B) = sum over c of p(c) (H[sum_t w_t(c) p_t(y_x)] - sum_t w_t(c) H_t[y_x]),
        where c runs over the K^b joint labels (configurations) of B, p_t are the class probabilities of sample t, H_t
        their entropy, p(c) = (1/T) sum_t p_t(c), and w_t(c) = p_t(c) / (T p(c)). All configurations are listed while
        they are at most `configurations`; then so many are drawn from p(c), and their mean is taken. Drawn ones are
        drawn on with each image, for each sample t equally often (or once more).
    Source: Kirsch et al. 2019, "BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian Active Learning",
        eq. 8 to 13 and algorithm 1. The drawn estimate differs from the paper's in its second sum, which has the same
        mean as the paper's (1/T) sum_t H_t[y_x] and does not let a gain fall below 0. An image is not looked at again
        while its last gain is below the best (Minoux 1978, "Accelerated Greedy Algorithms for Maximizing Submodular Set
        Functions"): with listed configurations this changes no choice, with drawn ones the last gain is an estimate.
    Cost: time O(M K T + m C K T) beside the samples, with C configurations and m images looked at in all, from n to
        n M; memory O(M K T) for the samples.
    Use when: queries are small, up to some tens of images, and the top of BALD would be copies of one image.
    Avoid when: queries are large: T samples hold log T nats at most, and when the chosen images have told them apart,
        what is left is chance.

    Args:
        candidates: M images.
        n: at most M.
        mc_samples: T, at least 2.
        configurations: C, listed at most, else drawn.

    Raises:
        ConfigError: a model without dropout, or a single sample: there would be nothing to tell apart.
    """
    rng, device = candidates.rng, candidates.indices.device
    place = drawn_order(len(candidates), rng, device)
    p = sampled_probabilities(candidates, mc_samples)
    own = torch.cat([torch.special.entr(p[rows]).sum(1) for rows in blocks(len(p), p[0].numel())])  # [M, T]
    n_classes, n_samples = p.shape[1:]
    # The sample of the weights that labels a drawn configuration.
    truth = torch.from_numpy(rng.permutation(n_samples)).to(device)
    truth = truth.repeat(math.ceil(configurations / n_samples))[:configurations]
    listed, drawn = p.new_zeros(1, n_samples), p.new_zeros(configurations, n_samples)  # log p_t(c), [C, T]
    gains = torch.full_like(p[:, 0, 0], torch.inf)
    chosen: list[int] = []
    while len(chosen) < n:
        log_p_c = drawn if listed is None else listed
        total = log_p_c.logsumexp(1)
        possible = total > -torch.inf
        weights, share = (log_p_c - total[:, None])[possible].exp(), total[possible].softmax(0)

        gain = partial(_information, p, own, weights, share)
        at = highest_lazily(gains, place, gain, _slack(gains))
        gains[at] = -torch.inf
        chosen.append(at)
        log_p = p[at].log()  # [K, T]
        if listed is not None:
            fits = len(listed) * n_classes <= configurations
            listed = (listed[:, None] + log_p).flatten(0, 1) if fits else None
        noise = torch.from_numpy(rng.gumbel(size=(n_classes, configurations))).to(p)
        drawn = (drawn + log_p[(log_p[:, truth] + noise).argmax(0)]).log_softmax(1)
    return Query(candidates.indices[chosen])


def _information(p: Tensor, own: Tensor, weights: Tensor, share: Tensor, at: Tensor) -> Tensor:
    """Mutual information of the labels of images with the weights, given the configurations, `[m]`.

    Args:
        p: `[M, K, T]`, class probabilities by sample.
        own: `[M, T]`, their entropies.
        weights: `[C, T]`, of the samples given a configuration, which add up to 1.
        share: `[C]`, of the configurations, likewise.
        at: `int64 [m]`, positions of the images.
    """
    gain = own[at] @ (share @ weights).neg()
    for rows in blocks(len(at), p.shape[1] * max(len(weights), p.shape[2])):
        mixed = p[at[rows]].flatten(0, 1) @ weights.T  # [m * K, C]
        gain[rows] += (torch.special.entr(mixed) @ share).view(-1, p.shape[1]).sum(1)
    # What is rounding only is none: such an image need not be looked at again.
    return gain.where(gain > _slack(gain), 0)


def _slack(gains: Tensor) -> float:
    return torch.finfo(gains.dtype).eps ** 0.75
