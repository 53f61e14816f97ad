"""Dropout samples, and the scores that live off them, against loops over the same masks."""

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from test_scores import D, K, M, make_model, make_pool, probabilities, slow_entropy
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.scores import bald, entropy, margin, mean_std, uncertainty, variation_ratios
from al_lightning.clock import Clock
from al_lightning.errors import ConfigError
from al_lightning.models import predictions
from al_lightning.models.backbones import cnn, gal2017, linear
from al_lightning.models.learner import Learner, Scoring


def test_samples_of_a_head_are_those_of_all_its_inputs_at_once() -> None:
    """It takes them in batches, the last one of which overlaps."""
    rows = torch.randn(150, D, generator=torch.Generator().manual_seed(0))
    model = make_model(linear(D), 0.5).eval().requires_grad_(False)
    seen = []
    for touched in (False, True):
        pool = Candidates(Learner(model, rows, Scoring(70)), torch.arange(150), np.random.default_rng(0))
        if touched:
            assert pool.inputs.shape == (150, D)
        seen.append(torch.cat(list(pool.samples(5))))
    torch.testing.assert_close(*seen)


def slow_bald(by_mask: list[list[float]]) -> float:
    mean = [sum(p) / len(by_mask) for p in zip(*by_mask, strict=True)]
    return slow_entropy(mean) - sum(map(slow_entropy, by_mask)) / len(by_mask)


def slow_variation_ratio(by_mask: list[list[float]]) -> float:
    predicted = [p.index(max(p)) for p in by_mask]
    return 1 - max(predicted.count(k) for k in range(K)) / len(by_mask)


def slow_mean_std(by_mask: list[list[float]]) -> float:
    return sum(statistics.pstdev(p) for p in zip(*by_mask, strict=True)) / K


@pytest.mark.parametrize(
    ("score", "slow"),
    [(bald, slow_bald), (variation_ratios, slow_variation_ratio), (mean_std, slow_mean_std)],
)
@pytest.mark.parametrize("chunk", [2**25, 3 * 6 * K])
@pytest.mark.parametrize("dropout", [0.3, 0.5, 0.9])
def test_scores_of_samples_equal_loops_over_the_same_masks(
    score: Callable[..., Tensor],
    slow: Callable[[list[list[float]]], float],
    dropout: float,
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictions, "CHUNK", chunk)  # the small one takes three images at a time
    samples, keep = 6, 1 - dropout
    pool, model = make_pool(dropout=dropout, seed=7)
    masks = (np.random.default_rng(7).random((samples, D), dtype=np.float32) < keep) / keep
    by_mask = [probabilities(pool, model, mask) for mask in masks]
    twin = [slow([p[i] for p in by_mask]) for i in range(M)]
    scores = score(pool, mc_samples=samples).numpy()
    np.testing.assert_allclose(scores, twin, atol=2e-6)
    assert scores.max() > 0.05


@pytest.mark.parametrize("chunk", [2**25, 40])
def test_samples_of_two_dropouts_equal_loops_over_the_same_masks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "CHUNK", chunk)  # the small one takes an image and a sample at a time
    model = make_model(gal2017(1, (9, 9), width=2, hidden_dropout=0.25), dropout=0.5).eval()
    images = torch.randint(256, (7, 1, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pool = Candidates(
        Learner(model.requires_grad_(False), images, Scoring(4, Clock())), torch.arange(7), np.random.default_rng(3)
    )
    samples = torch.cat(list(pool.samples(5)))
    rng, hidden = np.random.default_rng(3), model.hidden[1]
    outer = torch.from_numpy(rng.random((5, 2), dtype=np.float32) < 0.75) / 0.75
    inner = torch.from_numpy(rng.random((5, 128), dtype=np.float32) < 0.5) / 0.5
    for i, image in enumerate(images):
        features = model.backbone(model.normalized(image[None]))[0]
        for t in range(5):
            twin = model.head((hidden(features * outer[t])).relu() * inner[t]).log_softmax(0)
            torch.testing.assert_close(samples[i, t], twin)
    torch.testing.assert_close(pool.log_probabilities, model(images).log_softmax(1))
    assert pool.features.shape == (7, 128) and samples.std(1).max() > 0.01


@pytest.mark.parametrize("score", [margin, uncertainty, entropy, partial(bald, mc_samples=5)])
@pytest.mark.parametrize("is_head", [False, True])
def test_of_too_many_images_nothing_is_kept_and_the_scores_are_the_same(
    score: Callable[[Candidates], Tensor], is_head: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randint(256, (150, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = images.flatten(1).float() if is_head else images
    model = make_model(linear(64) if is_head else cnn(1, (8, 8), width=2), 0.5).eval().requires_grad_(False)
    pools = [Candidates(Learner(model, rows, Scoring(70)), torch.arange(150), np.random.default_rng(0)) for _ in "ab"]
    kept = score(pools[0])
    monkeypatch.setattr(predictions, "KEPT", 0)
    torch.testing.assert_close(score(pools[1]), kept)
    assert not vars(pools[1].predictions).keys() & {"inputs", "features", "log_probabilities"}
    assert pools[1].predict(torch.arange(150)).tolist() == pools[0].log_probabilities.argmax(1).tolist()


@pytest.mark.parametrize(("dropout", "samples", "typed"), [(0.0, 10, "model.dropout=0"), (0.3, 1, "al.mc_samples=1")])
def test_samples_that_could_not_differ_are_refused(dropout: float, samples: int, typed: str) -> None:
    with pytest.raises(ConfigError, match=typed):
        make_pool(dropout=dropout)[0].samples(samples)
