"""A strategy tried before anything trains: it may be the user's own, and a mistake would show after the first fit."""

import sys
from typing import Any

import numpy as np
import torch

from al_lightning.acquisition.choose import Strategy, StrategyError, choose
from al_lightning.acquisition.pool import Pool
from al_lightning.data.images import ImageData
from al_lightning.errors import ConfigError
from al_lightning.model import Classifier
from al_lightning.plan import Plan

CANDIDATES = 128  # that a strategy is tried on, where it needs no more


def try_strategy(strategy: Strategy, node: dict[str, Any], model: Classifier, data: ImageData, plan: Plan) -> None:
    """Let a strategy choose 1, 3 and as many images as it will have to, among a few with random features.

    Args:
        strategy: made from the node.
        node: its settings, for its name and its clusters, which are held against the pool.
        model: that has not been trained.
        data: the images.
        plan: the rounds, with a query at least.

    Raises:
        ConfigError: it cannot choose, or returns something other than was asked for.
    """
    smallest, n_clusters = plan.n_candidates(plan.rounds - 1), _n_clusters(node)
    if n_clusters > smallest:
        raise ConfigError(
            f"al.n_clusters={n_clusters}: a strategy chooses from {smallest} images before the last query"
        )
    if 0 < n_clusters < len(data.classes):
        print(f"warning: al.n_clusters={n_clusters}: fewer than the {len(data.classes)} classes", file=sys.stderr)
    size = min(smallest, max(CANDIDATES, 2 * n_clusters))
    # A query of all candidates is tried only where the run may come to it.
    most = plan.query_size if size == smallest else min(plan.query_size, size // 2)
    for n in sorted({1, min(3, most), most}):
        _choose(strategy, node["name"], _pool(model, data, size), n)
    once, again = (_choose(strategy, node["name"], _pool(model, data, size), most) for _ in range(2))
    if once != again:
        print(
            f"warning: strategy={node['name']}: asked twice the same, it chose other images: a run with it cannot be "
            "repeated; let everything random come from pool.rng",
            file=sys.stderr,
        )


def _pool(model: Classifier, data: ImageData, size: int) -> Pool:
    """The last images, so that no position among them is one of their indices as long as they are a small part."""
    rng = np.random.default_rng(0)
    indices = data.there.nonzero().squeeze(1)[-size:]
    pool = Pool(model, data.pool.images, indices, size, rng)
    pool.inputs = torch.from_numpy(rng.random((size, model.dropped[0][1].in_features), dtype=np.float32))
    return pool


def _choose(strategy: Strategy, name: str, pool: Pool, n: int) -> list[int]:
    try:
        with torch.inference_mode():
            return choose(strategy, pool, n, seed=0).indices.tolist()
    except StrategyError as error:
        raise ConfigError(f"strategy={name}: asked for {n} of {len(pool)} images: {error}") from error


def _n_clusters(node: Any) -> int:
    """The largest number of clusters in a strategy's settings, 0 where there is none."""
    if not isinstance(node, dict):
        return 0
    own = node.get("n_clusters", 0)
    return max([own if isinstance(own, int) else 0, *map(_n_clusters, node.values())])
