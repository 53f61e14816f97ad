"""What a strategy sees: the images that it may ask for, those that have labels, and what the model makes of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from al_lightning.errors import ConfigError
from al_lightning.models.learner import Learner, Predictions


@dataclass(frozen=True)
class Labeled:
    """The n images that the model was fitted to.

    Attributes:
        indices: `int64 [n]`, data set indices, ascending.
        labels: `int64 [n]`, class indices.
        predictions: what the model makes of them, on first use.
        embedding: `float32 [n, D]`, of a frozen network; None where there is none.
    """

    indices: Tensor
    labels: Tensor
    predictions: Predictions | None
    embedding: Tensor | None

    @property
    def features(self) -> Tensor:
        """Penultimate features without dropout, `float32 [n, D]`.

        Raises:
            ConfigError: there is no model.
        """
        return _there(self.predictions).features

    @property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the class probabilities without dropout, `float32 [n, K]`; errors as :attr:`features`."""
        return _there(self.predictions).log_probabilities


class Candidates:
    """M unlabeled images, and the learner that has just been fitted, if any.

    Nothing is computed before it is asked for, and everything once: a strategy that needs no features costs no pass.
    Tensors are on the device of the model, and their rows are in the order of `indices`.

    Args:
        learner: None in a round without labels: then there are indices and an embedding only.
        indices: `int64 [M]`, data set indices of the images, ascending.
        rng: everything random in choosing comes from it.
        labeled: data set indices `int64 [n]` and labels `int64 [n]` of the images that the model was fitted to; None:
            there are none.
        embedding: `float16 [N, D]`, features of all images of the data set by a frozen network; None: there is none.
    """

    def __init__(
        self,
        learner: Learner | None,
        indices: Tensor,
        rng: np.random.Generator,
        labeled: tuple[Tensor, Tensor] | None = None,
        embedding: Tensor | None = None,
    ) -> None:
        self._learner, self._embedding = learner, embedding
        self._labeled = (torch.empty(0, dtype=torch.int64),) * 2 if labeled is None else labeled
        device = learner.device if learner else torch.device("cpu")
        self.indices = indices.to(device)
        self.rng = rng
        self._predictions = learner.of(self.indices) if learner else None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def predictions(self) -> Predictions:
        """What the model makes of them.

        Raises:
            ConfigError: there is no model.
        """
        return _there(self._predictions)

    @property
    def dropout(self) -> float:
        """The highest probability with which the model drops a feature; 0: its predictions are all the same."""
        return self.predictions.dropout

    @property
    def diverged(self) -> bool:
        """Whether the predictions, as far as there has been a pass, are not finite."""
        made = self._predictions
        return made is not None and made.has_looked and not bool(made.log_probabilities.isfinite().all())

    @property
    def inputs(self) -> Tensor:
        """What the first dropout of the model sees, `float32 [M, D]`; errors as :attr:`predictions`."""
        return self.predictions.inputs

    @property
    def features(self) -> Tensor:
        """Penultimate features without dropout, `float32 [M, D]`; errors as :attr:`predictions`."""
        return self.predictions.features

    @property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the class probabilities without dropout, `float32 [M, K]`; errors as :attr:`predictions`."""
        return self.predictions.log_probabilities

    def samples(self, n: int) -> Iterator[Tensor]:
        """Logarithms of the class probabilities under n dropout masks, in consecutive pieces `float32 [m, n, K]`.

        See :meth:`al_lightning.models.learner.Predictions.samples`.

        Raises:
            ConfigError: there is no model, or its samples could not differ.
        """
        return self.predictions.samples(n, self.rng)

    @cached_property
    def labeled(self) -> Labeled:
        """The images that have labels; none in a round before there are any."""
        indices, labels = (each.to(self.indices.device) for each in self._labeled)
        made = self._learner.of(indices) if self._learner else None
        embedding = None if self._embedding is None else self._embedding[indices.cpu()].float().to(indices.device)
        return Labeled(indices, labels, made, embedding)

    @property
    def embedding(self) -> Tensor:
        """Features by a frozen network, `float32 [M, D]`.

        Raises:
            ConfigError: there are none.
        """
        if self._embedding is None:
            raise ConfigError("strategy: it needs an embedding of the images, and there is none; choose another one")
        return self._embedding[self.indices.cpu()].float().to(self.indices.device)

    def predict(self, indices: Tensor) -> Tensor:
        """Predicted classes of some of them, `int64 [n]`, without a pass where there was none.

        Raises:
            ConfigError: there is no model.
        """
        indices = indices.to(self.indices.device)
        if self.predictions.has_looked:
            return self.log_probabilities[torch.searchsorted(self.indices, indices)].argmax(1)
        assert self._learner is not None  # there are predictions
        return self._learner.predict(indices)


def _there(predictions: Predictions | None) -> Predictions:
    if predictions is None:
        raise ConfigError(
            "al.initial_size=0: the strategy needs a model, and without labels there is none; "
            "give it some, or choose one that needs none (random)"
        )
    return predictions
