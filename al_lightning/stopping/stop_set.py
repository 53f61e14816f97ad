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

    Args:
        pool: of the run.

    Attributes:
        predicted: classes of the images; empty before the fit.
    """

    def __init__(self, pool: PoolDataModule) -> None:
        drawn_from = np.flatnonzero((pool.data.there & ~pool.val_mask & (pool.labeled_since != 0)).numpy())
        rng = generator(pool.seed, Stream.STOP)
        drawn = rng.choice(drawn_from, min(SIZE, len(drawn_from)), replace=False)
        self._pool, self._indices = pool, torch.from_numpy(np.sort(drawn))
        self.predicted: list[int] = []

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at them."""
        assert isinstance(pl_module, Classifier)
        with evaluating(pl_module):
            learner = Learner(pl_module, self._pool.images, Scoring(self._pool.eval_batch_size))
            self.predicted = learner.predict(self._indices).tolist()
