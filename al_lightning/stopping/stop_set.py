"""Predictions for a fixed sample of images, whose agreement from round to round says whether a model still changes."""

import numpy as np
import pytorch_lightning as pl
import torch

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.models.inference import evaluating
from al_lightning.models.learner import Learner, Scoring
from al_lightning.streams import Stream, generator

SIZE = 2000  # images of the sample at most, as Bloodgood and Vijay-Shanker 2009 have it


class StopSet(pl.Callback):
    """Predicts the sample after a fit: images that had no label before round 0, the same ones in every round.

    Images that came or went since change no other places in it: each image has a rank of its own, drawn by the seed.

    Args:
        pool: of the run.

    Attributes:
        predicted: classes by data set index; empty before the fit.
    """

    def __init__(self, pool: PoolDataModule) -> None:
        eligible = np.flatnonzero((pool.data.there & ~pool.val_mask & (pool.labeled_since != 0)).numpy())
        rank = generator(pool.seed, Stream.STOP).random(len(pool.labels))
        drawn = eligible[np.argsort(rank[eligible])[:SIZE]]
        self._pool, self._indices = pool, torch.from_numpy(np.sort(drawn))
        self.predicted: dict[int, int] = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at them."""
        assert isinstance(pl_module, Classifier)
        if not len(self._indices):  # all have labels
            return
        with evaluating(pl_module):
            learner = Learner(pl_module, self._pool.images, Scoring(self._pool.eval_batch_size))
            classes = learner.predict(self._indices).tolist()
        self.predicted = dict(zip(self._indices.tolist(), classes, strict=True))


def written(predicted: dict[int, int]) -> str:
    """Predictions as text: a line of JSON a number would be ten times the rest of what a round keeps."""
    return " ".join(f"{index}:{label}" for index, label in predicted.items())


def read(text: str) -> dict[int, int]:
    """Predictions from text."""
    pairs = (pair.split(":") for pair in text.split())
    return {int(index): int(label) for index, label in pairs}
