"""A fit that has not fitted its labels goes on, is given up, or is marked; one that has is left as it was."""

import csv
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from conftest import Command
from hypothesis import given
from hypothesis import strategies as st
from run_folders import only_run
from test_fast import DATA, N_LABELED, PART, settings_of
from torch import Tensor

from al_lightning import build
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.models.fit_check import FitCheck, Fitted, Rule, fitted
from al_lightning.trainer import make_trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:You defined a `validation_step`", "ignore:`isinstance.treespec", "ignore:.*does not have many workers.*"
)
RULE = Rule(4, 0.99, 0.05, 0.9)
ANY = Rule(4, None, None, None)
NONE = Rule(3, 1.0, 1e-9, 1.0)  # what no fit comes to


def fit(rule: Rule, *overrides: str) -> tuple[Classifier, FitCheck, list[float]]:
    """A fit under a rule, its check, and the learning rate of every step."""
    settings = settings_of("train.schedule=cosine", *overrides)
    pool = PoolDataModule(DATA, 16, 32, seed=0, whole_epochs=settings["train"]["engine"] != "plain")
    pool.label(torch.arange(N_LABELED), PART.labels[:N_LABELED], since=0)
    model = build.make_classifier(settings, DATA, 0, N_LABELED)
    epochs, rates = settings["trainer"]["max_epochs"], []

    class Rates(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            group = trainer.optimizers[0].param_groups[0]
            trainer.optimizers[0].register_step_pre_hook(lambda *unused: rates.append(float(group["lr"])))

    trainer = make_trainer(settings, epochs, [Rates(), check := FitCheck(pool, rule, epochs)])
    torch.manual_seed(0)
    trainer.fit(model, datamodule=pool)
    return model, check, rates


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_a_fit_that_is_well_is_left_as_it_was(engine: str) -> None:
    checked, check, _ = fit(ANY, f"train.engine={engine}")
    once, _, _ = fit(Rule(1, 1.0, None, None), f"train.engine={engine}")
    assert len(check.cycles) == 1
    for key, value in once.state_dict().items():
        assert torch.equal(checked.state_dict()[key], value), key


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_a_fit_that_has_failed_goes_through_the_schedule_again(engine: str) -> None:
    _, once, rates = fit(ANY, f"train.engine={engine}")
    _, check, more = fit(NONE, f"train.engine={engine}")
    assert more == rates * len(check.cycles) and len(check.cycles) in (2, 3)
    assert check.cycles[0] == once.cycles[0] != check.cycles[1], "other weights, or the first cycle is another one"


def test_both_engines_go_on_alike() -> None:
    fast, plain = (fit(NONE, f"train.engine={engine}")[0].state_dict() for engine in ("fast", "plain"))
    assert all(torch.equal(fast[key], value) for key, value in plain.items())


def test_what_is_scored_after_another_cycle_is_its_network() -> None:
    model, check, _ = fit(NONE)
    with torch.inference_mode():
        pixels = model.eval().normalized(PART.images)
        torch.testing.assert_close(model.frozen_backbone()(pixels), model.backbone(pixels))
        outputs = model(PART.images[:N_LABELED])
    last = fitted(outputs.log_softmax(1), PART.labels[:N_LABELED])
    assert vars(last) == pytest.approx(vars(check.cycles[-1]), abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 6))
def test_measures_against_a_loop(seed: int, n: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(n, n_classes))).log_softmax(1)
    labels = torch.from_numpy(rng.integers(n_classes, size=n))
    right: dict[int, list[bool]] = {}
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        right.setdefault(label, []).append(row.index(max(row)) == label)
    measured = fitted(logits, labels)
    assert measured.acc == pytest.approx(np.mean([hit for hits in right.values() for hit in hits]))
    assert measured.min_recall == pytest.approx(min(map(np.mean, right.values())))
    loss = -np.mean([row[label] for row, label in zip(logits.tolist(), labels.tolist(), strict=True)])
    assert measured.loss == pytest.approx(loss)


@pytest.mark.parametrize(
    ("fit", "ok"),
    [
        (Fitted(0.99, 0.05, 0.9), True),
        (Fitted(0.98, 0.01, 1.0), False),
        (Fitted(1.0, 0.051, 1.0), False),
        (Fitted(0.995, 0.02, 0.8), False),
        (Fitted(float("nan"), float("nan"), float("nan")), False),
    ],
)
def test_when_a_fit_has_failed(fit: Fitted, ok: bool) -> None:
    assert RULE.holds(fit) is ok
    assert ANY.holds(Fitted(0.1, 9.0, 0.0))


@given(st.lists(st.tuples(st.floats(0, 0.98), st.floats(0, 1)), min_size=1, max_size=6), st.integers(1, 5))
def test_when_it_goes_on(cycles: list[tuple[float, float]], most: int) -> None:
    """Up to `most` cycles, and none after one that brought less than half a point and a twentieth of a recall."""
    rule, done = Rule(most, 0.99, 0.05, 0.9), []
    for acc, recall in cycles:
        done.append(Fitted(acc, 1.0, recall))
        if reason := rule.reason(done):
            break
    else:
        assert len(done) < most
        return
    useless = [b.acc - a.acc < 0.005 and b.min_recall - a.min_recall < 0.05 for a, b in pairwise(done)]
    assert reason == ("plateau" if useless and useless[-1] else "max_cycles")
    assert not any(useless[:-1]) and (useless[-1:] == [True] or len(done) == most)


def rows_of(place: Any) -> list[dict[str, str]]:
    with (only_run(place) / "rounds.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_that_fails_to_fit_says_so(command: Command, tmp_path: Any) -> None:
    done = command("optimizer.lr=1e-6", "al.rounds=1", "train.max_cycles=3")
    rows = rows_of(tmp_path / "cwd")
    assert done.code == 0
    assert {row["fit/ok"] for row in rows} == {"false"} and all(row["fit/reason"] == "plateau" for row in rows)
    assert [row["fit/cycles"] for row in rows] == ["2", "2"] and int(rows[0]["fit/steps"]) == 2 * 2
    summary = json.loads((only_run(tmp_path / "cwd") / "summary.json").read_text(encoding="utf-8"))
    assert summary["failed_fits"] == [0, 1]
    assert "fit failed (plateau): acc" in done.out and "2 of 2 fits failed, of round 0, 1" in done.out


def test_a_run_that_fits_says_nothing(command: Command, tmp_path: Any) -> None:
    done = command(
        "optimizer.lr=0.01",
        "al.rounds=1",
        "train.min_steps=100",
        "model.width=16",
        "model.dropout=0",
        "train.max_cycles=4",
    )
    assert done.code == 0 and "failed" not in done.out
    for row in rows_of(tmp_path / "cwd"):
        assert (row["fit/ok"], row["fit/cycles"], row["fit/steps"], row["fit/reason"]) == ("true", "1", "100", "")
        assert float(row["fit/acc"]) >= 0.99 and float(row["fit/loss"]) <= 0.05 and float(row["fit/min_recall"]) >= 0.9


@pytest.mark.parametrize("experiment", ["paper", "gal2017", "gal2017_small"])
def test_published_protocols_fit_once(experiment: str) -> None:
    assert settings_of(f"experiment={experiment}")["train"]["max_cycles"] == 1


def dead_units(network: torch.nn.Module, images: Tensor) -> float:
    """Share of the hidden units that no image activates."""
    with torch.inference_mode():
        return (network.eval()(images) == 0).all(0).float().mean().item()


def test_the_small_network_keeps_its_hidden_units(real: Any) -> None:
    """At the rate of experiment=paper_small 49 of 64 had died by step 13, without BatchNorm before the ReLU."""
    settings = settings_of("experiment=paper_small", f"paths.data={real}", "model.width=16", "batch_size=64")
    data = build.load_data(settings)
    pool = PoolDataModule(data, 64, 64, seed=0)
    pool.label(torch.arange(60), data.pool.labels[:60], since=0)
    model = build.make_classifier(settings, data, 0, 60)
    optimizer = model.configure_optimizers()["optimizer"]
    for _ in range(13):
        for images, labels in pool.labeled_batches():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    assert dead_units(model.backbone, model.normalized(data.pool.images[:500])) < 0.1
