"""The ceiling: a strategy that knows all labels, those of the test part too. Nobody can have it; it is to compare with.

It is the only one that is given them, by :func:`al_lightning.build.make_strategy`.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn_order, ranked
from al_lightning.acquisition.select import Query
from al_lightning.data.images import UNKNOWN, ImageData
from al_lightning.errors import ConfigError
from al_lightning.models.convex import GRID, ROUGH, Fitted, choose_weight_decay, fit

NAME, TARGET = "ceiling", "al_lightning.strategy.ceiling"
NOT_ATTAINABLE = "strategy=ceiling: chooses by labels that nobody has: not attainable, for comparison only"
ITERATIONS = 200  # of a fit that only judges a batch
_Images = tuple[Tensor, Tensor]
SOLVED, SOLVER_STEPS = 1e-2, 50  # share of a residual that is left by conjugate gradients, and how many there are


def ceiling(
    candidates: Candidates,
    n: int,
    *,
    data: ImageData,
    trials: Annotated[int, Field(ge=1)] = 30,
    steps: Annotated[int, Field(ge=1)] = 20,
) -> Query:
    """NOT ATTAINABLE: the batch whose labels help most on the test part, chosen by the labels of both.

    It breaks the rule that labels which nobody has paid for decide nothing, and those of the test part neither: runs of
    it are for comparison only. They show how much better than random a strategy could be.

    Formula: greedily, in `steps` parts of the batch. With the last layer w fitted to the labeled images and the parts
        so far, the images of the highest s(x) = g^T H^-1 grad l(x, y) are added: l is the cross entropy of an image
        with its true label y, g the gradient of its mean over the test part, H the Hessian of what is fitted, all at w
        and by w; s is how fast the loss on the test part falls with the weight of x among the labeled. That batch is
        held against the best of `trials` random ones: the one after which the layer is more accurate on the test part,
        of equally accurate ones of lower loss. Layers have the weight decay of which the model's own is the optimum
        (-<w, grad>/<w, w>, from 1e-5 to 10). The model may choose another one after the batch: that which
        cross-validation chooses is tried too, and the worse of both counts.
    Source: none; the influence s is that of Koh and Liang 2017, "Understanding Black-box Predictions via Influence
        Functions", equation 2. A greedy oracle of trial batches is in Werner et al. 2024, "A Cross-Domain Benchmark for
        Active Learning"; a search for the best sequence in Zhou et al. 2021, "Towards Understanding the Behaviors of
        Optimal Deep Active Learning Algorithms".
    Cost: time O(steps ((M + T) D K + (L + n) D K c) + trials (L + n) D K c), with T test images and c iterations of a
        fit; memory O((M + T) D).
    Use when: a report should say how much there is to win. It is greedy and looks one query ahead: other choices may
        still be better.
    Avoid when: anything is to be learned of how a strategy would do. With a network whose features are trained it is
        no more than a guess: the features stay as they are, though a new label would change them.

    Args:
        candidates: M images.
        n: at most M.
        data: with the labels of everything, as the data set has them.
        trials: random batches.
        steps: after so many parts of the batch a layer is fitted anew.

    Raises:
        ConfigError: there is no test part, or an image has no label.
    """
    if not len(data.test):
        raise ConfigError("strategy=ceiling: it looks at the labels of a test part, and there is none")
    if (data.pool.labels[data.there] == UNKNOWN).any():
        raise ConfigError("strategy=ceiling: it looks at the labels of all images, and some are not known")
    rows, labeled = candidates.features, candidates.labeled
    device, head = rows.device, Fitted(candidates.head.weight, candidates.head.bias, 0, converged=True)
    known = labeled.features, labeled.labels
    pool = rows, data.pool.labels[candidates.indices.cpu()].to(device)
    test = candidates.others(data.inputs[1]).features, data.test.labels.to(device)
    # What was computed for choosing cannot be fitted to; a copy of it can, and every batch is one.
    with torch.inference_mode(False), torch.no_grad():
        search = _Search(known, pool, test, len(data.classes), head, candidates.rng)
        best = max(search.greedy(n, steps), search.drawn(n, trials), key=search.at_worst)
    return Query(candidates.indices[best])


class _Search:
    """Batches of a pool, as positions in it `int64 [n]`, and how good a layer is that is fitted to them too.

    Args:
        known: features `[L, D]` and labels `[L]` of the labeled images, likewise of the other two.
        pool: of the candidates.
        test: of the test part.
        n_classes: K.
        head: fitted to the labeled images.
        rng: everything random comes from it.
    """

    def __init__(
        self, known: _Images, pool: _Images, test: _Images, n_classes: int, head: Fitted, rng: np.random.Generator
    ) -> None:
        self.known, self.pool, self.test, self.n_classes, self.head, self.rng = known, pool, test, n_classes, head, rng
        self.decay = _decay(head, *known)

    def greedy(self, n: int, steps: int) -> Tensor:
        """The images that help most, part by part."""
        place = drawn_order(len(self.pool[0]), self.rng, self.pool[0].device)
        batch, layer = place[:0], self.head
        for part in torch.arange(n).tensor_split(min(steps, n)):
            gains = _gains(layer, self.decay, self.with_batch(batch), self.test, self.pool)
            gains[batch] = -torch.inf
            batch = torch.cat([batch, ranked(gains, place)[: len(part)]])
            layer = self.fitted(batch, self.decay, layer)
        return batch

    def drawn(self, n: int, trials: int) -> Tensor:
        """The best of some random batches."""
        device = self.pool[0].device
        tried = [self.rng.choice(len(self.pool[0]), n, replace=False) for _ in range(trials)]
        batches = [torch.from_numpy(batch).to(device) for batch in tried]
        return max(batches, key=lambda batch: self.quality(self.fitted(batch, self.decay)))

    def at_worst(self, batch: Tensor) -> tuple[float, float]:
        """The quality with the weight decay of before or the one of cross-validation, whichever is worse."""
        other = choose_weight_decay(*self.with_batch(batch), self.n_classes, self.rng)
        return min(self.quality(self.fitted(batch, decay)) for decay in (self.decay, other))

    def with_batch(self, batch: Tensor) -> _Images:
        """The labeled images and a batch."""
        (x, y), (rows, labels) = self.known, self.pool
        return torch.cat([x, rows[batch]]), torch.cat([y, labels[batch]])

    def fitted(self, batch: Tensor, decay: float, start: Fitted | None = None) -> Fitted:
        """A layer."""
        return fit(*self.with_batch(batch), self.n_classes, decay, ROUGH, ITERATIONS, start or self.head)

    def quality(self, layer: Fitted) -> tuple[float, float]:
        """Accuracy on the test part, and the loss there with the sign turned."""
        x, y = self.test
        logits = x @ layer.weight.T + layer.bias
        return float((logits.argmax(1) == y).double().mean()), -float(cross_entropy(logits, y))


def _decay(head: Fitted, x: Tensor, y: Tensor) -> float:
    """The weight decay at which a layer is the best one of its direction."""
    error = _errors(head, x, y)
    implied = -float((head.weight * (error.T @ x)).sum() / len(x) / head.weight.square().sum().clamp(min=1e-30))
    return min(max(implied, GRID[-1]), GRID[0])


def _errors(layer: Fitted, x: Tensor, y: Tensor) -> Tensor:
    """Probabilities less the labels, `[m, K]`: derivatives of the cross entropy by the logits."""
    probabilities = (x @ layer.weight.T + layer.bias).softmax(1)
    return probabilities.sub_(one_hot(y, probabilities.shape[1]))


def _gains(layer: Fitted, decay: float, known: _Images, test: _Images, pool: _Images) -> Tensor:
    """How fast the loss on the test part falls with the weight of each image of the pool, `[M]`."""
    x = known[0]
    p = (x @ layer.weight.T + layer.bias).softmax(1)
    error = _errors(layer, *test)

    def curvature(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The Hessian of the fit, times a layer."""
        logits = (x @ weight.T + bias) * p
        logits -= p * logits.sum(1, keepdim=True)
        return logits.T @ x / len(x) + decay * weight, logits.mean(0)

    weight, bias = _solved(curvature, error.T @ test[0] / len(error), error.mean(0))
    return (_errors(layer, *pool) * (pool[0] @ weight.T + bias)).sum(1)


def _solved(
    curvature: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """The layer whose product with the curvature is a given one, by conjugate gradients."""

    def inner(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
        return sum(float((a * b).sum()) for a, b in zip(one, other, strict=True))

    found, left = [torch.zeros_like(weight), torch.zeros_like(bias)], [weight.clone(), bias.clone()]
    along, first = [weight, bias], inner(left, left)
    squared = first
    for _ in range(SOLVER_STEPS):
        if squared <= SOLVED**2 * first:
            break
        bent = curvature(along[0], along[1])
        step = squared / inner(along, bent)
        found = [a + step * b for a, b in zip(found, along, strict=True)]
        left = [a - step * b for a, b in zip(left, bent, strict=True)]
        before, squared = squared, inner(left, left)
        along = [a + squared / before * b for a, b in zip(left, along, strict=True)]
    return found[0], found[1]
