"""The ceiling against a twin from its docstring, and that nobody can take it for a strategy."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command
from hydra import compose, initialize_config_dir
from run_folders import only_run
from scipy.optimize import minimize
from torch import Tensor

from al_lightning import build
from al_lightning.acquisition import ceiling as module
from al_lightning.acquisition.ceiling import NOT_ATTAINABLE, ceiling
from al_lightning.config import schema
from al_lightning.data.embedding import Embedding
from al_lightning.data.images import UNKNOWN, ImageData, ImageSet
from al_lightning.errors import ConfigError
from al_lightning.models import convex
from al_lightning.report import load
from al_lightning.testing import make_example
from al_lightning.testing.examples import Example

K = 4


def make(seed: int = 0, decay: float = 0.03) -> tuple[Example, ImageData]:
    """A pool whose head is the optimum of a weight decay, and all of its labels."""
    pool = make_example(40, 15, seed=seed)
    rng = np.random.default_rng(seed)
    truth = (pool.rows @ pool.weight.T + torch.from_numpy(rng.normal(size=(len(pool.rows), K)))).argmax(1)
    pool = replace(pool, labels=truth[pool.labeled])
    fitted = convex.fit(pool.rows[pool.labeled], pool.labels, K, decay, 1e-10, 1000)
    pool.model.head.weight.data.copy_(fitted.weight)
    pool.model.head.bias.data.copy_(fitted.bias)
    test = torch.from_numpy(rng.normal(size=(60, pool.rows.shape[1])) * 0.7).half()
    labels = (test.double() @ pool.weight.T + torch.from_numpy(rng.normal(size=(60, K)))).argmax(1)
    there = torch.ones(len(truth), dtype=torch.bool)
    parts = [
        ImageSet(torch.zeros(len(each), 1, 1, 1, dtype=torch.uint8), each, list(map(str, range(len(each)))))
        for each in (truth, labels)
    ]
    known = Embedding(pool.rows.half(), test, "", "", there)
    return pool, ImageData(parts[0], parts[1], tuple("abcd"), embedding=known, on_embedding=True)


# --- a twin ----------------------------------------------------------------------------------------------------------


def losses(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(y)), y]


def best_layer(
    x: np.ndarray, y: np.ndarray, decay: float, extra: tuple[np.ndarray, int, float] | None = None
) -> np.ndarray:
    """`[K, D + 1]` that minimizes the mean loss and the decay; `extra`: an image more, and its weight."""

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(K, -1)
        total, gradient = decay / 2 * (w[:, :-1] ** 2).sum(), decay * np.c_[w[:, :-1], np.zeros(K)]
        parts = [(x, y, np.full(len(y), 1 / len(y)))]
        if extra:
            parts.append((extra[0][None], np.array([extra[1]]), np.array([extra[2]])))
        for rows, labels, weights in parts:
            ones = np.c_[rows, np.ones(len(rows))]
            logits = ones @ w.T
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            total += (weights * losses(logits, labels)).sum()
            gradient = gradient + ((p - np.eye(K)[labels]) * weights[:, None]).T @ ones
        return total, gradient.ravel()

    options = {"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 50}
    return minimize(objective, np.zeros(K * (x.shape[1] + 1)), jac=True, method="L-BFGS-B", options=options).x.reshape(
        K, -1
    )


def twin(pool: Example, data: ImageData, n: int, trials: int, steps: int, decay: float, seed: int = 0) -> list[int]:
    """By its docstring; how fast the loss falls, by adding a little of every image and fitting again."""
    rng, rows, truth = np.random.default_rng(seed), pool.rows.numpy(), data.pool.labels.numpy()
    test, answers = data.inputs[1].double().numpy(), data.test.labels.numpy()
    known, indices = pool.labeled.tolist(), pool.indices.tolist()

    def quality(w: np.ndarray) -> tuple[float, float]:
        logits = test @ w[:, :-1].T + w[:, -1]
        return (logits.argmax(1) == answers).mean(), -losses(logits, answers).mean()

    def layer(images: list[int], decay: float, **extra: Any) -> np.ndarray:
        return best_layer(rows[known + images], truth[known + images], decay, **extra)

    def falls(images: list[int], image: int) -> float:
        h = 1e-4
        up, down = (quality(layer(images, decay, extra=(rows[image], truth[image], sign * h))) for sign in (1, -1))
        return (up[1] - down[1]) / (2 * h)

    def worst(images: list[int]) -> tuple[float, float]:
        x, y = (torch.from_numpy(each[known + images]) for each in (rows, truth))
        return min(quality(layer(images, each)) for each in (decay, convex.choose_weight_decay(x, y, K, rng)))

    rng.permutation(len(indices))
    greedy: list[int] = []
    for part in np.array_split(np.arange(n), min(n, steps)):
        left = [image for image in indices if image not in greedy]
        gains = {image: falls(greedy, image) for image in left}
        greedy = greedy + sorted(left, key=gains.__getitem__, reverse=True)[: len(part)]
    tried = [[indices[i] for i in rng.choice(len(indices), n, replace=False)] for _ in range(trials)]
    drawn = max(tried, key=lambda images: quality(layer(images, decay)))
    return max([greedy, drawn], key=worst)


@pytest.mark.parametrize(("seed", "n", "steps", "trials"), [(0, 6, 3, 4), (1, 5, 5, 4), (4, 3, 1, 40)])
def test_it_chooses_what_its_twin_does(
    seed: int, n: int, steps: int, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ROUGH", 1e-9), ("ITERATIONS", 2000), ("SOLVED", 1e-9)):  # as exact as the twin
        monkeypatch.setattr(module, name, value)
    pool, data = make(seed)
    with torch.inference_mode():
        query = ceiling(pool.candidates(), n, data=data, trials=trials, steps=steps)
    assert query.indices.tolist() == twin(pool, data, n, trials, steps, decay=0.03)


def test_the_better_of_both_batches_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    search = module._Search
    pool, data = make()
    one, other = torch.tensor([0, 1]), torch.tensor([2, 3])
    monkeypatch.setattr(search, "greedy", lambda self, n, steps: one)
    monkeypatch.setattr(search, "drawn", lambda self, n, trials: other)
    for values, best in (((0.5, 0.4), one), ((0.4, 0.5), other), ((0.5, 0.5), one)):
        worth = dict(zip((0, 2), values, strict=True))
        monkeypatch.setattr(search, "at_worst", lambda self, batch, worth=worth: (worth[int(batch[0])], 0.0))
        chosen = ceiling(pool.candidates(), 2, data=data).indices
        assert chosen.tolist() == pool.indices[best].tolist()


@pytest.mark.parametrize("n", [1, 7, 40])
def test_n_different_candidates_the_same_for_the_same_seed(n: int) -> None:
    pool, data = make(3)
    once, again = (ceiling(pool.candidates(5), n, data=data, trials=3).indices for _ in range(2))
    assert once.tolist() == again.tolist() and len({*once.tolist()}) == n
    assert torch.isin(once, pool.indices).all()
    same = replace(pool, rows=pool.rows[:1].expand_as(pool.rows))  # all images identical
    assert len(ceiling(same.candidates(), n, data=data, trials=3).indices.unique()) == n


# --- what nobody can have --------------------------------------------------------------------------------------------


def strategy_of(name: str, data: ImageData) -> Callable[..., object]:
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return build.make_strategy(schema.resolved(compose("config", [f"strategy={name}"])), data)


def test_no_other_strategy_is_given_the_labels() -> None:
    _, data = make()
    for name in schema.options("strategy"):
        strategy = strategy_of(name, data)
        assert isinstance(strategy, partial)
        given = [value for value in strategy.keywords.values() if isinstance(value, ImageData | Tensor)]
        assert given == ([data] if name == "ceiling" else []), name


def test_it_says_what_it_is() -> None:
    assert (schema.conf_dir() / "strategy" / "ceiling.yaml").read_text().startswith("# NOT ATTAINABLE")
    assert str(ceiling.__doc__).startswith("NOT ATTAINABLE")


def test_what_it_cannot_know_is_refused() -> None:
    pool, data = make()
    nobody = data.pool.labels.clone()
    nobody[int(pool.indices[0])] = UNKNOWN
    for without, why in (
        (replace(data, test=ImageSet(data.test.images[:0], data.test.labels[:0], [])), "there is none"),
        (replace(data, pool=replace(data.pool, labels=nobody)), "some are not known"),
    ):
        with pytest.raises(ConfigError, match=why):
            ceiling(pool.candidates(), 2, data=without)


def test_a_run_is_marked_from_its_start_to_its_report(command: Command, tmp_path: Path) -> None:
    small = ("strategy=ceiling", "strategy.trials=2", "strategy.steps=2", "al.rounds=1", "dataset.subset=200")
    done = command(*small, "embedding=pixels", "model=linear", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.err.count(f"warning: {NOT_ATTAINABLE}") == 1
    assert set(load(only_run(tmp_path))["method"]) == {"ceiling (not attainable)"}
    renamed = command(*small, "strategy.name=best", cwd=tmp_path)
    assert renamed.code == 2 and "strategy.name=best: what ceiling chose has to bear its name" in renamed.err
    assert NOT_ATTAINABLE not in command("strategy=margin", "dry_run=true", cwd=tmp_path).err


def test_a_trained_network_takes_it_too(command: Command, tmp_path: Path) -> None:
    done = command("strategy=ceiling", "strategy.trials=2", "strategy.steps=2", "al.rounds=1", cwd=tmp_path)
    assert done.code == 0, done.err
