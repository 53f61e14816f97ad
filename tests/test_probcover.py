"""ProbCover held against its definition, with the whole graph, given the clusters of k-means."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from al_lightning.acquisition import probcover as module
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy
from al_lightning.acquisition.kmeans import cluster
from al_lightning.acquisition.pick import drawn_order, filled, highest
from al_lightning.acquisition.probcover import probcover
from al_lightning.acquisition.select import Query
from al_lightning.testing import Example, make_example


def by_definition(pool: Example, n: int, n_clusters: int, seed: int, n_balls: int) -> tuple[list[int], int]:
    """Images, and how many of them it took to cover all."""
    rng, candidates = np.random.default_rng(seed), pool.candidates()
    rows = torch.cat([candidates.representation, candidates.labeled.representation])
    n_candidates, size = len(candidates), len(rows)
    place = rng.permutation(n_candidates)
    centroids = cluster(candidates.representation.clone(), n_clusters, rng).numpy()
    balls = rng.choice(n_candidates, min(n_balls, n_candidates), replace=False)
    points = rows.numpy()
    distance = [[float(np.linalg.norm(x - y)) for y in points] for x in points]
    label = [int(np.argmin([np.linalg.norm(x - c) for c in centroids])) for x in points[:n_candidates]]
    others = [[j for j in range(n_candidates) if label[j] != label[i]] for i in range(n_candidates)]

    delta = 0.0
    for radius in sorted({distance[i][j] for i in balls for j in others[i]}):
        pure = [not any(distance[i][j] < radius for j in others[i]) for i in balls]
        if np.mean(pure) >= 0.95:
            delta = radius

    edges = [{i} | {j for j in range(size) if distance[i][j] < delta} for i in range(size)]
    covered = set().union(*edges[n_candidates:]) | set(range(n_candidates, size))
    chosen: list[int] = []
    while len(covered) < size and len(chosen) < n:
        left = [i for i in range(n_candidates) if i not in chosen]
        chosen.append(min(left, key=lambda i: (-len(edges[i] - covered), place[i])))
        covered |= edges[chosen[-1]]
    n_to_cover = len(chosen)
    left = [i for i in range(n_candidates) if i not in chosen]
    chosen += sorted(left, key=lambda i: place[i])[: n - len(chosen)]
    return pool.indices[chosen].tolist(), n_to_cover


@pytest.mark.parametrize("n_balls", [2000, 40])
@pytest.mark.parametrize(("n_labeled", "n_clusters"), [(0, 4), (3, 4), (20, 3)])
def test_it_chooses_by_the_definition(
    n_labeled: int, n_clusters: int, n_balls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BALLS", n_balls)
    covering = []
    for seed in range(3):
        pool = make_example(50, n_labeled, n_features=3, seed=seed)
        for n in (10, 50):
            wanted, n_to_cover = by_definition(pool, n, n_clusters, seed, n_balls)
            assert probcover(pool.candidates(seed), n, n_clusters=n_clusters).indices.tolist() == wanted
        covering.append(n_to_cover)
    assert 2 < min(covering) < 40, "balls that cover some, and not all"


def find_the_lonely_image(strategy: Strategy) -> None:
    """Of 4 clouds, and an image on its own, far from all of them: before those that are covered."""
    rng = np.random.default_rng(0)
    rows = np.eye(8)[np.repeat(np.arange(4), 10)] + 0.01 * rng.normal(size=(40, 8))
    rows = torch.from_numpy(np.concatenate([rows, -rows[::10].sum(0, keepdims=True)]))
    nothing = torch.empty(0, dtype=torch.int64)
    pool = replace(make_example(), rows=rows, indices=torch.arange(41), labeled=nothing, labels=nothing)
    pool = replace(pool, weight=rows[:2])
    chosen = strategy(pool.candidates(), 5).indices.tolist()
    assert chosen[4] == 40 and {i // 10 for i in chosen[:4]} == {0, 1, 2, 3}


def without_edges(candidates: Candidates, n: int) -> Query:
    """A published mistake: an image covers others only, so that one without edges is never worth asking for."""
    edges = torch.cdist(candidates.representation, candidates.representation) < 0.5
    edges.fill_diagonal_(False)
    place, chosen = drawn_order(len(edges), candidates.rng, edges.device), []
    while len(chosen) < n and edges.any():
        chosen.append(highest(edges.sum(1).double(), place))
        edges &= ~edges[chosen[-1]]
        edges[chosen[-1]] = edges[:, chosen[-1]] = False
    with_edges = torch.tensor(chosen, dtype=torch.int64)
    return Query(candidates.indices[filled(with_edges, n, place)])


def test_an_image_that_no_other_one_covers_is_found_and_by_a_published_mistake_it_is_not() -> None:
    find_the_lonely_image(partial(probcover, n_clusters=4))
    with pytest.raises(AssertionError):
        find_the_lonely_image(without_edges)
