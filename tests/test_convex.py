"""The head fitted by L-BFGS against scikit-learn's logistic regression, and the choice of its weight decay by hand."""

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from test_conf import composed
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from al_lightning import build
from al_lightning.config import schema
from al_lightning.embedding.make import make_embedder, with_embedding
from al_lightning.models.convex import FOLDS, GRID, ConvexClassifier, choose_weight_decay, fit, fit_under_dropout


def problem(n: int, d: int, n_classes: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n - n_classes)])
    features = rng.standard_normal((n, d)) + 2 * np.eye(n_classes, d)[labels]
    return torch.from_numpy(features), torch.from_numpy(labels)


@given(
    n=st.integers(6, 60),
    d=st.integers(1, 80),
    n_classes=st.integers(2, 5),
    decay=st.sampled_from([0.01, 0.1, 3.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_it_is_logistic_regression(n: int, d: int, n_classes: int, decay: float, seed: int) -> None:
    """More features than images, and fewer: the same weights, from 0 or from elsewhere."""
    features, labels = problem(n, d, n_classes, seed)
    found = fit(features, labels, n_classes, decay, 1e-6, 5000)
    assert found.converged
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = LogisticRegression(C=(2 if n_classes == 2 else 1) / (n * decay), tol=1e-10, max_iter=20_000).fit(
            features, labels
        )
    logits = (features @ found.weight.T + found.bias).log_softmax(1)
    expected = torch.from_numpy(other.predict_log_proba(features.numpy()))
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    again = fit(features, labels, n_classes, decay, 1e-6, 5000, start=fit(features, labels, n_classes, 10.0, 1e-2, 50))
    torch.testing.assert_close(again.weight, found.weight, rtol=1e-3, atol=1e-3)


def test_a_class_without_labels_is_never_predicted() -> None:
    features, labels = problem(30, 4, 3, seed=0)
    found = fit(features, labels, 5, 0.01, 1e-6, 2000)
    assert found.converged and int((features @ found.weight.T + found.bias).argmax(1).max()) <= 2


def test_one_that_is_cut_short_has_not_converged() -> None:
    features, labels = problem(50, 20, 3, seed=0)
    found = fit(features, labels, 3, 1e-4, 1e-8, 3)
    assert not found.converged and found.iterations == 3


@pytest.mark.parametrize("noise", [0.5, 6.0])
def test_the_weight_decay_is_the_best_on_what_was_held_out(noise: float) -> None:
    """By hand: the same folds, every fit from 0 and to the end."""
    features, labels = problem(60, 12, 3, seed=1)
    features = features + noise * torch.randn(60, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = np.random.default_rng(5).permutation(60)
    order = order[np.argsort(labels.numpy()[order], kind="stable")]
    fold = torch.empty(60, dtype=torch.int64)
    fold[torch.from_numpy(order)] = torch.arange(60) % FOLDS
    losses = []
    for decay in GRID:
        loss = 0.0
        for number in range(FOLDS):
            train, held_out = fold != number, fold == number
            head = fit(features[train], labels[train], 3, decay, 1e-6, 5000)
            logits = features[held_out] @ head.weight.T + head.bias
            loss += float(cross_entropy(logits, labels[held_out], reduction="sum"))
        losses.append(loss)
    found = choose_weight_decay(features, labels, 3, np.random.default_rng(5))
    assert losses[GRID.index(found)] <= min(losses) * 1.01
    assert abs(GRID.index(found) - int(np.argmin(losses))) <= 1


def test_samples_come_from_a_head_that_was_fitted_under_dropout(tmp_path: Path) -> None:
    """It is worth more under dropout than the one that predicts, which it leaves alone; and it draws from its own."""
    typed = ("embedding=pixels", "model=linear", "optimizer.weight_decay=0.01", f"paths.data={tmp_path}")
    settings = schema.resolved(composed(*typed))
    plain = build.load_data(settings)
    data = with_embedding(plain, make_embedder(settings, plain), settings, torch.device("cpu"))
    model = build.make_classifier(settings, data, 0, 200)
    assert isinstance(model, ConvexClassifier)
    assert model.sampled == model.dropped, "before a fit there is nothing to fit a second one to"
    features, labels = data.inputs[0][:200], data.pool.labels[:200]
    model.training_step((features, labels), 0)
    before, stream = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with torch.inference_mode():
        ((p, head),) = model.sampled
        assert model.sampled[0][1] is head
    assert p == 0.5 and all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), stream)
    seen = model.normalized(features)
    again = fit_under_dropout(seen, labels, 10, 0.5, np.random.default_rng(0))
    torch.testing.assert_close(again.weight, fit_under_dropout(seen, labels, 10, 0.5, np.random.default_rng(0)).weight)
    dropped = nn.functional.dropout(seen.repeat(20, 1), 0.5)
    with torch.inference_mode():
        losses = [float(cross_entropy(each(dropped), labels.repeat(20))) for each in (head, again, model.head)]
    assert max(losses[:2]) < losses[2]


def test_it_is_refused_for_networks(command: Command) -> None:
    ended = command("optimizer=lbfgs")
    assert ended.code == 2 and "optimizer=lbfgs model=cnn: it fits model=linear only" in ended.err
    ended = command("model=linear")
    assert (
        ended.code == 2 and "model=linear: needs an embedding; add embedding=timm, patches or another one" in ended.err
    )


def test_a_fit_that_has_not_converged_is_said(command: Command) -> None:
    ended = command("embedding=pixels", "model=linear", "optimizer.max_iterations=2", "al.rounds=0", "paths.data=.")
    assert ended.code == 0, ended.err
    assert "fit failed (max_iterations)" in ended.out
