"""Whether a fit has fitted the labels it was given: one that has not says nothing about them, or about a strategy."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.models.inference import evaluating
from al_lightning.models.learner import Learner, Scoring
from al_lightning.models.predictions import NotFiniteError

# A cycle that brings less than both has brought nothing, and the next one would not either.
LEAST_GAIN = {"acc": 0.005, "min_recall": 0.05}


@dataclass(frozen=True)
class Fitted:
    """A network on the labels that it was trained on, dropout off.

    Attributes:
        acc: accuracy.
        loss: mean cross entropy, in nats.
        min_recall: the lowest recall of a class that occurs.
    """

    acc: float
    loss: float
    min_recall: float


def fitted(log_probabilities: Tensor, labels: Tensor) -> Fitted:
    """Measure a fit.

    Args:
        log_probabilities: `float [n, K]`, of the images trained on.
        labels: `int64 [n]`, the labels trained on.
    """
    hit = (log_probabilities.argmax(1) == labels).double()
    per_class = torch.bincount(labels, hit) / torch.bincount(labels)  # nan for a class that does not occur
    return Fitted(hit.mean().item(), nll_loss(log_probabilities, labels).item(), np.nanmin(per_class.tolist()).item())


@dataclass(frozen=True)
class Rule:
    """When a fit has failed, and when to go on with it.

    Attributes:
        max_cycles: most passes through the schedule, the first included.
        min_acc: lowest accuracy on the labels trained on; None: any.
        max_loss: highest mean cross entropy on them, in nats; None: any.
        min_recall: lowest recall of a class on them; None: any.
    """

    max_cycles: int
    min_acc: float | None
    max_loss: float | None
    min_recall: float | None

    def holds(self, fit: Fitted) -> bool:
        """Whether the fit has fitted its labels."""
        return (
            fit.acc >= (self.min_acc or 0.0)
            and (self.max_loss is None or fit.loss <= self.max_loss)
            and fit.min_recall >= (self.min_recall or 0.0)
        )

    def reason(self, cycles: list[Fitted]) -> str:
        """Why a fit that has failed is left as it is; empty where another cycle is worth its time.

        Args:
            cycles: what every cycle so far ended with.
        """
        if len(cycles) > 1:
            gains = {name: getattr(cycles[-1], name) - getattr(cycles[-2], name) for name in LEAST_GAIN}
            if all(gains[name] < least for name, least in LEAST_GAIN.items()):
                return "plateau"
        return "max_cycles" if len(cycles) >= self.max_cycles else ""


COLUMNS = (
    *("fit/acc", "fit/loss", "fit/min_recall", "fit/steps", "fit/cycles"),
    *("fit/ok", "fit/reason"),
)


@dataclass
class FitCheck(pl.Callback):
    """Looks at the labeled images once after the last step, and adds a cycle of the schedule to a fit that has failed.

    Weights and optimizer go on as they are; the learning rate begins anew. Of several ranks, 0 looks, and tells the
    others whether to go on.

    Attributes:
        pool: whose labeled images of the round are looked at.
        rule: when a fit has failed.
        epochs: of a cycle.
        cycles: what each ended with.
        reason: why a fit that has failed was left so; empty where it has not.
    """

    pool: PoolDataModule
    rule: Rule
    epochs: int
    cycles: list[Fitted] = field(default_factory=list)
    reason: str = ""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """At the end of a cycle, look at what it has come to."""
        if trainer.current_epoch + 1 != trainer.max_epochs:
            return
        assert isinstance(pl_module, Classifier)
        if trainer.strategy.broadcast(trainer.is_global_zero and self._goes_on(pl_module)):
            pl_module.train()  # its weights change: what was made to look at them is no longer good
            trainer.fit_loop.max_epochs = trainer.current_epoch + 1 + self.epochs

    def _goes_on(self, pl_module: Classifier) -> bool:
        indices = self.pool.trained_on
        with evaluating(pl_module):
            labeled = Learner(pl_module, self.pool.images, Scoring(self.pool.eval_batch_size)).of(indices)
            try:
                predicted = labeled.log_probabilities
            except NotFiniteError:  # a fit that diverged: the model stops it, after this
                return False
            self.cycles.append(fitted(predicted, self.pool.labels[indices].to(pl_module.device)))
        if pl_module.converged is not None:
            self.reason = "" if pl_module.converged else "max_iterations"
            return False
        if self.rule.holds(self.cycles[-1]):
            return False
        self.reason = self.rule.reason(self.cycles)
        return not self.reason

    def row(self, steps: int) -> dict[str, Any]:
        """Columns of `rounds.csv`, for a cycle of so many optimizer steps; all empty where there was no fit."""
        if not self.cycles:
            return dict.fromkeys(COLUMNS)
        measured = {f"fit/{name}": float(f"{value:.7g}") for name, value in vars(self.cycles[-1]).items()}
        n = len(self.cycles)
        return measured | {
            "fit/steps": n * steps,
            "fit/cycles": n,
            "fit/ok": not self.reason,
            "fit/reason": self.reason,
        }
