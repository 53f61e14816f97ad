"""The processes of a run that has several devices: which is which, and the group that they talk in.

Rank 0 is the process that the user started. The others are on the same machine, and have a device each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

# The last resort, where a process neither ends nor goes on: a dead one is seen at once.
PATIENCE = timedelta(minutes=30)
LEAVING = 10.0  # seconds that this may take
HERE = "127.0.0.1"

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rank:
    """One of the processes of a run.

    Attributes:
        number: its own, from 0.
        of: how many there are.
        first_gpu: that of rank 0; the others have the next ones.
    """

    number: int = 0
    of: int = 1
    first_gpu: int = 0

    def part(self, n: int) -> tuple[int, int]:
        """Where this rank's part of a batch of n images begins and ends.

        The parts differ by one image at most, and have two at least, which batch normalization takes. Where there are
        too few images for that, the last ranks have an empty one.
        """
        taking = min(self.of, n // 2)
        begin, end = (n * min(number, taking) // taking for number in (self.number, self.number + 1))
        return begin, end


ALONE = Rank()


def store(port: int, of: int) -> TCPStore:
    """Where ranks meet.

    Args:
        port: that rank 0 listens at; 0: this is rank 0, which takes any that is free.
        of: how many there are.
    """
    return TCPStore(HERE, port, of, is_master=not port, wait_for_workers=False, timeout=PATIENCE)


def join(rank: Rank, meeting: TCPStore, device: torch.device) -> None:
    """Join the group, as soon as all have come; :func:`leave` ends it."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    own: dict[str, Any] = {"device_id": device} if device.type == "cuda" else {}
    distributed.init_process_group(
        backend, store=meeting, rank=rank.number, world_size=rank.of, timeout=PATIENCE, **own
    )


def leave() -> None:
    """Leave the group, whatever has become of the others."""
    if distributed.is_initialized():
        leaving = Thread(target=distributed.destroy_process_group, daemon=True)
        leaving.start()
        leaving.join(LEAVING)


def dealt(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Work that the ranks share: each item is done by one of them, and all get all results, in order."""
    rank, of = distributed.get_rank(), distributed.get_world_size()
    found: list[Any] = [None] * of
    distributed.all_gather_object(found, [work(item) for item in items[rank::of]])
    return [found[position % of][position // of] for position in range(len(items))]
