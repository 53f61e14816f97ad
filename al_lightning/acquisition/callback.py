"""Choosing right after a fit, while the model is still on the device."""

from contextlib import nullcontext

import pytorch_lightning as pl
import torch
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy, choose
from al_lightning.acquisition.select import Query
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.models.inference import evaluating
from al_lightning.models.learner import Committee, Learner, Scoring
from al_lightning.streams import Stream, generator, torch_seed


class AcquisitionCallback(pl.Callback):
    """Scores the unlabeled images and chooses the query, in the last hook that has the model on the device.

    Args:
        strategy: chooses `n` of the candidates.
        n: size of the query.
        n_control: images of it that are drawn at random instead, before the others are chosen.
        pool: whose unlabeled images are scored, and whose round and seed key the random choices.
        scoring: how the pass is made.

    Attributes:
        query: what was chosen; None before.
        control: `int64 [n_control]`, what was drawn at random, data set indices.
        predicted: `int64 [n]`, the model's classes for the images that were chosen, and then for the others; None
            without a model.
    """

    def __init__(self, strategy: Strategy, n: int, pool: PoolDataModule, scoring: Scoring, n_control: int = 0) -> None:
        self.strategy, self.n, self.pool, self.scoring = strategy, n, pool, scoring
        self.n_control, self.control = n_control, torch.empty(0, dtype=torch.int64)
        self.query: Query | None = None
        self.predicted: Tensor | None = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose; errors as :meth:`choose`."""
        assert isinstance(pl_module, Classifier)
        self.choose_with(pl_module)

    def choose_with(self, model: Classifier, committee: Committee | None = None) -> None:
        """Choose with a fitted model and the rest of its committee, on its device; errors as :meth:`choose`."""
        with evaluating(model):
            self.choose(Learner(model, self.pool.images, self.scoring, committee))

    def choose(self, learner: Learner | None) -> Candidates:
        """Choose with what was fitted, or without a model.

        Returns:
            What was chosen from.

        Raises:
            StrategyError: the strategy fails, or returns something other than n of the images.
        """
        pool, clock = self.pool, self.scoring.clock
        labeled = pool.trained_on
        rng = generator(pool.seed, Stream.ACQUISITION, pool.round)
        embedding = pool.data.embedding.pool if pool.data.embedding else None
        with clock.phase("select") if clock else nullcontext():
            indices = pool.candidates(self.n)
            if self.n_control:
                self.control = pool.draw_control(self.n_control)
                indices = indices[~torch.isin(indices, self.control)]
            candidates = Candidates(learner, indices, rng, (labeled, pool.labels[labeled]), embedding)
            n = self.n - self.n_control
            self.query = choose(self.strategy, candidates, n, torch_seed(pool.seed, Stream.GLOBAL, pool.round))
            if learner:
                self.predicted = candidates.predict(self.query.indices)
                if self.n_control:
                    self.predicted = torch.cat([self.predicted, learner.predict(self.control)])
        return candidates
