"""Who has which image open, so that nobody else gets it."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

SECONDS = 600.0  # that an image is kept for who has it open, from when the page last said so


class Lease(NamedTuple):
    """Who has an image.

    Attributes:
        annotator: who.
        where: `page`, `grid` or `map`.
        kind: as what it was handed out: `chosen`, `random`, `again`, `asked` or `stored`.
        until: when it ends, of a monotonic clock, in seconds.
    """

    annotator: int
    where: str
    kind: str
    until: float


class Leases:
    """The leases, those that end first come first."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, Lease] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, item: int) -> bool:
        return item in self._held

    def get(self, item: int) -> Lease | None:
        """The lease of an image."""
        return self._held.get(item)

    def give(self, item: int, annotator: int, where: str, kind: str, now: float) -> None:
        """Lease an image, or renew its lease."""
        self._held[item] = Lease(annotator, where, kind, now + SECONDS)
        self._held.move_to_end(item)

    def end(self, item: int) -> None:
        """Nobody has the image open any more."""
        self._held.pop(item, None)

    def pop_ended(self, now: float) -> Iterator[int]:
        """Take away the leases whose time is over, and say of which images."""
        while self._held and (first := next(iter(self._held.items())))[1].until <= now:
            del self._held[first[0]]
            yield first[0]

    def of(self, annotator: int) -> dict[int, Lease]:
        """What an annotator has open, the longest known first."""
        return {item: lease for item, lease in self._held.items() if lease.annotator == annotator}
