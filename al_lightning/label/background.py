"""Work that is done again and again beside the requests."""

import sys
import traceback
from collections.abc import Callable
from threading import Event, Thread
from time import perf_counter

from al_lightning.errors import UserError

LOOK = 0.1  # seconds from one time to the next
REST = 4.0  # times as long as it took, where that is more: the requests come first


class Repeated:
    """A thread that calls a function until it is told to end.

    Args:
        work: is called.
        what: it brings up to date, in words for people.

    Attributes:
        problem: what went wrong the last time, in a line; empty: nothing.
    """

    def __init__(self, work: Callable[[], None], what: str) -> None:
        self._work, self._what, self._ending, self.problem = work, what, Event(), ""
        self._thread = Thread(target=self._run, daemon=True, name=what)

    def start(self) -> None:
        """Begin; to be called once."""
        self._thread.start()

    def end(self) -> None:
        """Stop, when what is being done is done."""
        self._ending.set()
        self._thread.join()

    def once(self) -> None:
        """Call the function; what it raises is said, and kept for the page."""
        try:
            self._work()
            self.problem = ""
        except Exception as error:  # whatever it is, it may work the next time
            problem = f"{self._what} cannot be brought up to date: {_in_a_line(error)}"
            if problem != self.problem:
                say(error)
            self.problem = problem

    def _run(self) -> None:
        rest = 0.0
        while not self._ending.wait(rest):
            start = perf_counter()
            self.once()
            rest = max(LOOK, REST * (perf_counter() - start))


def say(error: Exception) -> str:
    """Say on the terminal what went wrong in a thread, and return it in a line, for the page."""
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    print(f"error: {_in_a_line(error)}", file=sys.stderr)
    return _in_a_line(error)


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
