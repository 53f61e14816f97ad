"""BAIT: the batch whose Fisher information covers that of the pool."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.blocks import blocks
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn_order, highest, highest_lazily
from al_lightning.acquisition.select import Query
from al_lightning.errors import ConfigError

MAX_PARAMETERS = 256
AT_ONCE = 64  # images at least, which are little beside the matrices of all parameters


def bait(candidates: Candidates, n: int, *, regularization: Annotated[float, Field(ge=1e-6)] = 1.0) -> Query:
    """The batch after which the last layer is expected to be known best where the pool needs it.

    Formula: minimize tr(M^-1 F) over batches S, with M = lambda I + sum of I(x) over labeled images and S, F the mean
        of I(x) over the candidates, and I(x) = (diag(p) - p p^T) (x) z z^T the Fisher information of the last layer:
        p the class probabilities of x, (x) the Kronecker product, and z the features of x on the d directions of the
        largest mean square over the candidates (principal components without centering), d = 256 // K, at most D.
        2 n images are added one after the other, each time the one that leaves the smallest trace, and n of them are
        removed again, likewise. With I(x) = U U^T, the trace changes by
        -+ tr((1 +- U^T M^-1 U)^-1 U^T M^-1 F M^-1 U), inverses of K x K matrices (Woodbury). Without the inverse it is
        what an added image gains at most: only those that could be the best are looked at, which changes no choice.
    Source: Ash et al. 2021, "Gone Fishing: Neural Active Learning with Fisher Embeddings", algorithm 1. It differs in:
        the projection; lambda, which is `regularization` times the mean eigenvalue of F, so that the scale of the
        features does not matter; and that a labeled image counts as much as a chosen one, where the published code
        weighs them by n and the number of labels.
    Cost: time O(M D^2 + n M (d K)^2 + m (d^2 K^2 + K^3) + n (d K)^3), with m images looked at in all, from n to 2 n M:
        few where much is known; memory O(D^2 + (d K)^2) beside features and predictions.
    Use when: a batch should be both informative and diverse, and there are few classes.
    Avoid when: there are many classes: it sees d = 25 directions of the features with 10 classes, 2 with 100, 1 with
        more than 128, and more than 256 are refused. Or pool and query are large and time matters: each of 2 n steps
        goes over the pool.

    Args:
        candidates: M images.
        n: at most M.
        regularization: at least 1e-6.

    Raises:
        ConfigError: more than 256 classes.
    """
    p = candidates.log_probabilities.exp()
    n_classes = p.shape[1]
    if n_classes > MAX_PARAMETERS:
        raise ConfigError(
            f"strategy=bait: it takes at most {MAX_PARAMETERS} classes, and there are {n_classes}; choose another one"
        )
    place = drawn_order(len(candidates), candidates.rng, p.device)
    directions = _directions(candidates.features, MAX_PARAMETERS // n_classes)
    z, labeled = candidates.features @ directions, candidates.labeled
    target = _fisher(z, p) / len(z)
    scale = target.diagonal().mean()
    # Where every prediction is certain, there is no information, and all images are alike.
    known = torch.eye(len(target)).to(target) * (regularization * scale if scale > 0 else 1)
    if len(labeled):
        known += _fisher(labeled.features @ directions, labeled.log_probabilities.exp())
    chosen: list[int] = []
    while len(chosen) < min(2 * n, len(z)):
        inverse = torch.linalg.inv(known)
        sandwich = inverse @ target @ inverse
        bounds = _bounds(z, p, sandwich)
        bounds[chosen] = -torch.inf

        def falls(at: Tensor, inverse: Tensor = inverse, sandwich: Tensor = sandwich) -> Tensor:
            return _changes(z[at], p[at], inverse, sandwich)

        at = highest_lazily(bounds, place, falls, _slack(bounds))
        known += _fisher(z[at, None], p[at, None])
        chosen.append(at)
    while len(chosen) > n:
        inverse = torch.linalg.inv(known)
        # Few images, in double precision: where one of them is most of what is known, digits are lost.
        rises = _changes(z[chosen].double(), p[chosen].double(), inverse, inverse @ target @ inverse, sign=-1)
        at = chosen.pop(highest(-rises, place[chosen], _slack(rises)))
        known -= _fisher(z[at, None], p[at, None])
    return Query(candidates.indices[chosen])


def _slack(values: Tensor) -> float:
    return float(values.max()) * torch.finfo(values.dtype).eps ** 0.75


def _directions(features: Tensor, n: int) -> Tensor:
    """The n directions of the largest mean square, `[D, d]`; all where there are fewer."""
    moment = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64, device=features.device)
    for rows in blocks(len(features), features.shape[1]):
        moment += features[rows].T @ features[rows]
    return torch.linalg.eigh(moment).eigenvectors[:, -n:].to(features)


def _fisher(z: Tensor, p: Tensor) -> Tensor:
    """Sum of the Fisher information of images, `float64 [K d, K d]`, parameters by class and then by direction."""
    d, n_classes = z.shape[1], p.shape[1]
    fisher = torch.zeros(n_classes * d, n_classes * d, dtype=torch.float64, device=z.device)
    by_class = fisher.view(n_classes, d, n_classes, d).diagonal(dim1=0, dim2=2)  # [d, d, K]
    for rows in blocks(len(z), 8 * n_classes * d, least=AT_ONCE):
        features = z[rows].double()
        weighted = (p[rows, :, None] * features[:, None]).flatten(1)
        fisher -= weighted.T @ weighted
        by_class += (weighted.T @ features).view(n_classes, d, d).permute(1, 2, 0)
    return fisher


def _bounds(z: Tensor, p: Tensor, sandwich: Tensor) -> Tensor:
    """By how much the trace falls at most with each image, `[M]`: tr(U^T M^-1 F M^-1 U).

    Args:
        z: `[M, d]`.
        p: `[M, K]`.
        sandwich: `[K d, K d]`, M^-1 F M^-1.
    """
    d, n_classes = z.shape[1], p.shape[1]
    by_class = sandwich.view(n_classes, d, n_classes, d).diagonal(dim1=0, dim2=2).permute(0, 2, 1).reshape(d, -1).to(z)
    full, bounds = sandwich.to(z), z.new_empty(len(z))
    for rows in blocks(len(z), 8 * n_classes * d, least=AT_ONCE):
        weighted = (p[rows, :, None] * z[rows, None]).flatten(1)
        bounds[rows] = ((z[rows] @ by_class).addmm_(weighted, full, alpha=-1) * weighted).sum(1)
    # They are rounded otherwise than what they bound.
    return bounds.clamp_(min=0) * (1 + torch.finfo(z.dtype).eps ** 0.5)


def _changes(z: Tensor, p: Tensor, inverse: Tensor, sandwich: Tensor, sign: int = 1) -> Tensor:
    """By how much the trace changes with each image, `[m]`: falls where it is added (sign 1), rises where it goes (-1).

    Args:
        z: `[m, d]`.
        p: `[m, K]`.
        inverse: `[K d, K d]`, M^-1.
        sandwich: likewise, M^-1 F M^-1.
        sign: of what is done with an image.
    """
    d, n_classes = z.shape[1], p.shape[1]
    both = torch.stack([inverse, sandwich]).view(2, n_classes, d, n_classes, d)
    both = both.permute(2, 4, 0, 1, 3).reshape(d * d, -1).to(z)  # quadratic forms in z, for each pair of classes
    one, changes = torch.eye(n_classes).to(z), z.new_empty(len(z))
    for rows in blocks(len(z), max(d * d, 2 * n_classes**2), least=AT_ONCE):
        forms = (z[rows, :, None] * z[rows, None]).flatten(1) @ both
        forms = forms.view(-1, 2, n_classes, n_classes)
        # U = A (x) z with A = (1 - p 1^T) diag(sqrt p): A A^T = diag(p) - p p^T.
        share, root = p[rows, None], p[rows].sqrt()
        middle = (forms @ share[..., None]).squeeze(3)
        forms = forms - middle[..., None] - middle[..., None, :] + (middle * share).sum(2)[..., None, None]
        forms = forms * (root[:, :, None] * root[:, None])[:, None]
        solved = torch.linalg.solve(one + sign * forms[:, 0], forms[:, 1])
        changes[rows] = solved.diagonal(dim1=1, dim2=2).sum(1)
    return changes
