"""Being asked to stop: a signal becomes an exception where the program is, so that every `finally` runs at once.

Lightning's own handler would let the fit end as if it were done, after the batch, with exit code 0.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any


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
        """130 from the keyboard, otherwise 143, whichever signal it was."""
        return 128 + (signal.SIGINT if self.by_keyboard else signal.SIGTERM)

    @property
    def by_keyboard(self) -> bool:
        """Whether it was Ctrl-C."""
        return self.signal_number == signal.SIGINT


# What SLURM sends is chosen by `--signal`; the two user signals are what people choose. A terminal that is closed sends
# SIGHUP, a limit on CPU time SIGXCPU.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGXCPU)
_SOON = 0.1  # seconds
_AGAIN = 3.0  # seconds after which one that has not been heard is raised again: C code may have lost what was raised


def handed_on() -> tuple[int, ...]:
    """The signals that ask a command to stop: processes that it has started leave them to it."""
    return _SIGNALS


@contextmanager
def raised() -> Iterator[None]:
    """Raise :class:`Interrupted` when a signal arrives.

    A signal that is ignored (SIGHUP under `nohup`), or that a launcher has a handler for (submitit requeues on
    SIGUSR2), is left to it. Outside of the main thread, where Python handles no signals, nothing changes. What Python
    drops, because it was raised in a `__del__`, is raised again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    default = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: handler for number in _SIGNALS if (handler := signal.getsignal(number)) in default}
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_again, hook)
    for number in before:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


def heard() -> None:
    """Raise no signal again, up to the end of :func:`raised`: what was told to stop is stopping, and needs time for it.

    A terminal that closes says so twice, a limit on CPU time every second. Ctrl-C is still raised: people may not want
    to wait.
    """
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if number != signal.SIGINT and signal.getsignal(number) is _raise:
                signal.signal(number, _pass)


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call this in place of raising, within :func:`raised`: an exception anywhere would tear an event loop apart."""
    mine = [number for number in _SIGNALS if signal.getsignal(number) is _raise]
    for number in mine:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, _raise)


@contextmanager
def first(tell: Callable[[], None]) -> Iterator[None]:
    """Call this before a signal is raised, within :func:`raised`; meanwhile it is as after :func:`heard`."""
    arrived: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            if signal.getsignal(each) is handler:
                signal.signal(each, _raise if each == signal.SIGINT else _pass)
        arrived.append(number)
        tell()
        raise Interrupted(number)

    with handled(handler):
        try:
            yield
        except Exception:
            if not arrived:
                raise
        if arrived:  # and C code, as Ray's, has made another exception of it, or none
            raise Interrupted(arrived[0])


@contextmanager
def unheard() -> Iterator[None]:
    """Processes that are started meanwhile do not hear Ctrl-C, which a terminal sends to all that it has.

    It is blocked in this thread, which they inherit, and open in another: handlers run in this one all the same.
    """
    over = threading.Event()
    thread = threading.Thread(target=over.wait, daemon=True)
    thread.start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        over.set()
        thread.join()


@contextmanager
def asked(look: Callable[[], bool], every: float) -> Iterator[None]:
    """Raise :class:`Interrupted`, within :func:`raised`, also when something else than a signal asks for it.

    Args:
        look: whether it does; called in a thread.
        every: so many seconds.
    """
    main, over = threading.main_thread(), threading.Event()

    def watch() -> None:
        pause = every
        while not over.wait(pause):
            # By one that a launcher has no handler for, and that is not raised again while what it stops is ending.
            number = next((each for each in _SIGNALS[1:] if signal.getsignal(each) is _raise), None)
            if number and main.ident and look():
                signal.pthread_kill(main.ident, number)
                pause = _AGAIN

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()  # before the handlers go


@contextmanager
def postponed() -> Iterator[None]:
    """Raise what arrives only afterwards: an import that is cut short leaves a module that is not whole to the next."""
    arrived: list[int] = []
    with handled(lambda number, frame: arrived.append(number)):
        yield
    if arrived:
        raise Interrupted(arrived[0])


@contextmanager
def importing() -> Iterator[None]:
    """End the process at once in place of raising, while libraries are imported and nothing is held that has to end.

    C code that imports would make an `ImportError` of what is raised, or lose it.
    """
    with handled(_end):
        yield


def told(stop: Interrupted, then: str = "the same command goes on") -> int:
    """Say in a line that a command was stopped, and what comes then; returns its exit code."""
    print(f"stopped by {stop}; {then}", file=sys.stderr, flush=True)
    return stop.exit_code


def ended_by(command: Callable[[], int]) -> int:
    """Run a command that a signal may end at any moment, and that begins anew the next time; returns its exit code."""
    try:
        with raised():
            return command()
    except Interrupted as stop:
        return told(stop, "give the same command again")


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(told(Interrupted(number)))


def _again(hook: Callable[["sys.UnraisableHookArgs"], Any], dropped: "sys.UnraisableHookArgs") -> None:
    if isinstance(dropped.exc_value, Interrupted):
        # A little later: here it would be dropped once more.
        main, number = threading.main_thread().ident, dropped.exc_value.signal_number
        threading.Timer(_SOON, lambda: main and signal.pthread_kill(main, number)).start()
    else:
        hook(dropped)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _pass(number: int, frame: FrameType | None) -> None:
    """Not SIG_IGN, which processes started from now on would inherit."""
