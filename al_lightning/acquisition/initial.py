"""What is asked before there is a model."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy, choose
from al_lightning.acquisition.herding import maxherding
from al_lightning.acquisition.kmeans import nearest_to_centers
from al_lightning.acquisition.probcover import probcover
from al_lightning.acquisition.select import Query, uniform
from al_lightning.acquisition.typiclust import typiclust
from al_lightning.config.plan import Plan
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData
from al_lightning.data.split import in_turn
from al_lightning.streams import Stream, generator, torch_seed

BLIND = ("random", "balanced")  # the values of `al.initial` that look at no image


def draw(pool: PoolDataModule, plan: Plan) -> tuple[Tensor, Tensor]:
    """Draw the validation set, and choose the initial set as `al.initial` says: the same for every strategy of a seed.

    Images whose labels are given are in the initial set, all of them; it is filled up with others.

    Returns:
        Data set indices of both, sorted.
    """
    val, rest = pool.draw_validation(plan.val_size)
    given, rng = pool.data.given.nonzero().squeeze(1), generator(pool.seed, Stream.INITIAL)
    n = plan.initial_size - len(given)
    if not n:
        return val, given
    if plan.initial not in BLIND and len(rest) > (most := max(n, pool.pool_sample)):
        rest = rest[np.sort(rng.choice(len(rest), most, replace=False))]
    embedding = pool.data.embedding.pool if pool.data.embedding else None
    candidates = Candidates(None, rest, rng, (given, pool.data.pool.labels[given]), embedding)
    seed = torch_seed(pool.seed, Stream.GLOBAL)
    chosen = choose(first_strategy(plan.initial, pool.data), candidates, n, seed)
    return val, torch.cat([given, chosen.indices]).sort().values


def first_strategy(initial: str, data: ImageData) -> Strategy:
    """How a query is chosen while there is no model.

    Args:
        initial: `al.initial`.
        data: the images.
    """
    strategies: dict[str, Strategy] = {
        "random": uniform,
        "balanced": partial(balanced, labels=data.pool.labels),
        "typiclust": typiclust,
        "probcover": partial(probcover, n_clusters=max(2, len(data.classes))),
        "maxherding": maxherding,
        "kmeans": central,
    }
    return strategies[initial]


def balanced(candidates: Candidates, n: int, *, labels: Tensor) -> Query:
    """As many of every class as that goes, at random within a class. It takes labels that nobody has paid for.

    Args:
        candidates: M images.
        n: at most M.
        labels: `int64 [N]`, of all images of the data set.
    """
    order = candidates.rng.permutation(candidates.indices.cpu().numpy())
    return Query(torch.from_numpy(in_turn(order, labels.numpy(), n)))


def central(candidates: Candidates, n: int) -> Query:
    """Of n clusters of the embedding by k-means, the image nearest to each centroid."""
    return Query(candidates.indices[nearest_to_centers(candidates.representation, n, candidates.rng)])
