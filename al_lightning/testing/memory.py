"""How much memory a function takes at most: what shows that it never holds all pairs of the pool."""

import os
import tracemalloc
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile


def peak(function: Callable[[], object]) -> int:
    """Bytes that tensors on the CPU and NumPy arrays took at most, each by themselves, whichever are more.

    Args:
        function: called once; what is made before does not count.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # or the profiler says on stderr that it begins
    tracemalloc.start()
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            function()
        arrays = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    events: Any = profiled.profiler.kineto_results.events()  # pyright: ignore[reportOptionalMemberAccess]
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    held = most = 0
    for _, change in changes:
        held += change
        most = max(most, held)
    return max(most, arrays)
