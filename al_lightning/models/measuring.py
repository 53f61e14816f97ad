"""What a round measures: on the test part and on the validation set, as far as there are any."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.models.measures import MEASURES, N_BINS


@dataclass
class Measured:
    """Measures of a round; what does not exist is empty.

    Attributes:
        values: by name, `test/acc` for example.
        n_classes: K.
        confusion: `int64 [K, K]`, rows are true classes; of the test part, else of the validation set.
        reliability: `float64 [15, 3]`, see :func:`al_lightning.models.measures.measure`; likewise.
    """

    values: dict[str, float]
    n_classes: int
    confusion: np.ndarray = field(init=False)
    reliability: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.n_classes, self.n_classes), dtype=np.int64)
        self.reliability = np.zeros((N_BINS, 3))

    def row(self, parts: Sequence[str]) -> dict[str, Any]:
        """Columns of `rounds.csv`: those of the test part, and those of the other parts that there are."""
        named = [f"{part}/{name}" for part in dict.fromkeys(("test", *parts)) for name in MEASURES]
        # They come as single precision.
        return dict.fromkeys(named) | {name: float(f"{value:.7g}") for name, value in self.values.items()}


def measure_round(trainer: pl.Trainer, model: Classifier, pool: PoolDataModule, parts: Sequence[str]) -> Measured:
    """Measure a model.

    Args:
        trainer: that has fitted it.
        model: on whatever device.
        pool: whose parts these are.
        parts: `test`, `val`, or both in this order.
    """
    measured = Measured({}, len(pool.data.classes))
    parts = [part for part in parts if part == "test" or pool.val_mask.any()]  # the oracle may have had no label for it
    for part in parts:
        if part == "test":
            found = trainer.test(model, datamodule=pool, verbose=False)
        else:
            found = trainer.validate(model, pool.validation_batches(), verbose=False)
        measured.values |= dict(found[0])
        if part == parts[0]:
            measured.confusion, measured.reliability = model.confusion.cpu().numpy(), model.reliability.cpu().numpy()
    return measured
