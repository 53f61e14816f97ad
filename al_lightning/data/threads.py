"""The same for many files, in threads, with a bar to watch."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

CHUNK = 64  # items: handing over single small images would cost more than decoding them

# Is told of long work besides the terminal: what it is, steps that are done, and all steps.
WATCHER: ContextVar[Callable[[str, int, int], None]] = ContextVar("WATCHER", default=lambda what, done, total: None)

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], description: str) -> list[Result]:
    """Call a function that releases the GIL on every item; on a terminal, a bar on standard error shows how far it is.

    An interrupt ends it at once: calls that have not begun are dropped, those that run are not waited for.

    Returns:
        The results, in the order of the items.
    """
    stop = Event()
    executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="images")
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    results: list[Result] = []
    try:
        with watched(description, len(items)) as advance:
            for done in executor.map(lambda chunk: [work(item) for item in chunk if not stop.is_set()], chunks):
                results += done
                advance(len(done))
    except BaseException:
        stop.set()
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
    return results


@contextmanager
def watched(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Around long work: on a terminal, a bar on standard error shows how far it is.

    Args:
        description: of the work.
        total: steps.

    Yields:
        What is called with the number of steps that have just been done.
    """
    console = Console(stderr=True)
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task, tell, n = progress.add_task(description, total=total), WATCHER.get(), 0

        def advance(done: int) -> None:
            nonlocal n
            n += done
            progress.update(task, advance=done)
            tell(description, n, total)

        tell(description, 0, total)
        yield advance
