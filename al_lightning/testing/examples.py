"""Small pools for strategies: candidates of given tensors, in the precision of these."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.models.backbones import linear
from al_lightning.models.classifier import Classifier
from al_lightning.models.learner import Learner, Scoring


@dataclass(frozen=True)
class Example:
    """A data set of features, a linear head on them, and which of its images have labels.

    Attributes:
        rows: `float [N, D]`, features of all images.
        weight: `float [K, D]`, of the head, without a bias.
        indices: `int64 [M]`, the candidates.
        labeled: `int64 [n]`, images that have labels.
        labels: `int64 [n]`, of those.
        dropout: of the head.
        on_embedding: whether the rows are known as an embedding, too.
    """

    rows: Tensor
    weight: Tensor
    indices: Tensor
    labeled: Tensor
    labels: Tensor
    dropout: float = 0.5
    on_embedding: bool = True

    def candidates(self, seed: int = 0, batch_size: int = 4096) -> Candidates:
        """What a strategy sees of it.

        Args:
            seed: of `candidates.rng`.
            batch_size: rows a step of the pass.
        """
        learner = Learner(self.model, self.rows, Scoring(batch_size))
        embedding = self.rows if self.on_embedding else None
        rng = np.random.default_rng(seed)
        return Candidates(learner, self.indices, rng, (self.labeled, self.labels), embedding)

    @cached_property
    def model(self) -> Classifier:
        """The head, in evaluation mode."""
        n_classes, n_features = self.weight.shape
        with torch.random.fork_rng(devices=[]):
            model = Classifier(
                linear(n_features),
                n_classes,
                dropout=self.dropout,
                scale=(torch.zeros(()), torch.ones(())),
                optimizer=None,
                schedule="constant",
                total_steps=1,
                crop=0,
                flip=False,
                augmentation_seed=0,
            )
        model = model.to(self.rows).eval().requires_grad_(False)
        model.head.weight.copy_(self.weight)
        model.head.bias.zero_()
        return model

    def to(self, dtype: torch.dtype, device: str = "cpu") -> "Example":
        """The same in another precision, or on another device."""
        return replace(self, rows=self.rows.to(device, dtype), weight=self.weight.to(device, dtype))


def make_example(
    n_candidates: int = 60, n_labeled: int = 20, n_features: int = 8, n_classes: int = 4, seed: int = 0
) -> Example:
    """Clouds of features, one a class and some of them overlapping, and a head that tells them apart, in float64.

    The indices of the candidates are not consecutive, and the first five images are neither labeled nor candidates.
    """
    rng = np.random.default_rng(seed)
    n = 2 * n_candidates + n_labeled
    classes = rng.integers(n_classes, size=n)
    centers = 2 * rng.normal(size=(n_classes, n_features)) / n_features**0.5
    rows = torch.from_numpy(centers[classes] + rng.normal(size=(n, n_features)) / n_features**0.5)
    order = torch.from_numpy(rng.permutation(n - 5) + 5)
    labeled = order[:n_labeled].sort().values
    return Example(
        rows,
        torch.from_numpy(1.5 * centers),
        order[n_labeled : n_labeled + n_candidates].sort().values,
        labeled,
        torch.from_numpy(classes)[labeled],
    )
