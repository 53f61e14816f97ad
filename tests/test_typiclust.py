"""TypiClust held against its definition, given the clusters of k-means."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from al_lightning.acquisition.typiclust import _centroids, typiclust
from al_lightning.testing import Example, make_example


def by_definition(pool: Example, n: int, max_clusters: int, seed: int) -> list[int]:
    """Images one after the other, each time from all clusters anew."""
    rng, candidates = np.random.default_rng(seed), pool.candidates()
    rows = torch.cat([candidates.representation, candidates.labeled.representation])
    n_candidates, k = len(candidates), min(len(pool.labeled) + n, max_clusters, len(candidates))
    centroids = _centroids(candidates.representation.clone(), k, rng)
    # Centroids can coincide: the first of them.
    assigned = [int(np.argmin([round(float(np.linalg.norm(row - c)), 12) for c in centroids])) for row in rows]
    place, order = rng.permutation(n_candidates), rng.permutation(k)
    has_label = [i >= n_candidates for i in range(len(rows))]
    chosen: list[int] = []
    while len(chosen) < n:
        best = None
        for c in range(k):
            inside = [i for i in range(len(rows)) if assigned[i] == c]
            left = [i for i in inside if not has_label[i]]
            key = (len(inside) < 5, len(inside) - len(left), -len(inside), order[c])
            if left and (best is None or key < best[0]):
                best = key, inside, left
        assert best
        typicality = {}
        for i in best[2]:
            distances = sorted(np.linalg.norm(rows[i] - rows[j]) for j in best[1] if j != i)[:20]
            typicality[i] = 1 / np.mean(distances) if distances else 0
        chosen.append(min(best[2], key=lambda i: (-typicality[i], place[i])))
        has_label[chosen[-1]] = True
    return pool.indices[chosen].tolist()


@pytest.mark.parametrize(
    ("n_candidates", "n_labeled", "n", "max_clusters"),
    [(60, 20, 10, 500), (60, 20, 60, 7), (90, 0, 3, 500), (60, 5, 60, 500), (200, 30, 40, 500), (40, 10, 40, 1)],
)
def test_it_chooses_by_the_definition(n_candidates: int, n_labeled: int, n: int, max_clusters: int) -> None:
    for seed in range(3):
        pool = make_example(n_candidates, n_labeled, seed=seed)
        chosen = typiclust(pool.candidates(seed), n, max_clusters=max_clusters).indices.tolist()
        assert chosen == by_definition(pool, n, max_clusters, seed)


def clouds(sizes: list[int], labeled: list[int]) -> tuple[Example, list[int]]:
    """Clouds of directions, far apart; the first of each that is to have a label has one. And the cloud of each row."""
    rng, n = np.random.default_rng(0), sum(sizes)
    cloud = np.repeat(np.arange(len(sizes)), sizes)
    rows = torch.from_numpy(np.eye(len(sizes))[cloud] + 0.05 * rng.normal(size=(n, len(sizes))))
    has = torch.tensor([int((cloud == c).argmax()) for c in labeled], dtype=torch.int64)
    others = torch.tensor([i for i in range(n) if i not in has])
    labels = torch.zeros_like(has)
    return replace(
        make_example(), rows=rows, weight=rows[:2], indices=others, labeled=has, labels=labels
    ), cloud.tolist()


def test_the_largest_clusters_without_a_label_come_first() -> None:
    pool, cloud = clouds([20, 30, 10, 40, 15], labeled=[3, 2])
    chosen = typiclust(pool.candidates(), 3).indices.tolist()
    assert [cloud[i] for i in chosen] == [1, 0, 4]


def test_a_cluster_of_less_than_five_comes_when_all_others_are_used_up() -> None:
    pool, cloud = clouds([5, 4, 6], labeled=[])
    chosen = typiclust(pool.candidates(), 15, max_clusters=3).indices.tolist()
    assert [cloud[i] for i in chosen] == [2, 0] * 5 + [2] + [1] * 4


def test_equal_images_are_one_cluster_and_equally_typical() -> None:
    pool = make_example()
    pool = replace(pool, rows=pool.rows[:1].repeat(len(pool.rows), 1)).to(torch.float32)
    firsts = {int(typiclust(pool.candidates(seed), 1).indices) for seed in range(20)}
    assert len(firsts) > 10
