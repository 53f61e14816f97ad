"""Those who watch a run: the console and the mirror in Weights & Biases. They change nothing in it."""

import sys
from collections.abc import Sequence
from typing import Any, Protocol

from al_lightning.runs.rounds import Round
from al_lightning.runs.run_info import RunInfo


class Observer(Protocol):
    """Told of a run as it goes; an interrupted run calls `finish` where it can."""

    def start(self, run: RunInfo) -> None:
        """The run starts, or goes on after `run.rounds`."""
        ...

    def round(self, done: Round) -> None:
        """A round has been committed."""
        ...

    def finish(self, state: str, summary: dict[str, Any]) -> None:
        """The run has ended: `finished`, `waiting`, `failed` or `interrupted`; `summary` is that of `summary.json`."""
        ...


class Observers:
    """Several as one: what fails in one of them is said, and reaches neither the run nor the others.

    Args:
        observers: told in this order.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def start(self, run: RunInfo) -> None:
        """See :meth:`Observer.start`."""
        self._tell("start", run)

    def round(self, done: Round) -> None:
        """See :meth:`Observer.round`."""
        self._tell("round", done)

    def finish(self, state: str, summary: dict[str, Any]) -> None:
        """See :meth:`Observer.finish`."""
        self._tell("finish", state, summary)

    def _tell(self, what: str, *given: Any) -> None:
        for observer in self._observers:
            try:
                getattr(observer, what)(*given)
            except Exception as error:  # whatever it is: the run's folder does not depend on it
                name = type(observer).__name__
                print(f"warning: {name}.{what} failed, the run goes on: {one_line(error)}", file=sys.stderr)


def one_line(error: Exception) -> str:
    """An error's type and message on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
