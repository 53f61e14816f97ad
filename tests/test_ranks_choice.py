"""From the same weights, one, two and three processes choose the same images, with the same scores to the bit."""

from functools import cache
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from test_ranks import settings_of

from al_lightning import build
from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.followers.lead import Release, leading
from al_lightning.followers.messages import Start
from al_lightning.models.fit_check import FitCheck
from al_lightning.models.learner import Scoring
from al_lightning.ranks import Rank
from al_lightning.trainer import make_trainer

STRATEGIES = ("margin", "bald", "badge", "kmeans", "coreset")
# Candidates, in batches of 128: all 1,387, so that the shares are uneven; less than one batch a rank, so that ranks
# have nothing to do; less than a batch.
SAMPLES = (None, 300, 100)

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:.*does not have many workers")


class Replaced(pl.Callback):
    """Has rank 0 choose with other weights and statistics than any rank has come to."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.load_state_dict(self._state)
        pl_module.train()


class Sampled(AcquisitionCallback):
    """Chooses from so many candidates."""

    n_candidates: int

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.pool.pool_sample = self.n_candidates
        super().on_train_end(trainer, pl_module)


def state_of(settings: build.Settings, data: Any) -> dict[str, Any]:
    """Weights, and statistics of BatchNorm, that are none of a fit's."""
    draw = torch.Generator().manual_seed(5)
    state = build.make_classifier(settings, data, 7, 50).state_dict()
    return {
        key: value + 0.3 * torch.rand(value.shape, generator=draw) if value.is_floating_point() else value
        for key, value in state.items()
    }


@cache
def chosen(of: int, model: str) -> dict[tuple[str, int | None], tuple[list[int], list[float] | None, list[int]]]:
    """What every strategy chooses of every set of candidates: images, scores, and predicted classes."""
    given = [
        f"model={model}",
        "model.width=4",
        "batch_size=16",
        "al.n_clusters=10",
        "al.mc_samples=20",
        f"trainer.devices={of}",
    ]
    settings = {name: settings_of(*given, f"strategy={name}", "trainer.max_epochs=1") for name in STRATEGIES}
    first = settings["margin"]
    data = build.load_data(first)
    fingerprint = data.fingerprint(pool_labels=True)
    start = Start(first, "/nowhere", Rank(0, of), 0, torch.get_num_threads(), fingerprint, "", ())
    pool = PoolDataModule(data, 16, 128, seed=0, rank=start.rank)
    pool.label(torch.arange(50), data.pool.labels[:50], since=0)
    with leading(start, torch.device("cpu")) as lead:
        hooks = {}
        for name in STRATEGIES:
            for sample in SAMPLES:
                strategy = build.make_strategy(settings[name], data)
                hook = Sampled(strategy, 15, pool, Scoring(128, others=lead))
                hook.n_candidates = sample or len(data.pool)
                hooks[name, sample] = hook
        check, last = FitCheck(pool, build.fit_rule(first), 1), [Release(lead)] if lead else []
        trainer = make_trainer(first, 1, [check, Replaced(state_of(first, data)), *hooks.values(), *last], start.rank)
        if lead:
            lead.fit(0, 1, pool)
        trainer.fit(build.make_classifier(first, data, 0, 50), datamodule=pool)
    found = {}
    for key, hook in hooks.items():
        assert hook.query is not None and hook.predicted is not None
        scores = hook.query.scores
        found[key] = hook.query.indices.tolist(), None if scores is None else scores.tolist(), hook.predicted.tolist()
    return found


# The first has BatchNorm, the second none, and a hidden layer that features follow from.
@pytest.mark.parametrize(("model", "of"), [("cnn", 3), ("gal2017", 2)])
def test_they_choose_the_same_images(model: str, of: int) -> None:
    one, several = chosen(1, model), chosen(of, model)
    assert several == one
    assert len({tuple(indices) for indices, _, _ in one.values()}) == len(one), "all of them choose otherwise"
