"""Seconds of every phase of a round."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import torch
from torch.profiler import record_function

from al_lightning.profiling import PHASE

PHASES = ("fit", "score", "select", "test")


class Clock:
    """A stopwatch whose phases never overlap: entering one pauses the one around it.

    The device is synchronized at every border, so that work still queued on a GPU counts where it was asked for.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device
        self._stack = ["other"]
        self.restart()

    def restart(self) -> None:
        """Set every phase to zero."""
        self._seconds: dict[str, float] = dict.fromkeys((*PHASES, "other"), 0.0)
        self._since = self._now()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside toward `name` and not toward the phase around it."""
        self._turn()
        self._stack.append(name)
        try:
            with record_function(f"{PHASE}{name}"):
                yield
        finally:
            self._turn()
            self._stack.pop()

    def seconds(self) -> dict[str, float]:
        """Seconds of each phase since the last restart; `other` is what no phase covers."""
        self._turn()
        return dict(self._seconds)

    def _turn(self) -> None:
        now = self._now()
        self._seconds[self._stack[-1]] += now - self._since
        self._since = now

    def _now(self) -> float:
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter()
