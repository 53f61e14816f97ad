"""Images as the page gets them. Whoever calls these holds the desk's lock, and has let it catch up."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from al_lightning.label.desk import AGAIN, STATES, Desk
from al_lightning.people.answers import DISPUTED, SETTLING
from al_lightning.runs.rounds import read_json

SIDES = (1600, 320)  # pixels of a preview's longest side: to look at, and small


def version(digest: str) -> str:
    """What tells an address of an image from that of another project's image of the same number."""
    return digest[:12]


def shown(desk: Desk, item: int, kind: str) -> dict[str, Any]:
    """An image; what the model makes of it only where an answer does not measure the model, or a person."""
    measures = kind == AGAIN or bool(desk.is_drawn[item])
    guess = desk.predictions.of(item) if desk.predictions and not measures else None
    large, small = (_address(desk, item, side) for side in SIDES)
    return {
        "item": item,
        "url": large,
        "thumb": small,
        "kind": kind,
        "guess": dict(zip(("class", "probability", "second", "margin"), guess, strict=True)) if guess else None,
        "score": None if measures else desk.scores.get(item),
        "why": [] if measures else [*_why(desk, item)],
        "label": None if kind == AGAIN else _label(desk, item),
        "flagged": item in desk.answers.flagged,
        "name": PurePosixPath(desk.files[item][0]).name if item in desk.files else f"image {item}",
    }


def _address(desk: Desk, item: int, side: int) -> str:
    return f"/image/{item}?side={side}&content={version(desk.digests[item])}"


def _label(desk: Desk, item: int) -> int | None:
    return int(desk.label[item]) or None


def _why(desk: Desk, item: int) -> Iterator[dict[str, Any]]:
    for other, similarity in desk.why.get(item, ()):
        if label := _label(desk, other):
            thumb = _address(desk, other, min(SIDES))
            yield {"item": other, "thumb": thumb, "class": label, "similarity": similarity}


def _any(desk: Desk, item: int, **more: Any) -> dict[str, Any]:
    """An image of a list, which is not handed out."""
    return shown(desk, item, desk.kind_of(item)) | more


def doubtful(desk: Desk, live: Path, n: int) -> dict[str, Any]:
    """Labels that are likely wrong, the most doubtful first, but for those that somebody has looked at since."""
    found = read_json(live / "doubtful.json") or {"items": []}
    rows = [
        (item, label, suggested, score)
        for item, label, suggested, score in found["items"]
        if _label(desk, item) == label
        and item in desk.files
        and not any(each.source in SETTLING for each in desk.answers.of(item).values())
    ]
    items = [_any(desk, item, suggested=suggested, score=score) for item, _, suggested, score in rows[:n]]
    return {"items": items, "left": len(rows) - len(items)}


def review(desk: Desk, names: dict[int, str], n: int) -> dict[str, Any]:
    """Images whose answers disagree, and these."""
    rows = np.flatnonzero((desk.state == STATES.index(DISPUTED)) & desk.is_there).tolist()
    items = []
    for item in rows[:n]:
        answers = [
            {"annotator": names[each.annotator], "kind": each.kind, "class": each.label}
            for each in desk.answers.of(item).values()
        ]
        items.append(_any(desk, item, answers=answers))
    return {"items": items, "left": len(rows) - len(items)}


def labeled(desk: Desk, names: dict[int, str], n: int, before: int | None) -> dict[str, Any]:
    """The latest answers that gave a label which counts, the last one first."""
    ids, items = desk.history
    at, found = len(ids) if before is None else bisect_left(ids, before), list[dict[str, Any]]()
    while at and len(found) < n:
        at -= 1
        item = items[at]
        last = max(desk.answers.of(item).values(), key=lambda each: each.id, default=None)
        if last and last.id == ids[at] and desk.label[item] and desk.is_there[item]:
            found.append(_any(desk, item, by=names[last.annotator], at=last.at, event=last.id))
    return {"items": found}


def on_map(desk: Desk, live: Path) -> dict[str, Sequence[Any]]:
    """Where the images are in the plane, with labels and predictions; -1 where there is none."""
    try:
        with np.load(live / "map.npz", allow_pickle=False) as file:
            items, places = file["item"], file["xy"]
    except FileNotFoundError:
        items, places = np.zeros(0, np.int64), np.zeros((0, 2))
    here = items < len(desk.is_there)
    here[here] = desk.is_there[items[here]]
    items, places = items[here], places[here].astype(float).round(4)
    labels, known = desk.label[items], desk.predictions
    predicted = known.first_of(items) if known else np.zeros(len(items), int)
    return {
        "items": items.tolist(),
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "label": np.where(labels, labels, -1).tolist(),
        "predicted": np.where(predicted, predicted, -1).tolist(),
    }


def brought_back(desk: Desk, items: Sequence[int], annotator: int, now: float) -> list[dict[str, Any]]:
    """Images whose answers were undone, for the annotator to see again: kept for her, where nobody else has them."""
    found = []
    for item in dict.fromkeys(items):
        is_others = not desk.is_open[item] and annotator not in desk.answers.of(item)
        kind = AGAIN if is_others else desk.kind_of(item)
        if (lease := desk.leases.get(item)) is None or lease.annotator == annotator:
            desk.lease(item, annotator, "page", kind, now)
        found.append(shown(desk, item, kind))
    return found
