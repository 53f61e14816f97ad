"""What every strategy in conf/strategy has to keep. A new file there is tested by being there."""

import pickle
import random
from collections.abc import Callable

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from al_lightning import build
from al_lightning.acquisition import ceiling
from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy
from al_lightning.clock import Clock
from al_lightning.config import schema
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.models.backbones import cnn
from al_lightning.models.classifier import Classifier
from al_lightning.models.fast import FastClassifier
from al_lightning.models.learner import Learner, Scoring
from al_lightning.testing import CONTRACTS
from al_lightning.trainer import make_trainer

# It takes labels that nobody has, which these pools do not give: tests/test_ceiling.py.
STRATEGIES = sorted({file.stem for file in (schema.conf_dir() / "strategy").glob("*.yaml")} - {ceiling.NAME})
N, M, K = 150, 60, 5
INDICES = torch.from_numpy(np.sort(np.random.default_rng(1).choice(N, M, replace=False)))

pytestmark = [
    pytest.mark.parametrize("name", STRATEGIES),
    pytest.mark.filterwarnings(
        "ignore:You defined a `validation_step`", "ignore:`isinstance.treespec", "ignore:Found 1 module.s. in eval mode"
    ),
]


def settings_of(name: str) -> build.Settings:
    overrides = [f"strategy={name}", "al.n_clusters=4", "al.mc_samples=8", "trainer=cpu", "trainer.max_epochs=2"]
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", overrides))


def strategy_of(name: str) -> Strategy:
    return build.make_strategy(settings_of(name))


class RoundedClassifier(Classifier):
    """Features worked out in double precision and rounded, so that they are the same bits in a batch of any size."""

    def logits(self, features: Tensor) -> Tensor:
        return super().logits(features.float())


def make_images() -> Tensor:
    """Five kinds of images, and noise."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 256, (K, 1, 8, 8))
    noisy = kinds[np.arange(N) % K] + rng.normal(0, 40, (N, 1, 8, 8))
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))


def make_model() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = RoundedClassifier(
            cnn(1, (8, 8), width=2),
            K,
            dropout=0.3,
            scale=(torch.tensor(127.5), torch.tensor(76.5)),
            optimizer=torch.optim.Adam,
            schedule="constant",
            total_steps=6,
            crop=0,
            flip=False,
            augmentation_seed=0,
        )
    model.backbone.double()
    for name, buffer in model.named_buffers(recurse=False):
        setattr(model, name, buffer.double())
    model.head.weight.data *= 20
    return model.eval().requires_grad_(False)


def make_pool(batch_size: int = 1024, passed: list | None = None) -> Candidates:
    on_batch = (lambda done: None) if passed is None else passed.append
    scoring = Scoring(batch_size, Clock(), on_batch)
    return Candidates(Learner(make_model(), make_images(), scoring), INDICES, np.random.default_rng(0))


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_it_keeps_the_contract(name: str, contract: Callable[[Strategy], None]) -> None:
    contract(strategy_of(name))


def test_scores_are_numbers_and_descend(name: str) -> None:
    scores = strategy_of(name)(make_pool(), M).scores
    if scores is not None:
        assert scores.shape == (M,)
        assert not scores.isnan().any()
        assert (scores.diff() <= 0).all()


def test_the_batch_size_of_the_pass_changes_nothing(name: str) -> None:
    one, seven, all_ = (strategy_of(name)(make_pool(batch_size=size), 20) for size in (1, 7, 1024))
    assert one.indices.tolist() == seven.indices.tolist() == all_.indices.tolist()
    if one.scores is not None and seven.scores is not None and all_.scores is not None:
        assert one.scores.tolist() == seven.scores.tolist() == all_.scores.tolist()


def test_the_backbone_sees_no_image_twice(name: str) -> None:
    pool = make_pool(batch_size=7, passed=(done := []))
    query = strategy_of(name)(pool, 10)
    assert done in ([], [*range(7, M, 7), M])
    assert len(pool.predict(query.indices)) == 10


def test_predictions_are_the_model_s_for_the_queried_images_in_their_order(name: str) -> None:
    pool, images = make_pool(), make_images()
    indices = strategy_of(name)(pool, 20).indices
    assert pool.predict(indices).tolist() == make_model()(images[indices]).argmax(1).tolist()


class Witness(pl.Callback):
    """Everything that scoring has to leave alone, byte by byte."""

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        tensors = dict(pl_module.state_dict(keep_vars=True))
        gradients = {f"{key} grad": t.grad for key, t in tensors.items() if t.grad is not None}
        momenta = {
            f"momentum {i} {key}": value
            for i, state in enumerate(trainer.optimizers[0].state.values())
            for key, value in state.items()
        }
        self.seen = {key: t.detach().numpy().tobytes() for key, t in (tensors | gradients | momenta).items()}
        self.seen |= {f"{key} mode": module.training for key, module in pl_module.named_modules()}
        self.seen |= {f"{key} trains": t.requires_grad for key, t in tensors.items()}
        self.seen |= {"gradients": torch.is_grad_enabled(), "inference": torch.is_inference_mode_enabled()}
        self.seen["torch"] = torch.get_rng_state().numpy().tobytes()
        self.seen["numpy"] = pickle.dumps(np.random.get_state())  # noqa: NPY002
        self.seen["python"] = random.getstate()


def test_choosing_leaves_training_as_it_was(name: str) -> None:
    labels = torch.arange(N) % K
    part = ImageSet(make_images(), labels, [str(i) for i in range(N)])
    data = ImageData(part, part, tuple("abcde"))
    settings = settings_of(name)
    pool = PoolDataModule(data, 16, 32, seed=0, whole_epochs=True)
    pool.label(torch.arange(0, 40), labels[:40], since=0)
    settings["model"] = {"name": "cnn", "_target_": "al_lightning.models.backbones.cnn", "width": 2, "dropout": 0.3}
    model = build.make_classifier(settings, data, 0, 40)
    assert isinstance(model, FastClassifier), "what a run trains"
    model.backbone.get_submodule("1").eval()  # a frozen BatchNorm has to stay frozen
    before, after, clock = Witness(), Witness(), Clock()
    choosing = AcquisitionCallback(strategy_of(name), 12, pool, Scoring(32, clock))
    make_trainer(settings, 2, [before, choosing, after]).fit(model, datamodule=pool)
    assert choosing.query is not None and choosing.predicted is not None
    assert pool.unlabeled_mask[choosing.query.indices].all()
    assert len(choosing.query.indices) == len(choosing.predicted) == 12
    assert before.seen["backbone.0.weight grad"] and before.seen["dropout mode"] and not before.seen["backbone.1 mode"]
    assert before.seen == after.seen
