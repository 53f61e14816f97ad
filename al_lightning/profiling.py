"""What the operations of a round took, as PyTorch's profiler sees them."""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

PHASE = "phase: "  # with it begin the names of what al_lightning.clock.Clock records
COLUMNS = ("phase", "operation", "calls", "seconds", "share", "gpu_seconds")


@contextmanager
def profiled(wanted: bool) -> Iterator[list[dict[str, Any]]]:
    """Profile what happens inside.

    Every operation is kept until the end: about 1 KB each, some 500 of them a training step of a ResNet-18.

    Args:
        wanted: or else nothing is done, and the list stays empty.

    Yields:
        A list that is filled at the end: rows with the columns `COLUMNS`, largest first. The seconds of an operation
        are its own, without those that it calls; `share` is of all seconds. The rest of a phase, Python above all,
        is the operation `(Python)`; `gpu_seconds` are those of the kernels that an operation starts.
    """
    rows: list[dict[str, Any]] = []
    if not wanted:
        yield rows
        return
    # On a machine without a GPU the profiler would say on stderr that it finds none.
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as profiler, torch.profiler.record_function(f"{PHASE}other"):
        yield rows
    rows += _table(profiler.events() or [])


def _table(events: Any) -> list[dict[str, Any]]:
    phases = [event for event in events if event.name.startswith(PHASE) and event.device_type.name == "CPU"]
    phases.sort(key=lambda event: event.time_range.start)
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for event in events:
        if event.device_type.name != "CPU":  # kernels count with the operations that start them
            continue
        # By time and not by caller: on a GPU the backward pass has a thread of its own.
        inside = [phase for phase in phases if phase.time_range.start <= event.time_range.start <= phase.time_range.end]
        phase = inside[-1].name.removeprefix(PHASE) if inside else "other"
        operation = "(Python)" if event.name.startswith(PHASE) else event.name
        total = sums[phase, operation]
        total[0] += event.count
        total[1] += event.self_cpu_time_total / 1e6
        total[2] += event.self_device_time_total / 1e6
    seconds = sum(total[1] for total in sums.values())
    return [
        dict(zip(COLUMNS, (*names, int(calls), round(own, 6), round(own / seconds, 4), round(gpu, 6)), strict=True))
        for names, (calls, own, gpu) in sorted(sums.items(), key=lambda item: -max(item[1][1:]))
    ]
