"""The same training with less in its way."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from al_lightning.models.classifier import Classifier


class FastClassifier(Classifier):
    """Runs the steps of an epoch inside of one step of Lightning's, which costs more than a small batch otherwise.

    The batches, the arithmetic and hence the weights are those of :class:`Classifier`.

    Args:
        clip: largest norm or value of the gradient, None for no clipping. The Trainer's own is for its own steps.
        clip_algorithm: `norm` or `value`.
        others: as :class:`Classifier`.
    """

    def __init__(self, *args: Any, clip: float | None = None, clip_algorithm: str | None = None, **others: Any) -> None:
        super().__init__(*args, **others)
        self.automatic_optimization = False
        self._clip, self._clip_algorithm = clip, clip_algorithm

    def training_step(self, batch: Iterable[tuple[Tensor, Tensor]], batch_index: int) -> None:  # type: ignore[override]
        """All optimizer steps of an epoch, whose batches are what Lightning calls a batch."""
        # Lightning's ways around an optimizer step take as long as a small layer, and only scaling needs them.
        optimizer: Any = self.optimizers(use_pl_optimizer=self.trainer.precision == "16-mixed")
        scheduler: Any = self.lr_schedulers()
        for part in batch:
            self._step(optimizer, part)
            scheduler.step()

    def _step(self, optimizer: Any, batch: tuple[Tensor, Tensor]) -> None:
        precision = self.trainer.precision
        backward = self.manual_backward if precision == "16-mixed" else Tensor.backward
        optimizer.zero_grad()
        loss = super().training_step(batch, 0)
        # Lightning's autocast covers all of the training step.
        with nullcontext() if precision == "32-true" else torch.autocast(self.device.type, enabled=False):
            backward(loss)
            if self._clip:
                self.clip_gradients(optimizer, self._clip, self._clip_algorithm)
            optimizer.step()
