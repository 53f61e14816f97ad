"""What a process beside rank 0 does: the same fits, and its shares of the passes. It writes and shows nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytorch_lightning as pl
import torch
from torch import distributed

from al_lightning import build, ranks
from al_lightning.config import callbacks
from al_lightning.data.datamodule import UNLABELED, PoolDataModule
from al_lightning.data.images import ImageData
from al_lightning.embedding.make import make_embedder, with_embedding
from al_lightning.errors import DataError
from al_lightning.followers.messages import DONE, READY, Fit, Start
from al_lightning.models.classifier import Classifier
from al_lightning.models.fit_check import FitCheck
from al_lightning.models.inference import evaluating
from al_lightning.models.learner import Learner, Scoring
from al_lightning.models.shares import Look, share_weights
from al_lightning.ranks import ALONE
from al_lightning.runs import environment, same_images
from al_lightning.streams import Stream, seeded, torch_seed
from al_lightning.trainer import make_trainer, quiet_lightning


def follow(start: Start, heard: Callable[[], Any], answers: BinaryIO) -> None:
    """Follow rank 0 until it says that the rounds are over.

    Args:
        start: what it has said at first.
        heard: waits for the next that it says.
        answers: to it.

    Raises:
        DataError: the images or their features are not those that rank 0 has.
        Exception: whatever ends a round.
    """
    settings, rank = start.settings, start.rank
    quiet_lightning()
    on_gpu = settings["trainer"]["accelerator"] != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda", rank.first_gpu + rank.number) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    with environment.threads(start.threads), environment.tf32(settings["train"]["tf32"]):
        data = _data(start, device)
        is_convex = build.is_convex(settings)  # whose fit is of all labeled images
        pool = PoolDataModule(
            data, *build.batch_sizes(settings, data, device), settings["seed"], rank=ALONE if is_convex else rank
        )
        classifier = build.classifiers(settings, data, device, start.rows)
        answers.write(READY)
        ranks.join(rank, ranks.store(start.port, rank.of), device)
        while told := heard():
            _fit(told, start, pool, classifier, Serving(pool, start, heard, answers))
    ranks.leave()


def _data(start: Start, device: torch.device) -> ImageData:
    settings = start.settings
    images = same_images.load(Path(start.folder), settings)
    embedder = make_embedder(settings, images.data)
    with environment.tf32(False):
        data = with_embedding(images.data, embedder, settings, device, start.embedding)
    if (images.fingerprint, data.embedding.key if data.embedding else "") != (start.images, start.embedding):
        raise DataError(f"{start.folder}: the images have changed since the run was started")
    return data


def _fit(
    told: Fit, start: Start, pool: PoolDataModule, classifier: Callable[[int, int], Classifier], serving: "Serving"
) -> None:
    settings, rank = start.settings, start.rank
    pool.round = told.number
    pool.labeled_since.fill_(UNLABELED)
    pool.labeled_since[told.indices], pool.labels[told.indices] = told.number, told.labels
    check = FitCheck(pool, build.fit_rule(settings), told.epochs)
    with seeded(torch_seed(settings["seed"], Stream.DROPOUT, told.number, rank.number)):
        model = classifier(told.number, len(told.indices))
        own = _own_callbacks(settings)
        renewal = [callbacks.Renewal()] if own else []
        trainer = make_trainer(settings, told.epochs, [*own, *renewal, check, serving], rank)
        trainer.fit(model, datamodule=pool)
    model.trainer = pool.trainer = None  # they would hold each other


def _own_callbacks(settings: Mapping[str, Any]) -> list[pl.Callback]:
    """The user's, but for those that look on only: rank 0 has them."""
    made = callbacks.make_callbacks(dict(settings), has_loggers=True).values()
    return [each for each in made if not isinstance(each, callbacks.WATCHERS)]


class Serving(pl.Callback):
    """Looks at images for rank 0 while it chooses.

    Args:
        pool: of the run.
        start: what this process began with.
        heard: waits for what rank 0 says.
        answers: to it.
    """

    def __init__(self, pool: PoolDataModule, start: Start, heard: Callable[[], Any], answers: BinaryIO) -> None:
        self._pool, self._rank, self._heard, self._answers = pool, start.rank, heard, answers

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do so until it says that it has chosen."""
        assert isinstance(pl_module, Classifier)
        while look := self._heard():
            self._look(look, pl_module)

    def _look(self, look: Look, model: Classifier) -> None:
        if look.with_weights:
            model.train()  # what was made of the weights before is no longer good
            with torch.no_grad():
                share_weights(model)
        begin, end = look.borders(self._rank.of)[self._rank.number : self._rank.number + 2]
        if begin == end:
            return
        with evaluating(model):
            learner = Learner(model, self._pool.images, Scoring(look.batch_size, dtype=look.dtype))
            share = learner.share(look, begin, end)
            self._answers.write(DONE)
            distributed.send(share, 0)
