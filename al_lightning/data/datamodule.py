"""The pool: which images are labeled, since which round, and the batches of a round."""

from collections.abc import Callable

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from al_lightning.data.batches import BatchParts, EvalBatches, TrainBatches, WholeEpochs
from al_lightning.data.images import UNKNOWN, ImageData
from al_lightning.data.memory import fits
from al_lightning.ranks import ALONE, Rank
from al_lightning.streams import Stream, generator

UNLABELED = -1
WHOLE = (torch.int64, torch.int32, torch.int16, torch.uint8)  # a mask of bools would be taken for positions 0 and 1


class PoolDataModule(LightningDataModule):
    """Images on the device of the model as far as they fit there, and masks over the pool.

    `labeled_mask`, `unlabeled_mask`, `val_mask` and `skipped_mask` (bool, shape `[N]`) partition the pool, less the
    images that take no part and those that are gone and were not asked for. All indices are positions in the data set.
    Training sees the labels that were paid for and no others.

    Attributes:
        labeled_since: `int64 [N]`, the first round that trains on an image, `UNLABELED` for the rest.
        skipped_mask: images that were asked for and that the oracle has no label for, or that are gone since.
        gone_mask: images that are no longer there.
        labels: `int64 [N]`, class indices, `UNKNOWN` where nobody was asked.
        round: the round whose batches are served.
        pool_sample: most images that a round's strategy chooses from.
        near: finds the images that it chooses from, by what is labeled; None: they are all.
        whole_epochs: a batch for Lightning is the batches of an epoch, as :class:`FastClassifier` takes them.
        rank: whose parts of the batches are trained on.
    """

    def __init__(
        self,
        data: ImageData,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        *,
        pool_sample: int | None = None,
        near: Callable[[Tensor], Tensor] | None = None,
        whole_epochs: bool = False,
        rank: Rank = ALONE,
    ) -> None:
        super().__init__()
        self.data, self.whole_epochs, self.rank = data, whole_epochs, rank
        self.pool_sample, self.near = len(data.pool) if pool_sample is None else pool_sample, near
        self.batch_size, self.eval_batch_size, self.seed = batch_size, eval_batch_size, seed
        self.images, self.test_images = data.inputs
        self.labeled_since = torch.full((len(data.pool),), UNLABELED)
        self.labels = torch.full((len(data.pool),), UNKNOWN)
        self.val_mask = torch.zeros(len(data.pool), dtype=torch.bool)
        self.skipped_mask = torch.zeros(len(data.pool), dtype=torch.bool)
        self._there = data.there
        self.gone_mask = torch.zeros(len(data.pool), dtype=torch.bool)
        self.gone_mask[list(data.gone)] = True
        self.round = 0
        self.device = torch.device("cpu")

    @property
    def labeled_mask(self) -> Tensor:
        """Images that rounds train on, the last answered query included."""
        return self.labeled_since >= 0

    @property
    def unlabeled_mask(self) -> Tensor:
        """Images that a strategy may ask for."""
        return self._unlabeled(slice(None))

    def _unlabeled(self, at: Tensor | slice) -> Tensor:
        return (self.labeled_since[at] < 0) & ~self.val_mask[at] & ~self.skipped_mask[at] & self._there[at]

    def draw_validation(self, size: int) -> tuple[Tensor, Tensor]:
        """Draw the validation set: the same for every strategy of a seed, none of those whose labels are given.

        Returns:
            Data set indices of the validation set, and of the images that are left for the initial set, sorted.
        """
        pool = np.flatnonzero((self._there & ~self.data.given).numpy())
        val = generator(self.seed, Stream.VALIDATION).choice(pool, size, replace=False)
        return torch.from_numpy(np.sort(val)), torch.from_numpy(np.setdiff1d(pool, val))

    def draw_control(self, n: int) -> Tensor:
        """Draw n of the unlabeled images in this round: the control that chosen ones are held against, `int64 [n]`."""
        unlabeled = self.unlabeled_mask.nonzero().squeeze(1)
        rng = generator(self.seed, Stream.CONTROL, self.round)
        return unlabeled[torch.from_numpy(rng.choice(len(unlabeled), n, replace=False))]

    @property
    def n_skipped(self) -> int:
        """Images that were asked for and have no label to train on."""
        return int(self.skipped_mask.sum())

    @property
    def n_paid(self) -> int:
        """Images that were answered, whatever was said, those for validation included."""
        return int(self.labeled_mask.sum() + self.val_mask.sum()) + self.n_skipped

    def candidates(self, n: int = 0) -> Tensor:
        """Data set indices of the images that the round's strategy chooses from, ascending.

        Args:
            n: how many it has to choose: where fewer are near what is labeled, others are drawn.
        """
        near = None
        if self.near and len(labeled := self.trained_on):
            near = self.near(labeled)
            near = near[self._unlabeled(near)]
            if len(near) >= n:
                return near
        unlabeled = self.unlabeled_mask.nonzero().squeeze(1)
        if near is None and len(unlabeled) <= self.pool_sample:
            return unlabeled
        rng = generator(self.seed, Stream.CANDIDATES, self.round)
        if near is None:
            return unlabeled[np.sort(rng.choice(len(unlabeled), self.pool_sample, replace=False))]
        others = unlabeled[~torch.isin(unlabeled, near)]
        drawn = rng.choice(len(others), min(len(others), n - len(near)), replace=False)
        return torch.cat([near, others[drawn]]).sort().values

    def label(self, indices: Tensor, labels: Tensor, since: int) -> None:
        """Add labels to train on.

        Args:
            indices: `int64 [n]`, unlabeled images.
            labels: `int64 [n]`, their classes.
            since: the first round that trains on them.

        Raises:
            ValueError: an image is not in the pool, labeled already, kept for validation, or named twice; a label is
                missing or no class of the data set. Nothing has been changed.
        """
        if since < 0:
            raise ValueError(f"there is no round {since}")
        self._answer(indices, labels)
        self.labeled_since[indices.cpu()] = since

    def keep_for_validation(self, indices: Tensor, labels: Tensor) -> None:
        """Set labeled images aside for the `val/` measures; arguments and errors as :meth:`label`."""
        self._answer(indices, labels)
        self.val_mask[indices.cpu()] = True

    def leave_out(self, indices: Tensor) -> None:
        """Set unlabeled images aside that have no label, or none that can be used: they are not asked for again."""
        indices = indices.cpu()
        if not (self.unlabeled_mask | self.gone_mask)[indices].all():
            raise ValueError("only unlabeled images can be left out")
        self.skipped_mask[indices] = True

    def forget(self, indices: Tensor) -> None:
        """Make images unlabeled again, whatever they were."""
        indices = indices.cpu()
        self.labeled_since[indices], self.labels[indices] = UNLABELED, UNKNOWN
        self.val_mask[indices], self.skipped_mask[indices] = False, False

    def _answer(self, indices: Tensor, labels: Tensor) -> None:
        indices, labels, n_classes = indices.cpu(), labels.cpu(), len(self.data.classes)
        for name, given in {"indices": indices, "labels": labels}.items():
            if given.dtype not in WHOLE or given.dim() != 1:
                raise ValueError(f"{name} must be whole numbers [n], not {given.dtype} {list(given.shape)}")
        if len(labels) != len(indices) or not ((indices >= 0) & (indices < len(self.labels))).all():
            raise ValueError("every answer needs an image of the pool and a label")
        if (wrong := labels[(labels < 0) | (labels >= n_classes)]).numel():
            raise ValueError(f"label {wrong[0]} is no class: there are {n_classes}, from 0 to {n_classes - 1}")
        if not self.unlabeled_mask[indices].all() or len(indices.unique()) != len(indices):
            raise ValueError("only unlabeled images can be labeled, each once")
        self.labels[indices] = labels.long()

    def setup(self, stage: str) -> None:
        """Move the images to the device of the model, once, as far as they fit."""
        self.device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if fits(self.images, self.device):
            self.images = self.images.to(self.device)
        if fits(self.test_images, self.device):
            self.test_images = self.test_images.to(self.device)

    def train_dataloader(self) -> TrainBatches | BatchParts | WholeEpochs:
        """Shuffled batches of what the current round trains on."""
        batches = self._labeled_batches(self.batch_size)
        if self.whole_epochs:
            return WholeEpochs(batches)
        return batches if self.rank.of == 1 else BatchParts(batches, self.rank)

    def labeled_batches(self) -> TrainBatches:
        """The same images in batches of the size that evaluation has."""
        return self._labeled_batches(self.eval_batch_size)

    @property
    def trained_on(self) -> Tensor:
        """Data set indices of the images that the current round trains on, ascending."""
        return ((self.labeled_since >= 0) & (self.labeled_since <= self.round)).nonzero().squeeze(1)

    def _labeled_batches(self, batch_size: int) -> TrainBatches:
        rng = generator(self.seed, Stream.BATCHES, self.round)
        return TrainBatches(self.images, self.labels.to(self.device), self.trained_on, batch_size, rng)

    def test_dataloader(self) -> EvalBatches:
        """The test part."""
        labels = self.data.test.labels.to(self.device)
        return EvalBatches(self.test_images, labels, torch.arange(len(labels)), self.eval_batch_size)

    def validation_batches(self) -> EvalBatches:
        """The validation set. Not Lightning's `val_dataloader`, which a fit would run through after every epoch."""
        indices = self.val_mask.nonzero().squeeze(1)
        return EvalBatches(self.images, self.labels.to(self.device), indices, self.eval_batch_size)
