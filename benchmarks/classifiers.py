"""Classifiers as the command builds and fits them, and images that nobody has to download."""

import torch
from hydra import compose, initialize_config_dir

from al_lightning import build
from al_lightning.config import schema
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.models.classifier import Classifier
from al_lightning.trainer import make_trainer


def settings(*overrides: str) -> build.Settings:
    """The resolved configuration of the command with these settings, on a CPU."""
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", ["trainer=cpu", *overrides]))


def random_images(n: int, channels: int, side: int) -> ImageData:
    """A pool of n images of noise in 10 classes, which is the test part too."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, channels, side, side), dtype=torch.uint8, generator=draw)
    part = ImageSet(images, torch.randint(10, (n,), generator=draw), tuple(map(str, range(n))))
    return ImageData(part, part, tuple("0123456789"))


def classifier(data: ImageData, *overrides: str) -> Classifier:
    """The classifier of round 0, its weights as they are drawn."""
    return build.make_classifier(settings(*overrides), data, 0, len(data.pool))


def fitted(data: ImageData, n: int, made: build.Settings) -> Classifier:
    """The classifier after a fit on the first n images, as a round runs it."""
    whole_epochs = made["train"]["engine"] != "plain"
    pool = PoolDataModule(data, made["batch_size"], eval_batch_size=256, seed=0, whole_epochs=whole_epochs)
    pool.label(torch.arange(n), data.pool.labels[:n], since=0)
    model = build.make_classifier(made, data, 0, n)
    make_trainer(made, build.fit_length(made, n)[0], []).fit(model, datamodule=pool)
    return model
