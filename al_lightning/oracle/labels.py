"""From the ledger to the masks of a pool."""

from collections.abc import Mapping, Sequence

import torch

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.oracle import SKIP
from al_lightning.oracle.ledger import VALIDATION, Event, Queried


def apply(pool: PoolDataModule, events: Sequence[Event], images: Mapping[int, Queried]) -> None:
    """Bring the masks of a pool to what events say; the last one of an image counts.

    An image that is gone cannot be trained on, whatever was said of it: it counts as skipped until it is back.

    Args:
        pool: whose masks they change.
        events: in the order of the ledger.
        images: all that the run has asked for.
    """
    last = {event.index: event for event in events}
    pool.forget(torch.tensor(list(last), dtype=torch.int64))
    groups: dict[tuple[int, str], list[Event]] = {}
    for event in last.values():
        is_label = isinstance(event.answer, int) and not pool.gone_mask[event.index]
        kind = images[event.index].use if is_label else SKIP
        groups.setdefault((images[event.index].round, kind), []).append(event)
    for (number, kind), members in groups.items():
        indices = torch.tensor([event.index for event in members])
        if kind == SKIP:
            pool.leave_out(indices)
            continue
        labels = torch.tensor([int(event.answer) for event in members])
        if kind == VALIDATION:
            pool.keep_for_validation(indices, labels)
        else:
            pool.label(indices, labels, since=number + 1)
