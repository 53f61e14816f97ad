"""The unlabeled pool as a strategy sees it: one pass of the backbone, and what follows from it."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from al_lightning.clock import Clock
from al_lightning.data.memory import take
from al_lightning.errors import ConfigError
from al_lightning.model import Classifier

# Logits a chunk of dropout samples may hold: 128 MiB in fp32, however many images and samples there are.
CHUNK = 2**25

# The last batch of the pass is of a multiple of it. The pool shrinks every round, and oneDNN keeps the kernels of every
# batch size that it has seen: with sizes of all kinds a long run would grow.
STEP = 64


class Pool:
    """M unlabeled images and the model that has just been fitted.

    Nothing is computed before it is asked for, and everything once: a strategy that needs no features costs no pass.
    Tensors are on the device of the model, and their rows are in the order of `indices`.

    Args:
        model: in evaluation mode.
        images: `uint8 [N, C, H, W]`, the whole data set, on the device or on the host.
        indices: `int64 [M]`, data set indices of the unlabeled images, ascending.
        batch_size: images a step of the pass; half as many where the device runs out of memory.
        rng: everything random in choosing comes from it.
        clock: counts the pass as `score`; None: it counts where it is made.
        on_batch: called with the number of images done, after each step of the pass.
        dtype: that the backbone computes in during the pass; None: as it was trained.
    """

    def __init__(
        self,
        model: Classifier,
        images: Tensor,
        indices: Tensor,
        batch_size: int,
        rng: np.random.Generator,
        clock: Clock | None = None,
        on_batch: Callable[[int], None] = lambda done: None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._model, self._images, self._batch_size = model, images, batch_size
        self._clock, self._on_batch, self._dtype = clock, on_batch, dtype
        self.indices = indices.to(model.device)
        self.rng = rng

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def dropout(self) -> float:
        """The highest probability with which the model drops a feature; 0: its predictions are all the same."""
        return max(p for p, _ in self._model.dropped)

    @property
    def diverged(self) -> bool:
        """Whether the predictions, as far as there has been a pass, are not finite."""
        return "inputs" in self.__dict__ and not bool(self.log_probabilities.isfinite().all())

    @cached_property
    def inputs(self) -> Tensor:
        """What the first dropout of the model sees, `float32 [M, D]`: the one pass."""
        with self._clock.phase("score") if self._clock else nullcontext():
            backbone = self._model.frozen_backbone(self._dtype)
            out = torch.empty(len(self), self._model.dropped[0][1].in_features, device=self.indices.device)
            done = 0
            while done < len(self):
                stop = min(done + self._batch_size, len(self))
                size = min(self._batch_size, -(-(stop - done) // STEP) * STEP)
                start = max(0, stop - size)  # a short last batch is filled up with images that are done
                try:
                    out[start:stop] = backbone(self._model.normalized(take(self._images, self.indices[start:stop])))
                except torch.OutOfMemoryError:
                    if self._batch_size == 1:
                        raise
                    self._batch_size //= 2
                    continue
                done = stop
                self._on_batch(done)
            return out

    @cached_property
    def features(self) -> Tensor:
        """Penultimate features without dropout, `float32 [M, D]`: of most models, the inputs themselves."""
        return self._model.hidden(self.inputs)

    @cached_property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the class probabilities without dropout, `float32 [M, K]`."""
        return self._model.head(self.features).log_softmax(1)

    def mc_log_probabilities(self, samples: int) -> Iterator[Tensor]:
        """Logarithms of the class probabilities under T dropout masks that all images share.

        A mask on what a layer sees is a mask on the columns of its weight: for the first one, T masked copies of it are
        one matrix product. Sharing them makes the samples joint over the pool, as BatchBALD needs too.

        Args:
            samples: T.

        Returns:
            Consecutive pieces of the pool, `float32 [m, T, K]`.

        Raises:
            ConfigError: the samples could not differ.
        """
        # All samples the same: every score that lives off their differences would be 0, and the query random.
        if self.dropout == 0:
            raise ConfigError(
                "model.dropout=0: the strategy samples by dropout; type model.dropout=0.5, or another one"
            )
        if samples < 2:
            raise ConfigError(f"al.mc_samples={samples}: the strategy compares dropout samples; at least 2 are needed")
        return self._samples(samples)

    def _samples(self, samples: int) -> Iterator[Tensor]:
        layers = self._model.dropped
        masks = [self._masks(samples, p, layer) for p, layer in layers]  # [T, D] of every layer
        first = layers[0][1]
        together = max(1, 4 * CHUNK // first.weight.numel())  # masked copies of a wide layer that fit into 512 MiB
        for piece in self.inputs.split(max(1, CHUNK // (samples * first.out_features))):
            parts = []
            for block in zip(*(mask.split(together) for mask in masks), strict=True):
                weight = (block[0][:, None, :] * first.weight).flatten(0, 1)  # [T * H, D]
                outputs = torch.addmm(first.bias.repeat(len(block[0])), piece, weight.T)
                outputs = outputs.view(len(piece), len(block[0]), -1)
                for mask, (_, layer) in zip(block[1:], layers[1:], strict=True):
                    outputs = layer(outputs.relu() * mask)
                parts.append(outputs)
            yield torch.cat(parts, 1).log_softmax(2)

    def predict(self, indices: Tensor) -> Tensor:
        """Predicted classes of some of the unlabeled images, `int64 [n]`, without a pass where there was none."""
        indices = indices.to(self.indices.device)
        if "inputs" in self.__dict__:
            return self.log_probabilities[torch.searchsorted(self.indices, indices)].argmax(1)
        batches = indices.split(self._batch_size)
        return torch.cat([self._model(take(self._images, batch)).argmax(1) for batch in batches])

    def _masks(self, samples: int, p: float, layer: torch.nn.Linear) -> Tensor:
        drawn = self.rng.random((samples, layer.in_features), dtype=np.float32) < 1.0 - p
        return torch.from_numpy(drawn).to(layer.weight) / max(1.0 - p, 1e-12)
