"""What heads say of labeled images that they were fitted without: how sure to be, and which labels are likely wrong."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from al_lightning.data.memory import take
from al_lightning.live.refit import Learned
from al_lightning.models import calibration
from al_lightning.models.convex import ConvexClassifier, out_of_sample
from al_lightning.streams import Stream, generator

SURE = 0.5  # how sure of another class heads have to be before a label is doubted


@dataclass(frozen=True)
class HeldOut:
    """Labeled images as heads see them that were fitted to the others, by five folds.

    Attributes:
        positions: `int64 [n]`, in the pool.
        labels: `int64 [n]`, from 0 to the number of classes that have labels.
        classes: `int64 [C]`, those classes.
        log_probabilities: `float32 [n, C]`.
    """

    positions: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    log_probabilities: np.ndarray

    def calibration(self, drawn: Collection[int]) -> dict[str, float] | None:
        """See :func:`al_lightning.models.calibration.calibration`; from images drawn at random, as others are harder.

        Args:
            drawn: their positions in the pool.
        """
        mask = np.isin(self.positions, [*drawn])
        return calibration.calibration(self.log_probabilities[mask], self.labels[mask])

    def doubtful(self) -> list[tuple[int, int, int, float]]:
        """Labels that confident learning takes for errors, and heads are sure of another class.

        Source: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", as
        cleanlab has it.

        Returns:
            Position in the pool, class, suggested class, and from 0 to 1 how likely the label is right; least first.
        """
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores

        predicted = np.exp(self.log_probabilities.astype(np.float64))
        # While models are weak most of what they doubt is right: another class has to be likelier than all the rest.
        is_issue = find_label_issues(self.labels, predicted, n_jobs=1) & (predicted.max(1) > SURE)
        scores = get_label_quality_scores(self.labels, predicted)
        order = np.flatnonzero(is_issue)[np.argsort(scores[is_issue], kind="stable")]
        columns = (self.positions, self.classes[self.labels], self.classes[predicted.argmax(1)], scores)
        return [*zip(*(column[order].tolist() for column in columns), strict=True)]


def held_out(learned: Learned, seed: int) -> HeldOut | None:
    """Fit heads to four fifths of the labels each; None where there are fewer than 30, or one class.

    Args:
        learned: of a refit.
        seed: of the folds.
    """
    model, positions = learned.model, learned.pool.trained_on
    labels = learned.pool.labels[positions]
    classes = labels.unique()
    if not isinstance(model, ConvexClassifier) or len(positions) < calibration.LEAST or len(classes) < 2:
        return None
    assert model.weight_decay is not None  # it has been fitted
    compact, rng = torch.searchsorted(classes, labels), generator(seed, Stream.FOLDS, learned.pool.round)
    features = model.normalized(take(learned.pool.images, positions.to(model.device)))
    found = out_of_sample(features, compact.to(model.device), len(classes), model.weight_decay, rng)
    return HeldOut(positions.numpy(), compact.numpy(), classes.numpy(), found.cpu().numpy())
