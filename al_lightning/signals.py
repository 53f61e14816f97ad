"""Being asked to stop: a signal becomes an exception where the program is, so that every `finally` runs at once.

Lightning's own handler would let the fit end as if it were done, after the batch, with exit code 0.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """A signal asked the process to stop.

    Attributes:
        signal_number: of the signal.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

    def __str__(self) -> str:
        return signal.Signals(self.signal_number).name

    @property
    def exit_code(self) -> int:
        """130 from the keyboard, otherwise 143, for SLURM's pre-emption signals too."""
        return 128 + (signal.SIGINT if self.signal_number == signal.SIGINT else signal.SIGTERM)


# What SLURM sends is chosen by `--signal`; the two user signals are what people choose.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def raised() -> Iterator[None]:
    """Raise :class:`Interrupted` when a signal arrives.

    A signal that is ignored, or that a launcher has a handler for (submitit requeues on SIGUSR2), is left to it.
    Outside of the main thread, where Python handles no signals, nothing changes.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    default = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: handler for number in _SIGNALS if (handler := signal.getsignal(number)) in default}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
