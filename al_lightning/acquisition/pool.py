"""The unlabeled pool as a strategy sees it: one pass of the backbone, and what follows from it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from al_lightning.clock import Clock
from al_lightning.model import Classifier

# Logits a chunk of dropout samples may hold: 128 MiB in fp32, however many images and samples there are.
CHUNK = 2**25

# The last batch of the pass is of a multiple of it. The pool shrinks every round, and oneDNN keeps the kernels of every
# batch size that it has seen: with sizes of all kinds a long run would grow.
STEP = 64


@contextmanager
def undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation without gradients that leaves every mode as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class Pool:
    """M unlabeled images and the model that has just been fitted.

    Nothing is computed before it is asked for, and everything once: a strategy that needs no features costs no pass.
    Tensors are on the device of the model, and their rows are in the order of `indices`.

    Args:
        model: in evaluation mode.
        images: `uint8 [N, C, H, W]`, the whole data set.
        indices: `int64 [M]`, data set indices of the unlabeled images, ascending.
        batch_size: images a step of the pass.
        rng: everything random in choosing comes from it.
        clock: counts the pass as `score`.
        on_batch: called with the number of images done, after each step of the pass.
    """

    def __init__(
        self,
        model: Classifier,
        images: Tensor,
        indices: Tensor,
        batch_size: int,
        rng: np.random.Generator,
        clock: Clock,
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._model, self._images, self._batch_size = model, images, batch_size
        self._clock, self._on_batch = clock, on_batch
        self.indices = indices.to(images.device)
        self.rng = rng

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def dropout(self) -> float:
        """Probability with which the head drops a feature."""
        return self._model.dropout.p

    @cached_property
    def features(self) -> Tensor:
        """Penultimate features, `float32 [M, D]`: the one pass."""
        with self._clock.phase("score"):
            out = torch.empty(len(self), self._model.head.in_features, device=self.indices.device)
            for start in range(0, len(self), self._batch_size):
                stop = min(start + self._batch_size, len(self))
                size = min(self._batch_size, -(-(stop - start) // STEP) * STEP)
                start = max(0, stop - size)  # a short last batch is filled up with images that are done
                out[start:stop] = self._model.features(self._images[self.indices[start:stop]])
                self._on_batch(stop)
            return out

    @cached_property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the class probabilities without dropout, `float32 [M, K]`."""
        return self._model.head(self.features).log_softmax(1)

    def mc_log_probabilities(self, samples: int) -> Iterator[Tensor]:
        """Logarithms of the class probabilities under T dropout masks that all images share.

        A mask on the features is a mask on the columns of the last layer's weight: T masked copies of it are one
        matrix product. Sharing them makes the samples joint over the pool, as BatchBALD needs too.

        Args:
            samples: T.

        Yields:
            Consecutive pieces of the pool, `float32 [m, T, K]`.
        """
        head, keep = self._model.head, 1.0 - self.dropout
        drawn = self.rng.random((samples, head.in_features), dtype=np.float32) < keep
        masks = torch.from_numpy(drawn).to(head.weight) / max(keep, 1e-12)
        weight = (masks[:, None, :] * head.weight).flatten(0, 1)  # [T * K, D]
        bias = head.bias.repeat(samples)
        for piece in self.features.split(max(1, CHUNK // len(bias))):
            logits = torch.addmm(bias, piece, weight.T).view(len(piece), samples, -1)
            yield logits.log_softmax(2)

    def predict(self, indices: Tensor) -> Tensor:
        """Predicted classes of some of the unlabeled images, `int64 [n]`, without a pass where there was none."""
        indices = indices.to(self.indices.device)
        if "features" in self.__dict__:
            return self.log_probabilities[torch.searchsorted(self.indices, indices)].argmax(1)
        return torch.cat([self._model(self._images[batch]).argmax(1) for batch in indices.split(self._batch_size)])
