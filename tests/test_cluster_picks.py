"""Strategies that take the image nearest to the center of each cluster, against loops over the same centroids."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import _kmeans
from torch import Tensor
from torch.nn.functional import cross_entropy

from al_lightning.acquisition.alfa_mix import alfa_mix
from al_lightning.acquisition.drop_query import drop_query
from al_lightning.acquisition.kmeans import _tolerance, cluster, nearest_to_centers
from al_lightning.acquisition.kmeans_center import kmeans_center
from al_lightning.acquisition.margin_diverse import margin_diverse
from al_lightning.testing import Example, make_example


def picks(rows: Tensor, n: int, rng: np.random.Generator, weights: Tensor | None = None) -> list[int]:
    """Of each cluster the row nearest to its centroid; of a cluster of two, which are as near, that of lower place."""
    place = rng.permutation(len(rows))
    centroids = cluster(rows.clone(), n, rng, weights).tolist()
    members: dict[int, list[int]] = {}
    for i, row in enumerate(rows.tolist()):
        members.setdefault(min(range(n), key=lambda k: math.dist(row, centroids[k])), []).append(i)
    return [min(of, key=lambda i: (round(math.dist(rows[i], centroids[k]), 8), place[i])) for k, of in members.items()]


def asked(pool: Example, kept: list[int], n: int, rng: np.random.Generator, weights: Tensor | None = None) -> list[int]:
    """Data set indices, from the positions that are kept: representatives of these, or all and others at random."""
    place = rng.permutation(len(pool.indices))
    if len(kept) > n:
        kept = [kept[i] for i in picks(pool.rows[pool.indices[kept]], n, rng, weights)]
    rest = [i for i in np.argsort(place).tolist() if i not in kept]
    return sorted(pool.indices[[*kept, *rest][:n]].tolist())


def test_kmeans_center_takes_the_image_nearest_to_each_centroid() -> None:
    for seed in range(5):
        pool = make_example(seed=seed)
        twin = picks(pool.rows[pool.indices], 12, np.random.default_rng(seed))
        chosen = kmeans_center(pool.candidates(seed), 12).indices.tolist()
        assert sorted(chosen) == sorted(pool.indices[twin].tolist())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_of_a_cluster_of_two_the_seed_decides(dtype: torch.dtype) -> None:
    """Rounding makes one of them nearer, always the same one."""
    rng = np.random.default_rng(0)
    middles, sides = 100 * rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    rows = torch.from_numpy(np.concatenate([middles + sides, middles - sides])).to(dtype)
    chosen = [nearest_to_centers(rows.clone(), 6, np.random.default_rng(seed)) for seed in range(100)]
    seen = Counter(torch.cat(chosen).tolist())
    assert all(seen[i] + seen[i + 6] == 100 for i in range(6))
    assert all(25 < seen[i] < 75 for i in range(12)), seen


def test_where_there_are_fewer_different_images_than_clusters_each_kind_is_taken_before_one_comes_twice() -> None:
    pool = make_example()
    rows = pool.rows.clone()
    rows[pool.indices] = rows[pool.indices[torch.arange(60) % 4]]
    pool = replace(pool, rows=rows)
    for seed in range(10):
        at = torch.searchsorted(pool.indices, kmeans_center(pool.candidates(seed), 9).indices)
        assert sorted((at[:4] % 4).tolist()) == [0, 1, 2, 3]


def probabilities(pool: Example) -> list[list[float]]:
    return (pool.rows[pool.indices] @ pool.weight.T).softmax(1).tolist()


def informativeness(pool: Example) -> list[float]:
    best = [sorted(p)[-2:] for p in probabilities(pool)]
    return [1 - (first - second) for second, first in best]


@pytest.mark.parametrize("beta", [1, 3, 10])
def test_margin_diverse_clusters_the_lowest_margins_by_how_informative_they_are(beta: int) -> None:
    for seed in range(5):
        pool, rng = make_example(seed=seed), np.random.default_rng(seed)
        of = informativeness(pool)
        rng.permutation(60)  # the order of equal margins, of which there are none
        kept = sorted(sorted(range(60), key=lambda i: -of[i])[: beta * 8])
        weights = torch.tensor([of[i] for i in kept], dtype=torch.float64)
        chosen = margin_diverse(pool.candidates(seed), 8, beta=beta).indices.tolist()
        assert sorted(chosen) == asked(pool, kept, 8, rng, weights)


@pytest.mark.parametrize("mc_samples", [3, 4])
@pytest.mark.parametrize("n", [4, 40])
def test_drop_query_keeps_what_more_than_half_of_the_masks_change(n: int, mc_samples: int) -> None:
    halves = 0
    for seed in range(5):
        pool, rng = make_example(seed=seed), np.random.default_rng(seed)
        masks = rng.random((mc_samples, 8), dtype=np.float32) < 0.25
        kept = []
        for i, row in enumerate(pool.rows[pool.indices].numpy()):
            logits = pool.weight.numpy() @ row
            changed = sum((pool.weight.numpy() @ (row * mask / 0.25)).argmax() != logits.argmax() for mask in masks)
            halves += changed == mc_samples / 2
            kept += [i] if changed > mc_samples / 2 else []
        assert 4 < len(kept) < 40
        chosen = drop_query(pool.candidates(seed), n, mc_samples=mc_samples).indices.tolist()
        assert sorted(chosen) == asked(pool, kept, n, rng)
    assert mc_samples == 3 or halves, "without exactly half, nothing tells > from >="


def mixed_otherwise(pool: Example, epsilon: float) -> list[int]:
    """Positions whose predicted class an anchor changes: the definition, with the gradient by autograd."""
    anchors = [pool.rows[pool.labeled[pool.labels == label]].mean(0) for label in pool.labels.unique()]
    kept = []
    for i, row in enumerate(pool.rows[pool.indices]):
        h = row.clone().requires_grad_()
        logits = pool.weight @ h
        predicted = logits.argmax()
        cross_entropy(logits[None], predicted[None]).backward()
        assert h.grad is not None
        for anchor in anchors:
            size = epsilon / math.sqrt(len(row)) * math.dist(anchor, row)
            between = anchor - row
            alpha = torch.where(between == 0, 0, size * h.grad / h.grad.norm() / between)
            if (pool.weight @ (alpha * anchor + (1 - alpha) * row)).argmax() != predicted:
                kept.append(i)
                break
    return kept


@pytest.mark.parametrize("n", [4, 40])
def test_alfa_mix_keeps_what_an_anchor_changes(n: int) -> None:
    for seed in range(5):
        pool = make_example(seed=seed)
        rows, weight = pool.rows.clone(), pool.weight.clone()
        rows[:, 0], weight[:, 0] = 0, 2 * weight[:, 0]  # a feature that never is on, as after a ReLU
        pool = replace(pool, rows=rows, weight=weight)
        kept = mixed_otherwise(pool, 0.5)
        assert 4 < len(kept) < 40
        chosen = alfa_mix(pool.candidates(seed), n, epsilon=0.5).indices.tolist()
        assert sorted(chosen) == asked(pool, kept, n, np.random.default_rng(seed))


def test_alfa_mix_without_an_anchor_or_a_change_is_random() -> None:
    pool = make_example()
    unlabeled = replace(pool, labeled=pool.labeled[:0], labels=pool.labels[:0])
    indifferent = replace(pool, weight=torch.zeros_like(pool.weight))
    for each in (unlabeled, indifferent):
        seen = Counter(i for seed in range(60) for i in alfa_mix(each.candidates(seed), 20).indices.tolist())
        assert all(5 <= seen[i] <= 37 for i in pool.indices.tolist())


@pytest.mark.parametrize("shape", [(1000, 37), (60, 8), (2000, 130), (7, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_k_means_stops_where_scikit_learn_s_own_tolerance_has_it_stop(shape: tuple[int, int], dtype: type) -> None:
    rows = np.random.default_rng(0).normal(size=shape).astype(dtype)
    assert _tolerance(rows, 1e-4) == _kmeans._tolerance(rows, 1e-4)
