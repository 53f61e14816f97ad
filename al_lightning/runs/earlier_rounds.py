"""Rounds of format 1, which kept masks and no ledger: the initial set and the answers that they tell of."""

from pathlib import Path
from typing import Any

import numpy as np

from al_lightning.data import listing
from al_lightning.errors import ConfigError
from al_lightning.oracle.ledger import TRAIN, VALIDATION, Event
from al_lightning.runs.rounds import MASKS, Round


def answers(path: Path, images: Path, rounds: list[Round]) -> tuple[list[dict[str, Any]], list[Event]]:
    """What was asked before round 0 of a run, and all answers that it had.

    Args:
        path: the folder of its first round.
        images: its list of images.
        rounds: that are committed, at least one.

    Returns:
        The rows of the initial query, and the events of the ledger.

    Raises:
        ConfigError: it kept no list of images.
    """
    try:
        pool = [each for each in listing.from_csv_gz(images.read_bytes()) if each.part == "pool"]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{images.parent}: of an earlier version that kept no list of its images ({images.name}), so it cannot go "
            "on; begin anew with overwrite=true (not beside resume=)"
        ) from error
    with np.load(path / MASKS, allow_pickle=False) as masks:
        chosen = {VALIDATION: np.flatnonzero(masks["val_mask"]), TRAIN: np.flatnonzero(masks["labeled_since"] == 0)}
    queried = [(use, index) for use, indices in chosen.items() for index in indices.tolist()]
    initial = [
        {"round": -1, "rank": rank, "index": index, "id": pool[index].id, "use": use}
        for rank, (use, index) in enumerate(queried)
    ]
    queried = [(-1, row["index"]) for row in initial]
    queried += [(done.number, int(row["index"])) for done in rounds for row in done.queries]
    classes = list(rounds[-1].classes)
    events = [
        Event(index, pool[index].id, classes.index(pool[index].name), number, "simulated", "")
        for number, index in queried
    ]
    return initial, events
