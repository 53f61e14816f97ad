"""The batch plan, and batches of it on the device of the model."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from al_lightning.data.memory import take
from al_lightning.ranks import Rank


def epoch_plan(n: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Which of n images form which batch of one epoch.

    Every image comes once, in random order, in as few batches as `batch_size` allows, whose sizes differ by one at
    most: BatchNorm's statistics would end on a short last batch. An odd image joins a batch of two, because BatchNorm
    cannot normalize one value a channel.

    Args:
        n: number of images, at least 2.
        batch_size: most images of a batch, at least 2.
        rng: draws the order.

    Returns:
        Arrays of positions in `range(n)`.
    """
    return np.array_split(rng.permutation(n), steps_per_epoch(n, batch_size))


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Number of batches in a plan for n images."""
    return min(-(-n // batch_size), n // 2)


class BatchPart(NamedTuple):
    """A rank's part of a batch.

    Attributes:
        images: `uint8 [b, C, H, W]`.
        labels: `int64 [b]`.
        begin: where in the batch they begin.
        whole: size of the batch.
        weight: of their mean loss, so that the mean over the ranks is the mean loss of the batch. A rank whose part is
            empty looks at the first two images of the batch for nothing: the others wait for it.
    """

    images: Tensor
    labels: Tensor
    begin: int
    whole: int
    weight: float


class TrainBatches:
    """Batches of one fit: each pass over this object is the next epoch of the plan.

    Args:
        images: `uint8 [N, C, H, W]`, all images, where the model is or on the host.
        labels: `int64 [N]`, where the model is.
        indices: `int64 [n]`, data set indices of the images to train on.
        batch_size: images a batch.
        rng: draws the order of every epoch.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, indices: Tensor, batch_size: int, rng: np.random.Generator
    ) -> None:
        self.images, self.labels = images, labels
        self.indices = indices.to(labels.device)
        self.batch_size = batch_size
        self.rng = rng

    def __len__(self) -> int:
        return steps_per_epoch(len(self.indices), self.batch_size)

    def next_epoch(self) -> tuple[Tensor, ...]:
        """Data set indices of the images of every batch, where the labels are."""
        plan = epoch_plan(len(self.indices), self.batch_size, self.rng)
        order = self.indices[torch.from_numpy(np.concatenate(plan)).to(self.indices.device)]
        return order.split([len(positions) for positions in plan])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.next_epoch():
            yield take(self.images, batch), self.labels[batch]


class BatchParts:
    """A rank's parts of the batches of a fit."""

    def __init__(self, batches: TrainBatches, rank: Rank) -> None:
        self.batches, self.rank = batches, rank

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[BatchPart]:
        images, labels = self.batches.images, self.batches.labels
        for batch in self.batches.next_epoch():
            begin, end = self.rank.part(len(batch))
            weight = self.rank.of * (end - begin) / len(batch)
            begin, end = (begin, end) if weight else (0, 2)
            own = batch[begin:end]
            yield BatchPart(take(images, own), labels[own], begin, len(batch), weight)


class WholeEpochs:
    """One batch for Lightning: the batches of the next epoch; a list of them would be several loaders to it."""

    def __init__(self, batches: TrainBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[TrainBatches]:
        yield self.batches


class EvalBatches:
    """Batches in data set order, without shuffling or augmentation; arguments as :class:`TrainBatches`."""

    def __init__(self, images: Tensor, labels: Tensor, indices: Tensor, batch_size: int) -> None:
        self.images, self.labels = images, labels
        self.batches = indices.to(labels.device).split(batch_size)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.batches:
            yield take(self.images, batch), self.labels[batch]
