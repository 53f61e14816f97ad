"""MaxHerding and UHerding: a batch that covers the pool, or what is uncertain in it, under a smooth kernel."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.blocks import ROUNDING, blocks, squared_distances, squared_lengths
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import drawn_order, highest_lazily
from al_lightning.acquisition.select import Query

SUMMED = 64  # rounding errors that a gain may be off by


def maxherding(candidates: Candidates, n: int, *, sigma: Annotated[float, Field(ge=1e-3)] = 1.0) -> Query:
    """Asks for the images that, one after the other, raise the generalized coverage of the pool the most.

    Formula:
        Coverage of a set S: C(S) = mean over all images x, labeled or not, of max over s in S of k(x, s), with
        k(x, s) = exp(-|x - s|^2 / sigma^2) on unit rows. S begins with the labeled images; each time the image joins
        it for which C grows the most.

    Source:
        Bae, Noh and Sutherland 2024, "Generalized Coverage for More Robust Low-Budget Active Learning", MaxHerding; its
        kernel, and sigma = 1 for all data sets. The greedy choice is exact, and lazy: Minoux 1978, "Accelerated Greedy
        Algorithms for Maximizing Submodular Set Functions".

    Cost:
        Time O(M^2 D) for the first gains and O(L M D) for what is covered, then O(n M D) at least; without labels, the
        first few choices change all gains, which costs O(M^2 D) a few times more. Memory O((M + L) D).

    Use when:
        There are few labels or none: no model is needed, and the result depends little on sigma.

    Avoid when:
        The budget is large: what the model knows already is covered like all else.

    Args:
        candidates: M images, and L labeled ones.
        n: at most M.
        sigma: width of the kernel; unit rows are at most 2 apart.
    """
    rows = candidates.representation
    return _herded(candidates, n, rows.new_ones(len(rows)), rows.new_tensor(sigma).square())


def uherding(candidates: Candidates, n: int, *, temperature: Annotated[float, Field(ge=1e-3)] = 1.0) -> Query:
    """Asks for the images that, one after the other, raise the coverage of uncertain images the most.

    Formula:
        Uncertainty coverage of a set S: C(S) = mean over all images x of U(x) max over s in S of k(x, s), with
        k(x, s) = exp(-|x - s|^2 / sigma^2) on unit rows and U(x) = 1 - (p1 - p2), p1 and p2 being the two highest
        probabilities of softmax(logits / temperature). S begins with the labeled images. sigma is the smallest distance
        between two different labeled images, and so shrinks as labels come; where there are no two, 1.

    Source:
        Bae, Oliveira and Sutherland 2025, "Uncertainty Herding: One Active Learning Method for All Label Budgets",
        algorithm 1, with margins as uncertainty, and its adaptation of sigma. Left out: the paper finds the temperature
        each round, by the calibration error on a part of the labels for a model trained on the others. A strategy
        trains no model, and the labels that the model was fitted to say nothing of its calibration: the temperature is
        a setting, 1 for the probabilities as they are. The higher it is, the closer the choice is to MaxHerding's.

    Cost:
        Time O(M^2 D) for the first gains, O(L M D + L^2 D) for what is covered and sigma, then O(n M D) at least.
        Memory O((M + L) D).

    Use when:
        There is a model, be the budget small or large: with few labels it covers, with many it asks where the model is
        uncertain.

    Avoid when:
        The model is sure of all, right or wrong, as one is that fits few labels: set a temperature above 1 then. Two
        labeled images are nearly the same: sigma is their distance, and the choice that of the margin alone.

    Args:
        candidates: M images, and L labeled ones.
        n: at most M.
        temperature: of the probabilities.
    """
    best = (candidates.log_probabilities / temperature).log_softmax(1).topk(2, dim=1).values
    uncertainty = best[:, 1].exp() - torch.expm1(best[:, 0])  # near 0, expm1 has more digits than 1 - p
    return _herded(candidates, n, uncertainty, _smallest(candidates.labeled.representation))


def _smallest(rows: Tensor) -> Tensor:
    """The smallest squared distance between two different rows, a scalar; 1 where there are no two."""
    smallest = rows.new_tensor(torch.inf)
    rows = rows.unique(dim=0) if len(rows) else rows
    for block in blocks(len(rows) if len(rows) > 1 else 0, max(rows.shape)):
        squared = squared_distances(rows[block], rows)
        squared.diagonal(block.start)[: block.stop - block.start] = torch.inf
        # Anew, by differences: small ones have no digits in a matrix product.
        differences = rows[block] - rows[squared.argmin(1)]
        squared = differences.square().sum(1)
        smallest = smallest.minimum(torch.where(squared > 0, squared, torch.inf).amin())  # 0: too small for a number
    return torch.where(smallest.isinf(), 1.0, smallest)


def _herded(candidates: Candidates, n: int, weights: Tensor, squared_sigma: Tensor) -> Query:
    """The greedy choice; labeled images are no part of the mean, as they are covered wholly from the start.

    A gain only falls as S grows, so that an old one bounds a new one.

    Args:
        candidates: M images, and those in S.
        n: at most M.
        weights: `float [M]`, how much it counts that an image is covered.
        squared_sigma: of the kernel.
    """
    rows, labeled = candidates.representation, candidates.labeled.representation
    place = drawn_order(len(rows), candidates.rng, rows.device)
    lengths = squared_lengths(rows)
    # By so much a kernel may be wrong: what is covered to the last digits gains nothing, whatever rounding says.
    rounding = ROUNDING * torch.finfo(rows.dtype).eps / squared_sigma

    def kernel(others: Tensor) -> Tensor:
        """Of rows `[m, D]` and all candidates, `[m, M]`."""
        squared = torch.addmm(lengths, others, rows.T, alpha=-2).add_(squared_lengths(others)[:, None])
        return squared.clamp_(min=0).div_(-squared_sigma).exp_()

    def gains(at: Tensor) -> Tensor:
        """By how much the coverage grows with each of some images, by their positions `int64 [m]`."""
        found = torch.empty_like(lengths[: len(at)])
        for block in blocks(len(at), max(rows.shape)):
            similar = kernel(rows[at[block]])
            similar.scatter_(1, at[block, None], 1)  # to itself, whatever rounding says
            found[block] = similar.sub_(covered * (1 + rounding)).clamp_(min=0) @ weights
        return found

    covered = torch.zeros_like(lengths)
    for block in blocks(len(labeled), max(rows.shape)):
        covered = covered.maximum(kernel(labeled[block]).amax(0))
    bounds, chosen = gains(torch.arange(len(rows), device=rows.device)), []
    for _ in range(n):
        # What two sums of so many terms differ by is rounding.
        slack = float(bounds.max()) * torch.finfo(rows.dtype).eps * SUMMED
        chosen.append(best := highest_lazily(bounds, place, gains, slack))
        bounds[best] = -torch.inf
        covered = covered.maximum(kernel(rows[best : best + 1])[0])
    return Query(candidates.indices[chosen])
