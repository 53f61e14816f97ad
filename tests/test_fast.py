"""The fast engine against the plain one, scoring against the plain forward pass, and what lies where in memory."""

from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from al_lightning import build
from al_lightning.acquisition.candidates import Candidates
from al_lightning.clock import Clock
from al_lightning.config import schema
from al_lightning.data import memory
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.models.backbones import cnn, resnet18
from al_lightning.models.classifier import Classifier
from al_lightning.models.inference import evaluating, for_scoring
from al_lightning.models.learner import Learner, Scoring
from al_lightning.tracking.console import ConsoleReporter
from al_lightning.trainer import make_trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:You defined a `validation_step`", "ignore:`isinstance.treespec", "ignore:.*does not have many workers.*"
)
N, N_LABELED = 60, 37
IMAGES = torch.randint(256, (N, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PART = ImageSet(IMAGES, torch.arange(N) % 3, [str(i) for i in range(N)])
DATA = ImageData(PART, PART, tuple("abc"))


def settings_of(*overrides: str) -> build.Settings:
    small = ["model=cnn", "model.width=2", "trainer=cpu", "batch_size=16", "train.min_steps=0", "trainer.max_epochs=4"]
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", [*small, *overrides]))


def fit(settings: build.Settings, *callbacks: pl.Callback, dtype: torch.dtype = torch.float32) -> Classifier:
    """What a round fits, in any type."""
    pool = PoolDataModule(DATA, 16, 32, seed=0, whole_epochs=settings["train"]["engine"] != "plain")
    pool.label(torch.arange(N_LABELED), PART.labels[:N_LABELED], since=0)
    model = build.make_classifier(settings, DATA, 0, N_LABELED).to(dtype)
    trainer = make_trainer(settings, settings["trainer"]["max_epochs"], list(callbacks))
    torch.manual_seed(0)
    trainer.fit(model, datamodule=pool)
    return model


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optimizer=sgd", "train.schedule=linear"],
        ["optimizer=adamw", "optimizer.fused=false", "dataset.augment.crop=2", "dataset.augment.flip=true"],
        ["trainer.precision=bf16-mixed"],
        ["trainer.gradient_clip_val=0.01"],
        ["trainer.gradient_clip_val=0.001", "+trainer.gradient_clip_algorithm=value", "model=gal2017"],
    ],
    ids=["default", "sgd", "augmented", "bf16", "norm", "value"],
)
def test_both_engines_end_with_the_same_weights(overrides: list[str], dtype: torch.dtype) -> None:
    fast, plain = (
        fit(settings_of(*overrides, f"train.engine={engine}"), dtype=dtype).state_dict() for engine in ("fast", "plain")
    )
    fresh = build.make_classifier(settings_of(*overrides), DATA, 0, N_LABELED).state_dict()
    for key, value in plain.items():
        assert torch.equal(fast[key], value), key
    assert not torch.equal(plain["head.weight"].float(), fresh["head.weight"]), "nothing was trained"


def test_fused_and_plain_optimizers_agree_in_double_precision() -> None:
    for optimizer in ("adam", "adamw", "sgd"):
        fused, plain = (
            fit(settings_of(f"optimizer={optimizer}", f"optimizer.fused={fused}"), dtype=torch.float64).state_dict()
            for fused in ("true", "false")
        )
        for key, value in plain.items():
            torch.testing.assert_close(fused[key], value, rtol=1e-9, atol=1e-11)


class Batches(pl.Callback):
    def __init__(self) -> None:
        self.seen = 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.seen += 1


@pytest.mark.parametrize(("engine", "batches"), [("fast", 4), ("plain", 4 * 3)])
def test_an_epoch_is_one_step_of_lightning_s_and_the_bar_moves_with_every_step(engine: str, batches: int) -> None:
    console, moves = ConsoleReporter(), []
    console.bar = lambda description, total: moves.append  # type: ignore[method-assign]
    fit(settings_of(f"train.engine={engine}"), console.fit_bar("fit", 12), counted := Batches())
    assert sorted(set(moves)) == list(range(1, 4 * 3 + 1)) and moves == sorted(moves), (
        "37 images in batches of up to 16, 4 epochs"
    )
    assert counted.seen == batches


# --- scoring --------------------------------------------------------------------------------------------------------


class Untraceable(nn.Module):
    """Its way depends on the values, so that it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.bn(self.conv(images)).mean((2, 3))
        return features if features.sum() > 0 else -features


@pytest.mark.parametrize(
    "make",
    [
        lambda: resnet18(1, (28, 28)).module,
        lambda: resnet18(1, (8, 8)).module,
        lambda: nn.Sequential(cnn(1, (28, 28)).module, nn.Linear(128, 5), nn.BatchNorm1d(5)),
        Untraceable,
    ],
)
def test_a_copy_for_scoring_returns_what_the_network_does(make) -> None:
    torch.manual_seed(0)
    network = make().double()
    images = torch.randn(6, 1, 28, 28, dtype=torch.float64)
    network(images)  # BatchNorm with statistics of its own
    state, before = {key: value.clone() for key, value in network.state_dict().items()}, str(network)
    with evaluating(network):
        outputs, expected = for_scoring(network)(images), network(images)
        coarse = for_scoring(network, torch.bfloat16)(images)
    torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(coarse, expected, rtol=0.1, atol=0.1)
    assert outputs.dtype == coarse.dtype == torch.float64
    assert not torch.equal(coarse, expected)
    assert str(network) == before, "it is as it was"
    assert network.training and all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_a_backbone_that_cannot_be_traced_is_trained_and_scored() -> None:
    model = fit(settings_of()).eval()
    model.backbone = Untraceable().eval()
    model.head = nn.Linear(4, 3)
    with evaluating(model):
        pool = Candidates(Learner(model, IMAGES, Scoring(7, Clock())), torch.arange(N), np.random.default_rng(0))
        torch.testing.assert_close(pool.inputs[:1], model.backbone(model.normalized(IMAGES[:1])))


class Full(nn.Module):
    """Has memory for so many images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.tried = most, []

    def forward(self, images: Tensor) -> Tensor:
        self.tried.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError
        return images.flatten(1)[:, :16]


def test_out_of_memory_halves_the_batch_and_loses_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit(settings_of()).eval().requires_grad_(False)
    model.head = nn.Linear(16, 3)
    monkeypatch.setattr("al_lightning.models.classifier.for_scoring", lambda network, dtype: network)
    for most, tried in ((5, [32, 16, 8, 4]), (1, [32, 16, 8, 4, 2, 1])):
        model.train().backbone, done = (full := Full(most)), []
        indices = torch.arange(0, N, 2)
        pool = Candidates(Learner(model, IMAGES, Scoring(32, Clock(), done.append)), indices, np.random.default_rng(0))
        assert torch.equal(pool.inputs, model.normalized(IMAGES[indices]).flatten(1)[:, :16])
        assert full.tried[: len(tried)] == [min(size, len(indices)) for size in tried]
        assert done == sorted(set(done)) and done[-1] == len(indices)
    model.train().backbone = Full(0)
    with pytest.raises(torch.OutOfMemoryError):
        _ = Candidates(Learner(model, IMAGES, Scoring(32, Clock())), torch.arange(N), np.random.default_rng(0)).inputs


# --- memory ---------------------------------------------------------------------------------------------------------


def test_a_step_without_gradients_takes_fewer_of_larger_images(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [memory.largest_batch((side, side), cpu) for side in (8, 28, 224, 4096)] == [256, 256, 83, 1]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**34, 2**36))
    assert [memory.largest_batch((side, side), gpu) for side in (8, 28, 224, 4096)] == [8192, 5349, 83, 1]
    images = torch.empty(2**20, 3, 32, 32, dtype=torch.uint8, device="meta")  # 3 GiB
    assert memory.fits(images, gpu) and memory.fits(images, cpu)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**32, 2**36))
    assert not memory.fits(images, gpu) and memory.fits(images, cpu)
