"""What every data set loads into."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels, in data set order.

    Attributes:
        images: `uint8 [N, C, H, W]`, C is 1 or 3.
        labels: `int64 [N]`, class indices from 0.
        ids: N names that outlive a reordering: a path relative to the root, or the index in the original file.
    """

    images: Tensor
    labels: Tensor
    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set: the pool, the test part, and what the labels mean.

    Attributes:
        pool: the training images, of which active learning labels a part.
        test: the images that every round is measured on; they decide nothing.
        classes: names, in the order of the class indices.
        rejected: (path, reason) of every file that was left out.
        duplicates: (group from 1, "train" or "test", class name, id) of images that look alike to the model, pixel for
            pixel, though they are in both parts or in more than one class.
        gone: positions in the pool of images that a run began with and that are no longer there; they are black.
    """

    pool: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...] = field(default=())
    duplicates: tuple[tuple[int, str, str, str], ...] = field(default=())
    gone: tuple[int, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels, 1 (gray) or 3 (color)."""
        return self.pool.images.shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pool.images.shape[2], self.pool.images.shape[3]

    @cached_property
    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel over the pool, for pixels scaled to [0, 1].

        They are taken from histograms, so they are exact and need no floating-point copy of the pool.
        """
        levels = torch.arange(256, dtype=torch.float64) / 255
        images = self.pool.images
        if self.gone:
            there = torch.ones(len(images), dtype=torch.bool)
            there[list(self.gone)] = False
            images = images[there]
        means, deviations = [], []
        for channel in images.unbind(1):
            share = torch.bincount(channel.reshape(-1).int(), minlength=256).double() / channel.numel()
            mean = (share * levels).sum()
            means.append(mean.item())
            # A constant channel carries nothing: leave its scale alone rather than divide by zero.
            deviations.append((share * (levels - mean) ** 2).sum().sqrt().item() or 1.0)
        return means, deviations

    def fingerprint(self) -> str:
        """16 hex digits over every pixel and label: two runs that agree on it saw the same data."""
        digest = blake2b(digest_size=8)
        for part in (self.pool, self.test):
            for tensor in (part.images, part.labels):
                digest.update(repr(tuple(tensor.shape)).encode())
                digest.update(tensor.contiguous().numpy().data)
        digest.update("\0".join(self.classes).encode())
        return digest.hexdigest()
