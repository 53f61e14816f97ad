"""What the events of a store come to, image by image."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from al_lightning.people.records import FLAG, LABEL, SKIP, UNDO, UNFLAG, UNSURE, Event

OPEN, DISPUTED, LABELED = "open", "disputed", "labeled"  # of an image, besides `skip` and `unsure`
SETTLING = ("review", "doubtful")  # sources whose answer decides, whatever was said before


@dataclass
class Answers:
    """What is known of every image after some events; further ones are added as they come.

    An image has a label where all who gave it one agree, or where a review decided: then the last review counts.

    Attributes:
        last: id of the last event that counts here.
        labels: class by image, of those that have one.
        states: of images that were answered and have none: `skip`, `unsure` or `disputed`.
        flagged: images with a flag.
    """

    last: int = 0
    labels: dict[int, int] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    flagged: set[int] = field(default_factory=set)
    _events: dict[int, list[Event]] = field(default_factory=lambda: defaultdict(list))  # by image, those not undone
    _items: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # by action

    def add(self, events: Iterable[Event]) -> set[int]:
        """Take further events into account, in their order; returns the images that they are of."""
        touched: set[int] = set()
        for event in events:
            self.last = event.id
            if event.kind == UNDO:
                assert event.target is not None
                for item in self._items.pop(event.target, []):
                    self._events[item] = [each for each in self._events[item] if each.action != event.target]
                    touched.add(item)
            else:
                assert event.item is not None
                self._events[event.item].append(event)
                self._items[event.action].append(event.item)
                touched.add(event.item)
        for item in touched:
            self._settle(item)
        return touched

    def state(self, item: int) -> str:
        """`open`, `labeled`, `skip`, `unsure` or `disputed`."""
        return LABELED if item in self.labels else self.states.get(item, OPEN)

    def of(self, item: int) -> dict[int, Event]:
        """The last answer of every annotator to an image, flags aside."""
        return {each.annotator: each for each in self.events(item) if each.kind in (LABEL, SKIP, UNSURE)}

    def events(self, item: int) -> list[Event]:
        """The events of an image that are not undone, in their order."""
        return self._events.get(item, [])

    def deciding(self, item: int) -> list[Event]:
        """The answers that an image owes its state to: the last one of a review, or else the last one of everybody."""
        answers = [each for each in self.events(item) if each.kind in (LABEL, SKIP, UNSURE)]
        return [each for each in answers if each.source in SETTLING][-1:] or [*self.of(item).values()]

    def _settle(self, item: int) -> None:
        self.labels.pop(item, None)
        self.states.pop(item, None)
        self.flagged.discard(item)
        if [each.kind for each in self.events(item) if each.kind in (FLAG, UNFLAG)][-1:] == [FLAG]:
            self.flagged.add(item)
        decided = self.deciding(item)
        labels = {each.label for each in decided if each.label is not None}
        if len(labels) == 1:
            self.labels[item] = labels.pop()
        elif labels:
            self.states[item] = DISPUTED
        elif decided:
            self.states[item] = UNSURE if any(each.kind == UNSURE for each in decided) else SKIP
