"""The same for many files, in threads, with a bar to watch."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

CHUNK = 64  # items: handing over single small images would cost more than decoding them

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
    console = Console(stderr=True)
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    results: list[Result] = []
    try:
        with progress:
            task = progress.add_task(description, total=len(items))
            for done in executor.map(lambda chunk: [work(item) for item in chunk if not stop.is_set()], chunks):
                results += done
                progress.update(task, completed=len(results))
    except BaseException:
        stop.set()
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
    return results
