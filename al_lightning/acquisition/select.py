"""From a pool to a query of n images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.pick import first
from al_lightning.acquisition.stochastic import Noise, perturbed
from al_lightning.contract import ContractError, expect

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Query:
    """The images that a strategy asks for.

    Attributes:
        indices: `int64 [n]`, data set indices, the most wanted first, each once.
        scores: `float [n]`, or None where the strategy has none.
        pool_scores: `float [M]`, of all images that it chose from; likewise.

    Raises:
        ContractError: an attribute is not a tensor of that kind, an image is named twice, or a score is not finite.
    """

    indices: Tensor
    scores: Tensor | None = None
    pool_scores: Tensor | None = None

    def __post_init__(self) -> None:
        expect("Query.indices", self.indices, "an int64 tensor [n] of data set indices", (torch.int64,), 1)
        n, distinct = len(self.indices), len(self.indices.unique())
        if distinct < n:
            raise ContractError(f"Query.indices names only {distinct} different images in {n} entries")
        if self.scores is not None:
            check_scores("Query.scores", self.scores, n)
        if self.pool_scores is not None:
            check_scores("Query.pool_scores", self.pool_scores)

    def check(self, candidates: Candidates, n: int) -> None:
        """Hold the query against what was asked for.

        Raises:
            ContractError: it does not ask for n of the candidates, or has scores of another number of images.
        """
        if len(self.indices) != n:
            raise ContractError(f"it returned {len(self.indices)} of {n} images")
        outside = self.indices[~torch.isin(self.indices, candidates.indices.to(self.indices.device))]
        if len(outside):
            raise ContractError(
                f"it returned {int(outside[0])}, which is not in candidates.indices: Query.indices are taken from "
                "those, they are not positions among the candidates"
            )
        if self.pool_scores is not None:
            check_scores("Query.pool_scores", self.pool_scores, len(candidates))
            own = self.pool_scores[torch.searchsorted(candidates.indices, self.indices.to(candidates.indices.device))]
            if self.scores is not None and not torch.equal(own, self.scores.to(own)):
                raise ContractError("Query.scores are not those that Query.pool_scores has for these images")


def check_scores(name: str, scores: Any, n: int | None = None) -> None:
    """Refuse what is not a finite number an image.

    Args:
        name: of the scores, for the message.
        scores: anything.
        n: how many images there are; None: any number.

    Raises:
        ContractError: it is not a float tensor `[n]`, or a score is infinite or not a number.
    """
    expect(name, scores, wanted := f"a float tensor [{'M' if n is None else n}], a score an image", FLOATS, 1)
    if n is not None and len(scores) != n:
        raise ContractError(f"{name} is of {len(scores)} images; it has to be {wanted}")
    if odd := int((~scores.isfinite()).sum()):
        raise ContractError(f"{odd} of {len(scores)} scores are infinite or not a number")


def top(
    candidates: Candidates,
    n: int,
    *,
    score: Callable[[Candidates], Tensor],
    noise: Noise | None = None,
    beta: Annotated[float, Field(gt=0)] = 1.0,
) -> Query:
    """The n images of the highest score. Ties break by an order drawn anew each round, never by position.

    Args:
        candidates: M images.
        n: at most M.
        score: of each of them.
        noise: draws by the scores, see :func:`al_lightning.acquisition.stochastic.perturbed`; None: the highest.
        beta: likewise.

    Raises:
        ContractError: the scores are not a float tensor `[M]` of finite numbers.
    """
    scores = score(candidates)
    check_scores(f"what {_name(score)} returned", scores, len(candidates))
    order = torch.from_numpy(candidates.rng.permutation(len(candidates))).to(scores.device)
    if noise:
        order = first(scores, order, len(order))
        scores_drawn = perturbed(scores[order], noise, beta, candidates.rng)
        best = order[scores_drawn.sort(descending=True, stable=True).indices[:n]]
    else:
        best = first(scores, order, n)
    return Query(candidates.indices[best], scores[best], scores)


def _name(score: Callable[[Candidates], Tensor]) -> str:
    function = getattr(score, "func", score)  # a strategy's settings are bound to it
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__name__)}"


def uniform(candidates: Candidates, n: int) -> Query:
    """N images uniformly at random, what every other strategy has to beat.

    Formula: n of the M images without putting back; each subset of n with the same probability.
    Source: none; the baseline of all comparisons, and the only strategy whose labels are a fair sample of the pool.
    Cost: O(M) time and memory; M images.
    Use when: a test set, an estimate or a study of the pool is to come of the same labels; or nothing beats it.
    Avoid when: labels cost much and a strategy is known to do better on such data, or classes are rare.

    Args:
        candidates: M images.
        n: at most M.
    """
    drawn = torch.from_numpy(candidates.rng.choice(len(candidates), n, replace=False))
    return Query(candidates.indices[drawn.to(candidates.indices.device)])
