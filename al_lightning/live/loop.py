"""The live loop: when there are further answers, refit, rank, hand over. It is no run, and commits no rounds."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from al_lightning.live.handover import hand_over, write_json, write_model
from al_lightning.live.held_out import held_out
from al_lightning.live.prepare import Prepared
from al_lightning.live.refit import Learned, Refitter
from al_lightning.people.answers import Answers
from al_lightning.people.records import LIVE
from al_lightning.people.store import Store

LOOK = 0.1  # seconds from one look at the store to the next
EVENTS = 5  # that have come since the last refit: time for another
WAIT = 1.0  # seconds without a further one after which fewer will do
IDLE = 2.0  # likewise, for what nobody waits for: the model on the disk and the doubtful labels


def learn(
    project: Path, store: Store, prepared: Prepared, say: Callable[[str], None], is_over: Callable[[], bool]
) -> None:
    """Refit as answers come.

    Args:
        project: the folder.
        store: of the project.
        prepared: the images.
        say: is told `waiting` or `ready`.
        is_over: whether nobody labels any more.

    Raises:
        StrategyError: the strategy cannot choose.
    """
    answers, names, seed = Answers(), list[str](), prepared.settings["seed"]
    refit, at = Refitter(prepared), {item: place for place, item in enumerate(prepared.items) if item}
    number = sum(each.asker == LIVE for each in store.queries())  # goes on counting: draws are never repeated
    learned, query, saved, pending, changed = None, 0, 0, 0, 0.0
    while not is_over():
        events, now = store.events(answers.last), time.monotonic()
        if events:
            answers.add(events)
            pending, changed = pending + len(events), now
        if (known := [*store.classes().values()]) != names:
            names, pending = known, pending + EVENTS
            refit = Refitter(prepared.with_classes(names))
        if learned is None or pending >= EVENTS or (pending and now - changed > WAIT):
            learned, pending = _refit(refit, number, answers, at), 0
            query = hand_over(project / "live", store, refit.prepared, learned, answers.last)
            number += 1
            say("ready" if learned.model else "waiting")
        elif learned.model and query != saved and now - changed > IDLE:
            saved = query
            found = held_out(learned, seed)
            drawn = {at[each.item] for each in store.draws() if each.item in at}
            write_model(project, refit.prepared, learned, query, found and found.calibration(drawn))
            rows = found.doubtful() if found else []
            items = [(prepared.items[place], label + 1, other + 1, score) for place, label, other, score in rows]
            write_json(project / "live", "doubtful.json", {"event": answers.last, "items": items})
        else:
            time.sleep(LOOK)


def _refit(refit: Refitter, number: int, answers: Answers, at: Mapping[int, int]) -> Learned:
    """Classes of the store count from 1, those of a model from 0; images are at their positions in the pool."""
    labels = {at[item]: label - 1 for item, label in answers.labels.items() if item in at}
    without = torch.tensor([at[item] for item in answers.states if item in at], dtype=torch.int64)
    return refit(number, labels, without)
