"""What every data set loads into."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from al_lightning.contract import ContractError, described, expect
from al_lightning.data.embedding import Embedding

UNKNOWN = -1  # the label of an image of a pool that nobody knows


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels, in data set order.

    Attributes:
        images: `uint8 [N, C, H, W]`, C is 1 or 3, in the memory of the host.
        labels: `int64 [N]`, class indices from 0; in a pool `UNKNOWN` (-1) where nobody knows.
        ids: N different names that outlive a reordering: a path relative to the root, or the index in the original
            file.

    Raises:
        ContractError: an attribute is not of that kind, their numbers differ, a label is below -1, an id comes twice.
    """

    images: Tensor
    labels: Tensor
    ids: Sequence[str]

    def __post_init__(self) -> None:
        wanted = "a uint8 tensor [N, C, H, W] with 1 or 3 channels"
        expect("ImageSet.images", self.images, wanted, (torch.uint8,), 4)
        if self.images.shape[1] not in (1, 3) or 0 in self.images.shape[2:]:
            last = self.images.shape[3] in (1, 3)
            hint = "; where channels come last, take images.permute(0, 3, 1, 2)" if last else ""
            raise ContractError(f"ImageSet.images is {described(self.images)}; it has to be {wanted}{hint}")
        expect("ImageSet.labels", self.labels, "an int64 tensor [N] of class indices", (torch.int64,), 1)
        for name in ("images", "labels"):
            if (device := getattr(self, name).device).type != "cpu":
                raise ContractError(f"ImageSet.{name} is on {device}; a data set is loaded on the CPU")
        if not len(self.images) == len(self.labels) == len(self.ids):
            raise ContractError(
                f"an ImageSet has {len(self.images)} images, {len(self.labels)} labels and {len(self.ids)} ids; "
                "every image has one of each"
            )
        if len(self.labels) and (least := int(self.labels.min())) < UNKNOWN:
            raise ContractError(f"ImageSet.labels has {least}; class indices begin at 0, and -1 is for an unknown one")
        if odd := next((each for each in self.ids if not isinstance(each, str)), None):
            raise ContractError(f"ImageSet.ids has {odd!r}, which is not text")
        if len(set(self.ids)) < len(self.ids):
            twice = next(each for each, count in Counter(self.ids).items() if count > 1)
            raise ContractError(f"ImageSet.ids has {twice!r} more than once; every image has an id of its own")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set: the pool, the test part, and what the labels mean.

    Attributes:
        pool: the training images, of which active learning labels a part.
        test: the images that every round is measured on; they decide nothing. There may be none.
        classes: names, in the order of the class indices.
        rejected: (path, reason) of every file that was left out.
        duplicates: (group from 1, "train", "test" or "dropped", class name, id) of images that look alike to the model,
            pixel for pixel.
        notes: what a person should know of how the images were made, a line each.
        levels: the values that became 0 and 255, of images with more than 8 bits a pixel; None where there are none.
        gone: positions in the pool of images that a run began with and that are no longer there; they are black.
        drawn: whether the test part was drawn from all images, so that one image more may change it.
        mask: `bool [N]`, images of the pool that take part, see :mod:`al_lightning.data.masks`; None: all of them.
        embedding: features of all images by a frozen network; None: there are none.
        on_embedding: whether a model sees the embedding in place of the images.

    Raises:
        ContractError: the pool is empty, the parts have images of different shapes, there are fewer than two classes,
            a label is none of them, one of the test part is unknown, or the mask is not one of the pool.
    """

    pool: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...] = field(default=())
    duplicates: tuple[tuple[int, str, str, str], ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    levels: tuple[int, int] | None = field(default=None)
    gone: tuple[int, ...] = field(default=())
    drawn: bool = field(default=False)
    mask: Tensor | None = field(default=None)
    embedding: Embedding | None = field(default=None)
    on_embedding: bool = field(default=False)

    def __post_init__(self) -> None:
        names = list(self.classes)
        if odd := next((each for each in names if not isinstance(each, str)), None):
            raise ContractError(f"ImageData.classes has {odd!r}; a class has a name")
        if len(set(names)) < max(2, len(names)):
            raise ContractError(f"ImageData.classes is {self.classes}; there have to be at least 2, each once")
        for part in ("pool", "test"):
            images = getattr(self, part)
            if not isinstance(images, ImageSet):
                raise ContractError(f"ImageData.{part} is {described(images)}, not an ImageSet")
            if not len(images):
                if part == "test":
                    continue
                raise ContractError("ImageData.pool has no images")
            if (most := int(images.labels.max())) >= len(names):
                raise ContractError(
                    f"ImageData.{part} has the label {most}; {len(names)} classes have 0 to {len(names) - 1}"
                )
        if (self.test.labels == UNKNOWN).any():
            raise ContractError("ImageData.test has images whose label nobody knows; only those of the pool may")
        pool, test = (list(part.images.shape[1:]) for part in (self.pool, self.test))
        if pool != test:
            raise ContractError(f"ImageData.pool has images of {pool} (C, H, W), but ImageData.test of {test}")
        if self.mask is not None:
            wanted = f"a bool tensor [{len(self.pool)}], true for an image at least"
            expect("ImageData.mask", self.mask, wanted, (torch.bool,), 1)
            if len(self.mask) != len(self.pool) or not self.mask.any():
                raise ContractError(f"ImageData.mask has to be {wanted}")

    @property
    def pool_size(self) -> int:
        """Images of the pool that take part, those that are gone included."""
        return len(self.pool) if self.mask is None else int(self.mask.sum())

    @property
    def there(self) -> Tensor:
        """`bool [N]`, images of the pool that take part and are not gone: those that can be labeled."""
        there = torch.ones(len(self.pool), dtype=torch.bool) if self.mask is None else self.mask.clone()
        there[list(self.gone)] = False
        return there

    @cached_property
    def given(self) -> Tensor:
        """`bool [N]`, images that can be labeled whose labels are known, where those of others are not.

        None where all are known: then they are not given but the answers, which whoever is asked has to find.
        """
        known = self.pool.labels != UNKNOWN
        return known & self.there & ~known[self.there].all()

    @property
    def channels(self) -> int:
        """Number of channels, 1 (gray) or 3 (color)."""
        return self.pool.images.shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pool.images.shape[2], self.pool.images.shape[3]

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """What a model sees of pool and test part: `uint8 [N, C, H, W]`, or `float16 [N, D]` of the embedding."""
        if self.on_embedding and self.embedding:
            return self.embedding.pool, self.embedding.test
        return self.pool.images, self.test.images

    @property
    def input_shape(self) -> dict[str, Any]:
        """What a network is made for, as its arguments."""
        if self.on_embedding and self.embedding:
            return {"n_features": self.embedding.n_features}
        return {"channels": self.channels, "image_size": self.image_size}

    def scale(self, pixels: tuple[list[float], list[float]] | None = None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what a model sees, as its input has them.

        Args:
            pixels: of each channel, for pixels scaled to [0, 1]; None: those of the pool.
        """
        if self.on_embedding and self.embedding:
            return self.embedding.statistics
        mean, deviation = (255 * torch.tensor(each).view(1, -1, 1, 1) for each in pixels or self.statistics)
        return mean, deviation

    @cached_property
    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel over what is there of the pool, for pixels scaled to [0, 1].

        They are taken from histograms, so they are exact and need no floating-point copy of the pool.
        """
        levels = torch.arange(256, dtype=torch.float64) / 255
        images = self.pool.images
        if self.gone or self.mask is not None:
            images = images[self.there]
        means, deviations = [], []
        for channel in images.unbind(1):
            share = torch.bincount(channel.reshape(-1).int(), minlength=256).double() / channel.numel()
            mean = (share * levels).sum()
            means.append(mean.item())
            # A constant channel carries nothing: leave its scale alone rather than divide by zero.
            deviations.append((share * (levels - mean) ** 2).sum().sqrt().item() or 1.0)
        return means, deviations

    def fingerprint(self, pool_labels: bool = True) -> str:
        """16 hex digits over every pixel and label, and the mask: two runs that agree on it saw the same data.

        Args:
            pool_labels: with the labels of the pool; not where others answer for them.
        """
        digest = blake2b(digest_size=8)
        for part in (self.pool, self.test):
            for tensor in (part.images, part.labels) if pool_labels or part is self.test else (part.images,):
                digest.update(repr(tuple(tensor.shape)).encode())
                digest.update(tensor.contiguous().numpy().data)
        digest.update("\0".join(self.classes).encode())
        if self.mask is not None:
            digest.update(self.mask.numpy().data)
        return digest.hexdigest()
