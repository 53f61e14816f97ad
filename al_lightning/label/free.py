"""Images that can be handed out: in an order, or uniformly at random, each time in constant time."""

from collections.abc import Callable
from heapq import heappop, heappush

import numpy as np


class FreeSet:
    """A set of images, of which one can be drawn uniformly: an array of them, and where each is in it."""

    def __init__(self) -> None:
        self._members, self._place, self._n = np.empty(0, np.int64), np.empty(0, np.int64), 0

    def __len__(self) -> int:
        return self._n

    def __contains__(self, item: int) -> bool:
        return item < len(self._place) and bool(self._place[item] >= 0)

    def grow(self, size: int) -> None:
        """Make room for ids below a size."""
        more = max(0, size - len(self._place))
        self._place = np.append(self._place, np.full(more, -1))
        self._members = np.append(self._members, np.zeros(more, np.int64))

    def add(self, item: int) -> None:
        """Add an image that is not there."""
        self._members[self._n], self._place[item] = item, self._n
        self._n += 1

    def remove(self, item: int) -> None:
        """Remove an image that is there; the last one takes its place."""
        self._n -= 1
        place, last = self._place[item], self._members[self._n]
        self._members[place], self._place[last], self._place[item] = last, place, -1

    def draw(self, rng: np.random.Generator) -> int | None:
        """One of the images, each as likely as any other; None where there is none."""
        return int(self._members[rng.integers(self._n)]) if self._n else None


class Line:
    """Images in an order; what comes back takes its old place again.

    Args:
        items: `int64 [n]`, the first is wanted most.
        place: `int64`, by id, where an image is in `items`; -1 where it is not.
        start: the line is of `items[start:end]`.
        end: likewise; None: of all from the start on.
    """

    def __init__(self, items: np.ndarray, place: np.ndarray, start: int = 0, end: int | None = None) -> None:
        self._items, self._place, self._start, self._next = items, place, start, start
        self._end, self._back = len(items) if end is None else end, list[int]()

    def take(self, may: Callable[[int], bool]) -> int | None:
        """The first image that may be taken; those before it are passed over, until they come back."""
        while self._back or self._next < self._end:
            if self._back:
                at = heappop(self._back)
            else:
                at, self._next = self._next, self._next + 1
            if may(item := int(self._items[at])):
                return item
        return None

    def put_back(self, item: int) -> None:
        """An image may be taken again, if it is of this line and was passed over."""
        if item < len(self._place) and self._start <= (at := int(self._place[item])) < self._next:
            heappush(self._back, at)


def line(items: np.ndarray, size: int) -> Line:
    """A line of images, whose ids are below a size."""
    return Line(items, places(items, size))


def places(items: np.ndarray, size: int) -> np.ndarray:
    """Where each image is in `items`, by id; -1 where it is not."""
    place = np.full(size, -1)
    place[items] = np.arange(len(items))
    return place
