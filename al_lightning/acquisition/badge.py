"""BADGE: gradients of the last layer that are large and point in different directions."""

import torch
from torch import Tensor

from al_lightning.acquisition.blocks import offsets
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn
from al_lightning.acquisition.select import Query


def badge(candidates: Candidates, n: int) -> Query:
    """Images whose gradients of the last layer are large and differ, by k-means++ seeding.

    Formula: g = (p - e) (x) h, the gradient of the cross entropy at the predicted class with respect to the weights of
    the last layer: p the class probabilities, e the one-hot vector of argmax p, h the features, (x) the outer product.
    The first image is drawn uniformly, each other one in proportion to D^2, the squared Euclidean distance of g to that
    of the nearest image chosen before. Where D is 0 everywhere, uniformly among the rest.
    It never makes g: with a = p - e and differences da, dh of two images i and j,
    |g_i - g_j|^2 = |a_i|^2 |dh|^2 + |da|^2 |h_j|^2 + 2 <a_i, da> <dh, h_j>.

    Source: Ash et al. 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", Algorithm 1;
    Arthur and Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding", section 2.2. The published code takes
    the image of the largest gradient first; here it is drawn, as k-means++ has it.

    Cost: O(n M (D + K)) time, O(M (D + K)) memory; M images, D features, K classes.

    Use when: a query is large, and both the confidence of the model and its features say something.
    Avoid when: n passes over the features of the pool take too long, or the model is so sure that all gradients vanish:
    it is random then.

    Args:
        candidates: M images.
        n: at most M.

    Raises:
        ConfigError: there is no model.
    """
    features, residuals = candidates.features, _residuals(candidates.log_probabilities)
    sizes = residuals.square().sum(1)
    left = torch.ones_like(sizes)  # 0 for those that are chosen
    nearest = torch.full_like(sizes, torch.inf)
    chosen = [int(candidates.rng.integers(len(candidates)))]
    while len(chosen) < n:
        i = chosen[-1]
        left[i] = 0
        squared, along = offsets(features, features[i])
        between = residuals - residuals[i]
        distances = sizes * squared + between.square().sum(1) * features[i].square().sum()
        distances += 2 * (residuals * between).sum(1) * along
        nearest = nearest.minimum(distances.clamp(min=0))
        nearest[i] = 0
        chosen.append(drawn(nearest if nearest.any() else left, candidates.rng))
    return Query(candidates.indices[chosen])


def _residuals(log_p: Tensor) -> Tensor:
    """Probabilities less one-hot predictions, `[M, K]`; of sure ones exact to rounding, which p - 1 is not."""
    predicted = log_p.argmax(1, keepdim=True)
    others = log_p.exp().scatter(1, predicted, 0)
    return others.scatter(1, predicted, -others.sum(1, keepdim=True))
