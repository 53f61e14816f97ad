"""The samples of all images at once, for what compares images under the same weights."""

import torch
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates


def sampled_probabilities(candidates: Candidates, n: int) -> Tensor:
    """Class probabilities under T samples of the weights that all images share, `float [M, K, T]`.

    Args:
        candidates: M images.
        n: T, where the model does not have a number of its own.

    Raises:
        ConfigError: as :meth:`al_lightning.acquisition.candidates.Candidates.samples`.
    """
    probabilities, done = torch.empty(0), 0
    for log_p in candidates.samples(n):
        if not done:
            probabilities = log_p.new_empty(len(candidates), log_p.shape[2], log_p.shape[1])
        # No copy of a piece: together with what made it, it is the largest thing there is.
        torch.exp(log_p.mT, out=probabilities[done : done + len(log_p)])
        done += len(log_p)
    return probabilities
