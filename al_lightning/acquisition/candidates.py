"""What a strategy sees: the images that it may ask for, those that have labels, and what the model makes of both."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from al_lightning.errors import ConfigError
from al_lightning.models.learner import Learner
from al_lightning.models.predictions import Predictions, finite

ROWS = 4096  # at a time, where a copy of all would be the largest thing there is


class Part:
    """Some images of a data set, and the learner that has just been fitted, if any.

    Nothing is computed before it is asked for, and everything once: a strategy that needs no features costs no pass.
    Tensors are on the device of the model, and their rows are in the order of `indices`.

    Args:
        learner: None in a round without labels: then there are indices and an embedding only.
        indices: `int64 [M]`, data set indices of the images; sorted here.
        embedding: `float16 [N, D]`, features of all images of the data set by a frozen network; None: there is none.
    """

    def __init__(self, learner: Learner | None, indices: Tensor, embedding: Tensor | None = None) -> None:
        self._learner, self._embedding = learner, embedding
        self.indices = indices.sort().values.to(learner.device if learner else "cpu")
        self._predictions = learner.of(self.indices) if learner else None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def predictions(self) -> Predictions:
        """What the model makes of them.

        Raises:
            ConfigError: there is no model.
        """
        if self._predictions is None:
            raise ConfigError(
                "al.initial_size=0: the strategy needs a model, and without labels there is none; "
                "give it some, or choose one that needs none (random)"
            )
        return self._predictions

    @property
    def features(self) -> Tensor:
        """Penultimate features without dropout, `float32 [M, D]`; errors as :attr:`predictions`.

        Raises:
            NotFiniteError: they are not finite.
        """
        return self.predictions.features

    def of_features(self, then: Callable[[Tensor], Tensor]) -> Tensor:
        """What becomes of the features, piece by piece; errors as :attr:`features`.

        See :meth:`al_lightning.models.predictions.Predictions.of_features`.
        """
        return self.predictions.of_features(then)

    def features_at(self, positions: Tensor) -> Tensor:
        """A copy of the features of some of them, by their positions `int64 [m]`; errors as :attr:`features`."""
        if self.predictions.streams and self._learner:
            return self._learner.of(self.indices[positions]).of_features(lambda rows: rows)
        return self.features[positions]

    @property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the class probabilities without dropout, `float32 [M, K]`; errors as :attr:`features`."""
        return self.predictions.log_probabilities

    def of_log_probabilities(self, then: Callable[[Tensor], Tensor]) -> Tensor:
        """What becomes of these, piece by piece; errors as :attr:`features`.

        See :meth:`al_lightning.models.predictions.Predictions.of_log_probabilities`.
        """
        return self.predictions.of_log_probabilities(then)

    @property
    def embedding(self) -> Tensor:
        """Features by a frozen network, `float32 [M, D]`, a new copy each time.

        Raises:
            ConfigError: there are none.
            NotFiniteError: they are not finite.
        """
        if self._embedding is None:
            raise ConfigError("strategy: it needs an embedding of the images, and there is none; choose another one")
        dtype = torch.promote_types(self._embedding.dtype, torch.float32)
        rows = torch.empty(len(self), self._embedding.shape[1], dtype=dtype, device=self.indices.device)
        for start in range(0, len(self), ROWS):
            rows[start : start + ROWS] = self._embedding[self.indices[start : start + ROWS].cpu()]
        return finite("embedding", rows)

    @cached_property
    def representation(self) -> Tensor:
        """Where images lie to each other, `float32 [M, D]`, rows of length 1 (or 0): the embedding, else the features.

        Errors as :attr:`features`, and as :attr:`predictions` where there is no embedding.
        """
        if self._embedding is None:
            return normalize(self.features, dim=1)
        rows = self.embedding
        for piece in rows.split(ROWS):
            piece.copy_(normalize(piece, dim=1))
        return rows


class Labeled(Part):
    """The n images that the model was fitted to.

    Args:
        labels: `int64 [n]`, class indices.
        others: as :class:`Part`.
    """

    def __init__(self, learner: Learner | None, indices: Tensor, embedding: Tensor | None, labels: Tensor) -> None:
        super().__init__(learner, indices, embedding)
        self.labels = labels[indices.argsort()].to(self.indices.device)


class Candidates(Part):
    """M unlabeled images.

    Args:
        learner: as :class:`Part`.
        indices: likewise.
        rng: everything random in choosing comes from it.
        labeled: data set indices `int64 [n]` and labels `int64 [n]` of the images that the model was fitted to; None:
            there are none.
        embedding: as :class:`Part`.
    """

    def __init__(
        self,
        learner: Learner | None,
        indices: Tensor,
        rng: np.random.Generator,
        labeled: tuple[Tensor, Tensor] | None = None,
        embedding: Tensor | None = None,
    ) -> None:
        super().__init__(learner, indices, embedding)
        self._labeled = (torch.empty(0, dtype=torch.int64),) * 2 if labeled is None else labeled
        self.rng = rng

    @property
    def inputs(self) -> Tensor:
        """What the first dropout of the model sees, `float32 [M, D]`; errors as :attr:`predictions`."""
        return self.predictions.inputs

    @property
    def head(self) -> nn.Linear:
        """The last layer of the model, from features to logits, `[M, D] -> [M, K]`; errors as :attr:`predictions`."""
        return self.predictions.head

    def samples(self, n: int, dropout: float | None = None) -> Iterator[Tensor]:
        """Logarithms of the class probabilities under T dropout masks, in consecutive pieces `float32 [m, T, K]`.

        See :meth:`al_lightning.models.predictions.Predictions.samples`.

        Raises:
            ConfigError: there is no model, or its samples could not differ.
            NotFiniteError: they are not finite.
        """
        return self.predictions.samples(n, self.rng, dropout)

    def samples_at(self, positions: Tensor, n: int) -> Tensor:
        """Likewise of some of them, under the masks that the next :meth:`samples` has, `float32 [m, T, K]`.

        Args:
            positions: `int64 [m]`.
            n: as :meth:`samples` will have it.
        """
        positions = positions.to(self.indices.device)
        if self.predictions.streams and self._learner:
            some = self._learner.of(self.indices[positions])
        else:
            some = self.predictions.at(positions)
        return torch.cat([*some.samples(n, deepcopy(self.rng))])

    @cached_property
    def labeled(self) -> Labeled:
        """The images that have labels; none in a round before there are any."""
        indices, labels = self._labeled
        return Labeled(self._learner, indices, self._embedding, labels)

    def others(self, images: Tensor) -> Part:
        """Images from elsewhere, in their order, as the learner sees them.

        Args:
            images: `uint8 [m, C, H, W]`, or what else the model takes.
        """
        return Part(self._learner and self._learner.on(images), torch.arange(len(images)))

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
