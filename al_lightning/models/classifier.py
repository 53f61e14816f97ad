"""The classifier: a backbone, a dropout head, and how they are trained and measured."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from al_lightning.data.augment import augment
from al_lightning.data.batches import BatchPart
from al_lightning.models.backbones import Backbone
from al_lightning.models.inference import for_scoring
from al_lightning.models.measures import N_BINS, measure

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


class Classifier(LightningModule):
    """`uint8 [B, C, H, W] -> logits [B, K]`: normalization, backbone, dropout, linear; one more such pair in some.

    On an embedding its input is `float16 [B, D]`, and there is nothing before the first dropout.

    Args:
        backbone: from images to features.
        n_classes: K.
        dropout: probability of dropping a feature before the last layer.
        scale: mean and standard deviation that its input is normalized with, see
            :meth:`al_lightning.data.images.ImageData.scale`.
        optimizer: makes the optimizer from the parameters; None for a fit that needs none.
        schedule: a key of `SCHEDULES`; the learning rate is multiplied by it, from 0 (start) to 1 (end of a cycle).
        total_steps: optimizer steps of the fit, or of a cycle where it takes several.
        crop: see :func:`al_lightning.data.augment.augment`.
        flip: likewise.
        augmentation_seed: of the draws of the augmentation.

    Attributes:
        confusion: `int64 [K, K]` of the last evaluation, rows are true classes.
        reliability: `float64 [15, 3]` of the last evaluation, see :func:`al_lightning.models.measures.measure`.
        converged: whether a fit that ends by itself has done so; None of one that takes the steps that it is given.
    """

    converged: bool | None = None

    def __init__(
        self,
        backbone: Backbone,
        n_classes: int,
        *,
        dropout: float,
        scale: tuple[Tensor, Tensor],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None,
        schedule: str,
        total_steps: int,
        crop: int,
        flip: bool,
        augmentation_seed: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone.module
        self.hidden, n_features = nn.Sequential(), backbone.n_features
        if backbone.hidden:
            hidden = backbone.hidden
            self.hidden = nn.Sequential(nn.Dropout(hidden.dropout), nn.Linear(n_features, hidden.size), nn.ReLU())
            n_features = hidden.size
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(n_features, n_classes)
        self.mean, self.deviation = map(nn.Buffer, scale)
        self._make_optimizer, self._schedule, self._total_steps = optimizer, SCHEDULES[schedule], total_steps
        self._crop, self._flip, self._augmentation_seed = crop, flip, augmentation_seed
        self._generator = torch.Generator()
        self._loss = nn.Buffer(torch.zeros(()), persistent=False)
        self._outputs: list[tuple[Tensor, Tensor]] = []
        self._frozen: dict[torch.dtype | None, Callable[[Tensor], Tensor]] = {}
        self.confusion = torch.zeros(n_classes, n_classes, dtype=torch.int64)
        self.reliability = torch.zeros(N_BINS, 3, dtype=torch.float64)

    @property
    def is_head(self) -> bool:
        """Whether there is nothing before the first dropout: its input is an embedding."""
        return isinstance(self.backbone, nn.Identity)

    @property
    def dropped(self) -> list[tuple[float, nn.Linear]]:
        """Every dropout with the linear layer that it comes before, first to last; a ReLU is between two of them."""
        hidden = [(self.hidden[0].p, self.hidden[1])] if len(self.hidden) else []
        return [*hidden, (self.dropout.p, self.head)]  # type: ignore[list-item]

    @property
    def sampled(self) -> list[tuple[float, nn.Linear]]:
        """The same, of the layers that dropout samples are taken from."""
        return self.dropped

    def normalized(self, images: Tensor) -> Tensor:
        """What the backbone sees, `uint8 -> float [B, C, H, W]`, or `float16 -> float [B, D]`."""
        return (images - self.mean) / self.deviation

    def logits(self, features: Tensor) -> Tensor:
        """From what the backbone returns to logits, `[B, D] -> [B, K]`."""
        return self.head(self.dropout(self.hidden(features)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, `[B, C, H, W] uint8 -> [B, K]`."""
        return self.logits(self.backbone(self.normalized(images)))

    def train(self, mode: bool = True) -> "Classifier":
        """Forget the frozen backbone, whose weights are about to change, and set the mode."""
        if mode:
            self._frozen.clear()
        return super().train(mode)

    def frozen_backbone(self, dtype: torch.dtype | None = None) -> Callable[[Tensor], Tensor]:
        """The backbone, faster as long as it is not trained; made once for the pool and the test part.

        Args:
            dtype: to compute in, see :func:`al_lightning.models.inference.for_scoring`.
        """
        if self.is_head:
            return self.backbone
        if dtype not in self._frozen:
            self._frozen[dtype] = for_scoring(self.backbone, dtype)
        return self._frozen[dtype]

    def on_fit_start(self) -> None:
        """Forget the frozen backbone; draw augmentations on the device, from a stream of their own."""
        self._frozen.clear()
        if self._generator.device != self.device:
            self._generator = torch.Generator(self.device)
        self._generator.manual_seed(self._augmentation_seed)
        self._loss.zero_()

    def training_step(self, batch: tuple[Tensor, Tensor] | BatchPart, batch_index: int) -> Tensor:
        """Cross entropy of one augmented batch, or of a rank's part of it, weighted as :class:`BatchPart` says."""
        if isinstance(batch, BatchPart):
            return batch.weight * self._cross_entropy(batch.images, batch.labels, (batch.begin, batch.whole))
        return self._cross_entropy(*batch)

    def _cross_entropy(self, images: Tensor, labels: Tensor, part: tuple[int, int] | None = None) -> Tensor:
        if self._crop or self._flip:
            images = augment(images, self._crop, self._flip, self._generator, part)
        loss = cross_entropy(self(images), labels)
        self._loss += loss.detach()
        return loss

    def on_train_epoch_end(self) -> None:
        """Stop a fit that has diverged; the weights are looked at once, after the last step.

        Raises:
            FloatingPointError: the loss or a weight is infinite or not a number.
        """
        epoch, epochs = self.trainer.current_epoch, self.trainer.max_epochs
        # Of all ranks, so that they stop together.
        if not self.trainer.strategy.reduce(self._loss.clone(), reduce_op="sum").isfinite():
            raise FloatingPointError(f"the loss is not finite in epoch {epoch} of {epochs}")
        if epoch + 1 != epochs:
            return
        # What is not finite leaves no finite sum, and a sum is taken sooner than all values are looked at.
        is_odd = not all(tensor.sum().isfinite() for tensor in (*self.parameters(), *self.buffers()))
        if self.trainer.strategy.reduce(torch.tensor(float(is_odd), device=self.device), reduce_op="sum"):
            raise FloatingPointError("the weights are not finite after the last step")

    def fit_columns(self) -> dict[str, Any]:
        """Columns of `rounds.csv` that say more of the fit."""
        return {}

    def new_optimizer(self) -> Optimizer:
        """An optimizer that has not taken a step."""
        assert self._make_optimizer is not None
        return self._make_optimizer(each for each in self.parameters() if each.requires_grad)

    def _rate(self, step: int) -> float:
        """What the learning rate is multiplied by; a fit that goes on begins the schedule anew."""
        return self._schedule(step % self._total_steps / self._total_steps)

    def configure_optimizers(self) -> Any:
        """The optimizer, with its learning rate moved every step."""
        optimizer = self.new_optimizer()
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def test_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """Keep the logits: every measure is taken once, over all of them."""
        images, labels = batch
        self._outputs.append((self.logits(self.frozen_backbone()(self.normalized(images))).float(), labels))

    validation_step = test_step

    def on_test_epoch_end(self) -> None:
        """Log the measures as `test/...`."""
        self._measure("test")

    def on_validation_epoch_end(self) -> None:
        """Log the measures as `val/...`."""
        self._measure("val")

    def _measure(self, part: str) -> None:
        logits, labels = (torch.cat(tensors) for tensors in zip(*self._outputs, strict=True))
        self._outputs.clear()
        scalars, self.confusion, self.reliability = measure(logits, labels)
        self.log_dict({f"{part}/{name}": value for name, value in scalars.items()})
