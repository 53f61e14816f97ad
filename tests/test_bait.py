"""BAIT against the trace, by inverting the whole matrix for each image."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from al_lightning.acquisition import bait as module
from al_lightning.acquisition import pick
from al_lightning.acquisition.bait import bait
from al_lightning.acquisition.candidates import Part
from al_lightning.errors import ConfigError
from al_lightning.testing import Example, make_example


def informations(part: Part, directions: np.ndarray) -> list[np.ndarray]:
    out = []
    for h, p in zip(part.features.numpy(), part.log_probabilities.exp().numpy(), strict=True):
        z = directions.T @ h
        out.append(np.kron(np.diag(p) - np.outer(p, p), np.outer(z, z)))
    return out


def slow_bait(pool: Example, n: int, regularization: float) -> tuple[list[int], list[int]]:
    """What is chosen, and what would be without the pruning."""
    candidates = pool.candidates()
    d = min(256 // len(pool.weight), pool.rows.shape[1])
    features = candidates.features.numpy()
    directions = np.linalg.svd(features, full_matrices=False)[2][:d].T
    fisher = informations(candidates, directions)
    target = np.mean(fisher, axis=0)
    known = regularization * np.trace(target) / len(target) * np.eye(len(target))
    known = known + sum(informations(candidates.labeled, directions))
    chosen: list[int] = []
    for _ in range(2 * n):
        left = [x for x in range(len(fisher)) if x not in chosen]
        chosen.append(min(left, key=lambda x: np.trace(np.linalg.inv(known + fisher[x]) @ target)))
        known = known + fisher[chosen[-1]]
    forward = chosen[:n]
    for _ in range(n):
        worst = min(chosen, key=lambda x: np.trace(np.linalg.inv(known - fisher[x]) @ target))
        chosen.remove(worst)
        known = known - fisher[worst]
    return chosen, forward


def unlabeled(pool: Example) -> Example:
    return replace(pool, labeled=pool.labeled[:0], labels=pool.labels[:0])


@pytest.mark.parametrize(
    ("pool", "regularization"),
    [
        (make_example(40, 3, 8, 3, seed=0), 1.0),
        (make_example(40, 3, 8, 3, seed=1), 0.01),
        (unlabeled(make_example(40, 10, 8, 3, seed=2)), 1.0),
        (make_example(16, 10, 8, 40), 1.0),  # on 6 of 8 directions
    ],
)
def test_choices_are_those_by_the_trace(pool: Example, regularization: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pick, "AT_ONCE", 2)
    wanted, forward = slow_bait(pool, 5, regularization)
    assert bait(pool.candidates(), 5, regularization=regularization).indices.tolist() == pool.indices[wanted].tolist()
    assert set(wanted) != set(forward), "a pool on which pruning does nothing does not show it"


def test_bounds_bound_and_are_close_where_much_is_known() -> None:
    pool = make_example(30, 20, 8, 3).candidates()
    z, p = pool.features, pool.log_probabilities.exp()
    target = module._fisher(z, p) / len(z)
    for much, factor in ((1e-2, 1e3), (1e4, 1.01)):
        inverse = torch.linalg.inv(much * torch.eye(24).double())
        bounds = module._bounds(z, p, inverse @ target @ inverse)
        falls = module._changes(z, p, inverse, inverse @ target @ inverse)
        assert (falls <= bounds).all() and (bounds < factor * falls).all()


def test_signs_of_components_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, original = make_example(30, 10, 8, 40), module._directions
    wanted = bait(pool.candidates(), 6).indices.tolist()
    signs = torch.tensor([1, -1, -1, 1, -1, 1])
    monkeypatch.setattr(module, "_directions", lambda features, n: original(features, n) * signs)
    assert bait(pool.candidates(), 6).indices.tolist() == wanted


def test_the_scale_of_the_features_decides_nothing() -> None:
    pool = make_example(30, 10)
    larger = replace(pool, rows=100 * pool.rows, weight=pool.weight / 100)
    assert bait(pool.candidates(), 6).indices.tolist() == bait(larger.candidates(), 6).indices.tolist()


def test_more_classes_than_parameters_are_refused() -> None:
    assert len(bait(make_example(10, 5, 4, 256).candidates(), 2).indices) == 2
    with pytest.raises(ConfigError, match="strategy=bait: it takes at most 256 classes, and there are 257"):
        bait(make_example(10, 5, 4, 257).candidates(), 2)
