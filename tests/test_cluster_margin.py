"""Cluster-Margin against naive agglomeration and turns taken one by one."""

import math

import numpy as np
import pytest
import torch

from al_lightning.acquisition import blocks
from al_lightning.acquisition import cluster_margin as module
from al_lightning.acquisition.cluster_margin import cluster_margin
from al_lightning.testing import Example, make_example


def agglomerated(rows: np.ndarray, n_clusters: int) -> list[list[int]]:
    """Average linkage: the two clusters of the smallest mean distance become one, until there are so many."""
    clusters = [[i] for i in range(len(rows))]
    while len(clusters) > n_clusters:
        pairs = [(a, b) for a in range(len(clusters)) for b in range(a)]
        a, b = min(
            pairs,
            key=lambda pair: np.mean(
                [math.dist(rows[i], rows[j]) for i in clusters[pair[0]] for j in clusters[pair[1]]]
            ),
        )
        clusters[b] += clusters.pop(a)
    return clusters


def slow_cluster_margin(pool: Example, n: int, factor: int, size: int, seed: int) -> list[int]:
    candidates = pool.candidates(seed)
    margins = [sorted(p)[-1] - sorted(p)[-2] for p in candidates.log_probabilities.exp().tolist()]
    candidates.rng.permutation(len(candidates))  # the order among equal margins
    smallest = sorted(range(len(margins)), key=lambda i: margins[i])[: factor * n]
    drawn = candidates.rng.permutation(len(smallest)).tolist()
    clusters = agglomerated(candidates.features.numpy()[smallest], -(-len(smallest) // size))
    left = [sorted(cluster, key=drawn.index) for cluster in clusters]
    left.sort(key=lambda cluster: (len(cluster), drawn.index(cluster[0])))
    chosen: list[int] = []
    while len(chosen) < n:
        for cluster in left:
            if cluster and len(chosen) < n:
                chosen.append(smallest[cluster.pop(0)])
    return chosen


@pytest.mark.parametrize("block", [2**24, 70])
@pytest.mark.parametrize(("n", "factor", "size"), [(6, 5, 10), (6, 5, 2), (9, 4, 5), (12, 5, 4)])
def test_choices_are_those_of_naive_agglomeration(
    n: int, factor: int, size: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    for seed in range(4):
        pool = make_example(seed=seed)
        query = cluster_margin(pool.candidates(seed), n, margin_factor=factor, cluster_size=size)
        wanted = slow_cluster_margin(pool, n, factor, size, seed)
        assert query.indices.tolist() == pool.indices[wanted].tolist()


def test_so_many_images_are_clustered_at_most_and_a_larger_query_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLUSTERED", 20)
    pool = make_example()
    top = pool.candidates().log_probabilities.exp().topk(2).values
    by_margin = pool.indices[(top[:, 0] - top[:, 1]).argsort()]
    assert torch.isin(cluster_margin(pool.candidates(), 12).indices, by_margin[:20]).all()
    assert not torch.isin(cluster_margin(pool.candidates(), 12).indices, by_margin[:12]).all()
    for n in (20, 35):
        assert cluster_margin(pool.candidates(), n).indices.tolist() == by_margin[:n].tolist()


def test_equal_images_are_never_in_two_clusters() -> None:
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 50)) * 1e3)
    assert len(np.unique(module._clusters(rows.repeat(10, 1), 10))) == 4
    assert len(np.unique(module._clusters(torch.zeros(5, 3).double(), 2))) == 1
