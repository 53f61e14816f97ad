"""A strategy tried before anything trains: it may be the user's own, and a mistake would show after the first fit."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_lightning.acquisition import ceiling
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy, StrategyError, choose
from al_lightning.config.plan import Plan
from al_lightning.config.targets import public
from al_lightning.data.images import ImageData
from al_lightning.errors import ConfigError
from al_lightning.models.classifier import Classifier
from al_lightning.models.learner import Committee, Learner, Scoring

CANDIDATES = 128  # that a strategy is tried on, where it needs no more
LABELED = 20  # beside them


def try_strategy(
    strategy: Strategy,
    node: dict[str, Any],
    model: Classifier,
    data: ImageData,
    plan: Plan,
    committee: Committee | None,
) -> bool:
    """Let a strategy choose 1, 3 and as many images as it will have to, among a few with random features.

    Args:
        strategy: made from the node.
        node: its settings, for its name and its clusters, which are held against the pool.
        model: that has not been trained.
        data: the images.
        plan: the rounds, with a query at least.
        committee: of models that have not been trained either.

    Returns:
        Whether it asked for samples of predictions.

    Raises:
        ConfigError: it cannot choose, or returns something other than was asked for.
    """
    if public(node["_target_"]) == ceiling.TARGET:
        if node["name"] != ceiling.NAME:  # by which the report knows it
            raise ConfigError(f"strategy.name={node['name']}: what ceiling chose has to bear its name")
        print(f"warning: {ceiling.NOT_ATTAINABLE}", file=sys.stderr)
    smallest, n_clusters = plan.n_candidates(plan.rounds - 1), _n_clusters(node)
    if n_clusters > smallest:
        raise ConfigError(
            f"al.n_clusters={n_clusters}: a strategy chooses from {smallest} images before the last query"
        )
    if 0 < n_clusters < len(data.classes):
        print(f"warning: al.n_clusters={n_clusters}: fewer than the {len(data.classes)} classes", file=sys.stderr)
    size = min(smallest, max(CANDIDATES, 2 * n_clusters))
    # A query of all candidates is tried only where the run may come to it.
    chosen = plan.query_size - plan.n_control
    most = chosen if size == smallest else min(chosen, size // 2)
    for n in sorted({1, min(3, most), most}):
        _choose(strategy, node["name"], _candidates(model, data, size, committee), n)
    tried = [_candidates(model, data, size, committee) for _ in range(2)]
    once, again = (_choose(strategy, node["name"], candidates, most) for candidates in tried)
    if once != again:
        print(
            f"warning: strategy={node['name']}: asked twice the same, it chose other images: a run with it cannot be "
            "repeated; let everything random come from candidates.rng",
            file=sys.stderr,
        )
    return tried[0].predictions.was_sampled


class _Untrained(Learner):
    """Answers with random features, the same ones for the same images, without looking at any."""

    def _batches(
        self, indices: Tensor, then: Callable[[Tensor], Tensor], begin: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        rng = np.random.default_rng(int(indices[0]))
        size = len(indices), self.model.dropped[0][1].in_features
        yield 0, then(torch.from_numpy(rng.random(size, dtype=np.float32)))


def _candidates(model: Classifier, data: ImageData, size: int, committee: Committee | None) -> Candidates:
    """The last images, so that no position among them is one of their indices as long as they are a small part.

    The first few are labeled; the labels are drawn.
    """
    rng = np.random.default_rng(0)
    indices = data.there.nonzero().squeeze(1)[-size:]
    n_labeled = min(LABELED, len(data.pool) - size)
    labeled = torch.arange(n_labeled), torch.from_numpy(rng.integers(len(data.classes), size=n_labeled))
    embedding = data.embedding.pool if data.embedding else None
    return Candidates(_Untrained(model, data.inputs[0], Scoring(size), committee), indices, rng, labeled, embedding)


def _choose(strategy: Strategy, name: str, candidates: Candidates, n: int) -> list[int]:
    try:
        with torch.inference_mode():
            return choose(strategy, candidates, n, seed=0).indices.tolist()
    except StrategyError as error:
        raise ConfigError(f"strategy={name}: asked for {n} of {len(candidates)} images: {error}") from error


def _n_clusters(node: Any) -> int:
    """The largest number of clusters in a strategy's settings, 0 where there is none."""
    if not isinstance(node, dict):
        return 0
    own = node.get("n_clusters", 0)
    return max([own if isinstance(own, int) else 0, *map(_n_clusters, node.values())])
