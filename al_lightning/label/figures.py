"""The numbers on the page. Whoever calls these holds the desk's lock, and has let it catch up."""

from typing import Any

import numpy as np

from al_lightning.label.desk import STATES, Desk
from al_lightning.people.answers import DISPUTED, LABELED
from al_lightning.people.records import SKIP, UNSURE


def counts(desk: Desk, price: float) -> dict[str, Any]:
    """How many images there are of each kind, of those whose files are there, and what the answers have cost."""
    states = np.bincount(desk.state[desk.is_there], minlength=len(STATES)).tolist()
    of_state = dict(zip(STATES, states, strict=True))
    classes = desk.store.classes()
    of_class = np.bincount(desk.label[desk.is_there], minlength=max(classes, default=0) + 1)
    return {
        "classes": [{"id": label, "name": name, "n": int(of_class[label])} for label, name in classes.items()],
        "n_items": len(desk.files),
        "n_open": int(np.count_nonzero(desk.is_open)),
        "n_labeled": of_state[LABELED],
        "n_skipped": of_state[SKIP],
        "n_unsure": of_state[UNSURE],
        "n_disputed": of_state[DISPUTED],
        "n_flagged": len(desk.answers.flagged),
        "n_unreadable": len(desk.unreadable),
        "spent": desk.n_paid * price,
    }


def ordered_by(desk: Desk) -> str:
    """What decides which image comes next; the strategy that was chosen needs a model."""
    if desk.latest is None:
        return "random"
    return "strategy" if desk.predictions else "diverse"


def per_minute(desk: Desk, annotator: int) -> float | None:
    """Answers a minute over somebody's last actions; None where nobody knows."""
    pace = desk.paces.get(annotator)
    seconds = sum(each[0] for each in pace) if pace else 0
    return 60 * sum(each[1] for each in pace) / seconds if pace and seconds else None
