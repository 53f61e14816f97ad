"""The weight decay of a convex fit, from round to round."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from al_lightning.models.classifier import Classifier
from al_lightning.models.convex import ConvexClassifier


class KeptWeightDecay:
    """Makes the classifier of every round; its weight decay is chosen anew when the labels have doubled since the last.

    Args:
        make: makes one from the number of the round, that of its labels, and the weight decay.
        rows: of the rounds before this process.
    """

    def __init__(self, make: Callable[..., Classifier], rows: Sequence[Mapping[str, Any]]) -> None:
        self._make, self._n, self._value = make, 0, None
        self._last: Classifier | None = None
        for row in rows:
            if row.get("fit/weight_decay") is not None:
                self._note(row["n_labeled"], row["fit/weight_decay"])

    def _note(self, n_labeled: int, value: float | None) -> None:
        self._n, self._value = (n_labeled if n_labeled >= 2 * self._n else self._n), value

    def __call__(self, round_: int, n_labeled: int) -> Classifier:
        """The classifier of a round."""
        if isinstance(self._last, ConvexClassifier) and self._last.weight_decay is not None:
            self._note(self._last_n, self._last.weight_decay)
        is_due = n_labeled >= 2 * self._n
        self._last, self._last_n = self._make(round_, n_labeled, None if is_due else self._value), n_labeled
        return self._last
