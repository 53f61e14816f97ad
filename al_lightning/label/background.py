"""Work that is done again and again beside the requests."""

from collections.abc import Callable
from threading import Event, Thread
from time import perf_counter

LOOK = 0.1  # seconds from one time to the next
REST = 4.0  # times as long as it took, where that is more: the requests come first


class Repeated:
    """A thread that calls a function until it is told to end.

    Args:
        work: is called.
        name: of the thread.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work, self._ending = work, Event()
        self._thread = Thread(target=self._run, daemon=True, name=name)
        self._thread.start()

    def end(self) -> None:
        """Stop, when what is being done is done."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        rest = 0.0
        while not self._ending.wait(rest):
            start = perf_counter()
            self._work()
            rest = max(LOOK, REST * (perf_counter() - start))
