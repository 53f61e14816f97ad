"""Expected predictive information gain and the margin of the mean prediction, against loops in double precision."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from al_lightning.acquisition import blocks
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.epig import epig
from al_lightning.acquisition.scores import bald, mean_margin, variation_ratios
from al_lightning.models.predictions import Predictions
from al_lightning.testing import make_example

T = 6


def samples_of(candidates: Candidates) -> np.ndarray:
    return torch.cat(list(candidates.samples(T))).exp().numpy()  # [M, T, K]


def slow_epig(p: np.ndarray, targets: np.ndarray) -> list[float]:
    n_samples, n_classes = p.shape[1:]
    scores = []
    for own in p:
        total = 0.0
        for other in p[targets]:
            for y in range(n_classes):
                for y_star in range(n_classes):
                    joint = sum(own[t, y] * other[t, y_star] for t in range(n_samples)) / n_samples
                    independent = own[:, y].mean() * other[:, y_star].mean()
                    total += joint * math.log(joint / independent)
        scores.append(total / len(targets))
    return scores


@pytest.mark.parametrize("block", [2**24, 70])
def test_epig_equals_loops_over_labels_and_targets(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)  # the small one takes an image at a time
    pool, twin = make_example(25, n_classes=3), make_example(25, n_classes=3).candidates(4)
    targets = twin.rng.choice(25, 7, replace=False)
    scores = epig(pool.candidates(4), mc_samples=T, n_targets=7)
    assert scores.dtype == torch.float64
    np.testing.assert_allclose(scores, slow_epig(samples_of(twin), targets), rtol=0, atol=1e-9)
    assert np.ptp(scores.numpy()) > 0.01


def test_it_asks_for_what_tells_about_the_pool_and_not_for_an_odd_image() -> None:
    """An image on a feature of its own has the highest BALD, and tells nothing about the others."""
    pool = make_example(40, n_features=8, n_classes=2)
    pool.weight.mul_(0.5)
    pool.rows[:, 0], pool.weight[:, 0] = 0.0, torch.tensor([-8.0, 8.0], dtype=torch.float64)
    pool.rows[pool.indices[5]] = torch.eye(8, dtype=torch.float64)[0]
    assert int(bald(pool.candidates(), mc_samples=500).argmax()) == 5
    scores = epig(pool.candidates(), mc_samples=500, n_targets=40)
    assert scores[5] < 0.5 * scores.median()


def test_mean_margin_equals_loops() -> None:
    pool = make_example(25, n_classes=5)
    scores = mean_margin(pool.candidates(4), mc_samples=T)
    twin = []
    for by_sample in samples_of(pool.candidates(4)):
        second, first = sorted(sum(p) / T for p in zip(*by_sample, strict=True))[-2:]
        twin.append(second - first)
    np.testing.assert_allclose(scores, twin, rtol=0, atol=1e-12)
    assert np.ptp(scores.numpy()) > 0.1


@pytest.mark.parametrize("score", [bald, variation_ratios, mean_margin, epig])
def test_the_samples_that_come_count_and_not_those_that_were_asked_for(
    score: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A committee has as many as it has members."""
    pool = make_example(12)
    wanted = score(pool.candidates(), mc_samples=4)
    original = Predictions.samples
    monkeypatch.setattr(Predictions, "samples", lambda self, n, rng, dropout=None: original(self, 4, rng, dropout))
    torch.testing.assert_close(score(pool.candidates(), mc_samples=9), wanted, rtol=0, atol=0)
