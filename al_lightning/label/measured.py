"""What random draws and second answers say, of the model and of the annotators: computed beside the requests."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from al_lightning.label import agreement, estimate
from al_lightning.label.desk import Desk
from al_lightning.label.figures import per_minute
from al_lightning.label.predictions import Predictions
from al_lightning.label.project import Settings
from al_lightning.people.answers import Answers
from al_lightning.people.records import Event

RECENT = 2000  # events that say how long a label takes


class Measured:
    """What was known when anything last changed.

    Args:
        desk: the state.
        settings: of the project.
    """

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self._desk, self._settings, self._blind, self._recent = desk, settings, Answers(), deque[Event](maxlen=RECENT)
        self._seen, self._last = (0, 0), 0
        self._estimate: dict[str, Any] | None = None
        self._curve: dict[str, Any] = {"points": [], "classes": []}
        self._agreement, self._right = agreement.Agreement(None, 0), dict[int, agreement.Right]()

    def look(self) -> None:
        """Compute what has changed; takes the desk's lock only to see what there is."""
        desk = self._desk
        with desk.lock:
            desk.catch_up()
            known = desk.predictions
            seen = desk.answers.last, known.query if known else 0
            if seen == self._seen:
                return
            draws, is_open = desk.draws[:], desk.is_open.copy()
        events = desk.store.events(self._last)
        self._last = events[-1].id if events else self._last
        self._recent += events
        self._blind.add(agreement.independent(events))
        trials = estimate.trials(draws, dict(self._blind_labels({each.item for each in draws})))
        if known:
            self._estimate, classes = self._of_model(trials, known, is_open)
            points = [asdict(each) for each in estimate.curve(trials)]
            self._curve = {"points": points, "classes": classes}
        if len(desk.given) > 1:
            self._agreement = agreement.agreement(self._blind)
            self._right = agreement.right(self._blind, desk.answers)
        self._seen = seen

    def _blind_labels(self, items: Iterable[int]) -> Iterator[tuple[int, int]]:
        """What whoever answered first said of drawn images, having seen neither other answers nor the model's."""
        for item in items:
            first = next(iter(self._blind.of(item).values()), None)
            if first and first.label is not None:
                yield item, first.label

    def _of_model(
        self, trials: estimate.Trials, known: Predictions, is_open: np.ndarray
    ) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """What is known of the model in use, None without draws of models like it or open images; and by class."""
        row = known.row[np.flatnonzero(is_open[: len(known.row)])]
        found = estimate.accuracy(trials, known.probability[row[row >= 0]], known.n_labeled)
        classes = [{"id": label} | asdict(each) for label, each in estimate.per_class(trials, known.n_labeled).items()]
        if found is None:
            return None, classes
        seconds, price, target = estimate.seconds_a_label(self._recent), self._settings.price, self._settings.target
        gain = None
        if np.count_nonzero(is_open) >= estimate.MORE:  # else there are none of which so many could be asked for
            gain = estimate.expected(trials, known.n_labeled, price=price, seconds=seconds)
        enough = estimate.enough(trials, gain, target=target, worth=self._settings.worth)
        return asdict(found) | {
            "n_labeled": known.n_labeled,
            "expected": asdict(gain) if gain else None,
            "enough": asdict(enough) if enough else None,
        }, classes

    def state(self) -> dict[str, Any]:
        """What the page shows of it; to be called with the desk's lock held."""
        annotators = []
        for number, name in self._desk.store.annotators().items():
            right = self._right.get(number)
            given = {"id": number, "name": name, "n": self._desk.given.get(number, 0)}
            shares = {"accuracy": right.accuracy if right else None, "accuracy_n": right.n if right else 0}
            annotators.append(given | shares | {"per_minute": per_minute(self._desk, number)})
        return {
            "annotators": annotators,
            "kappa": self._agreement.kappa,
            "kappa_n": self._agreement.n,
            "estimate": self._estimate,
        }

    def curve(self) -> dict[str, Any]:
        """The accuracy by labels, and by class."""
        return self._curve
