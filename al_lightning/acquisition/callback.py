"""Choosing right after a fit, while the model is still on the device."""

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor

from al_lightning.acquisition.choose import Strategy, choose
from al_lightning.acquisition.pool import Pool
from al_lightning.acquisition.select import Query
from al_lightning.clock import Clock
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.inference import undisturbed
from al_lightning.streams import Stream, generator, torch_seed


class AcquisitionCallback(pl.Callback):
    """Scores the unlabeled images and chooses the query, in the last hook that has the model on the device.

    Args:
        strategy: chooses `n` images of a pool.
        n: size of the query.
        pool: whose unlabeled images are scored, and whose round and seed key the random choices.
        clock: counts the pass as `score` and the choice as `select`.
        on_batch: called with the number of images scored so far.
        dtype: that the pass computes in, see :class:`Pool`.

    Attributes:
        query: what was chosen; None before the fit has ended.
        predicted: `int64 [n]`, the model's classes for the queried images.
    """

    def __init__(
        self,
        strategy: Strategy,
        n: int,
        pool: PoolDataModule,
        clock: Clock,
        on_batch: Callable[[int], None] = lambda done: None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.strategy, self.n, self.pool, self.clock = strategy, n, pool, clock
        self.on_batch, self.dtype = on_batch, dtype
        self.query: Query | None = None
        self.predicted: Tensor | None = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose.

        Raises:
            StrategyError: the strategy fails, or returns something other than n of the images.
        """
        with self.clock.phase("select"), undisturbed(pl_module):
            unlabeled = Pool(
                pl_module,  # type: ignore[arg-type]
                self.pool.images,
                self.pool.candidates(),
                self.pool.eval_batch_size,
                generator(self.pool.seed, Stream.ACQUISITION, self.pool.round),
                self.clock,
                self.on_batch,
                self.dtype,
            )
            seed = torch_seed(self.pool.seed, Stream.GLOBAL, self.pool.round)
            self.query = choose(self.strategy, unlabeled, self.n, seed)
            self.predicted = unlabeled.predict(self.query.indices)
