"""Which images an annotator gets next. Whoever calls these holds the desk's lock, and has let it catch up."""

import sys
from collections.abc import Collection, Sequence

import numpy as np

from al_lightning.label.desk import AGAIN, ASKED, CHOSEN, RANDOM, STORED, Desk

PAGE, GRID, MAP = "page", "grid", "map"  # where images are shown

Handed = list[tuple[int, str]]  # images, and why each of them is shown


def next_images(
    desk: Desk, annotator: int, n: int, have: Collection[int], share: float, budget: int | None, now: float
) -> Handed:
    """Images for the page, leased to an annotator.

    What the annotator had and the page does not know of comes first: the page was loaded anew. Then come draws that
    nobody answered. Of the others each is, with a probability of `share`, drawn uniformly from all that are free.

    Args:
        desk: the state.
        annotator: who.
        n: how many at most.
        have: what the page has; their leases are renewed.
        share: of random draws.
        budget: most answers that are asked for; what anybody has open counts.
        now: of a monotonic clock, in seconds.
    """
    keep(desk, annotator, have, now)
    room = _room(desk, budget)
    own = {item: lease for item, lease in desk.leases.of(annotator).items() if item not in have}
    found: list[tuple[int, str] | None] = [(item, each.kind) for item, each in own.items() if each.where == PAGE]
    del found[n:]
    wanted, n = n, min(n, len(found) + room)
    found += [(item, RANDOM) for item in desk.waiting][: n - len(found)]
    for item, kind in filter(None, found):
        desk.lease(item, annotator, PAGE, kind, now)
    # All draws before the first of the others is taken: these would be missing among what can be drawn.
    drawn = list[int]()
    while len(found) < n:
        if desk.twice and desk.rng.random() < desk.twice and (item := desk.again_for(annotator)):
            kind = AGAIN
        elif desk.rng.random() < share and (item := desk.free.draw(desk.rng)):
            kind = RANDOM
            drawn.append(item)
        else:
            found.append(None)
            continue
        desk.lease(item, annotator, PAGE, kind, now)
        found.append((item, kind))
    if drawn:
        try:
            desk.add_draws(drawn)
        except BaseException:  # nobody sees a draw that is not stored
            for item in drawn:
                desk.release(item)
            raise
    handed = []
    for each in found:
        if one := each or _one(desk, annotator):
            desk.lease(one[0], annotator, PAGE, one[1], now)
            handed.append(one)
    # At the very end, what is left of a grid or a map.
    rest = [(item, each.kind) for item, each in own.items() if each.where != PAGE][: wanted - len(handed)]
    for item, kind in rest:
        desk.lease(item, annotator, PAGE, kind, now)
    return handed + rest


def keep(desk: Desk, annotator: int, have: Collection[int], now: float) -> None:
    """Renew the leases of what a page has; where the server was started anew in between, give them."""
    for item in have:
        lease = desk.leases.get(item)
        if lease and lease.annotator == annotator:
            desk.lease(item, annotator, lease.where, lease.kind, now)
        elif item in desk.free:
            desk.lease(item, annotator, PAGE, desk.kind_of(item), now)
        elif lease is None and any(item in items for first, items in desk.again.items() if first != annotator):
            desk.lease(item, annotator, PAGE, AGAIN, now)


def lost(desk: Desk, annotator: int, have: Collection[int]) -> list[int]:
    """What a page has, and is answered, gone, or somebody else's; to be called when the rest is kept."""
    own = desk.leases.of(annotator)
    return [item for item in have if item not in own]


def _room(desk: Desk, budget: int | None) -> int:
    """How many further images may be handed out."""
    return sys.maxsize if budget is None else max(0, budget - desk.n_paid - len(desk.leases))


def _one(desk: Desk, annotator: int) -> tuple[int, str] | None:
    """The next image that is not drawn to measure, and why."""
    lines = [(ASKED, desk.asked), (CHOSEN, desk.queue)]
    if desk.predictions:
        lines.append((CHOSEN, desk.predictions.unsure))
    for kind, line in lines:
        if item := line.take(desk.free.__contains__):
            return item, kind
    if item := desk.free.draw(desk.rng):
        return item, STORED
    if item := desk.again_for(annotator):
        return item, AGAIN
    return None


def is_done(desk: Desk, annotator: int, budget: int | None) -> bool:
    """Whether nothing is left for an annotator, now or later."""
    if budget is not None and desk.n_paid >= budget:
        return True
    return not desk.is_open.any() and desk.again_for(annotator) is None


def grid_images(
    desk: Desk,
    annotator: int,
    label: int,
    n: int,
    have: Collection[int],
    past: Collection[int],
    budget: int | None,
    now: float,
) -> tuple[Handed, int]:
    """Images that are predicted as a class, the surest first, leased; none that was drawn at random.

    Args:
        desk: the state.
        annotator: who; what she had in the grid and the page does not have is let go.
        label: the class.
        n: how many at most.
        have: what the page has; their leases are renewed.
        past: what it had and does not want again.
        budget: as of :func:`next_images`.
        now: likewise.

    Returns:
        The images, and how many others of that class have no answer and are not on the page.
    """
    keep(desk, annotator, have, now)
    for item, lease in desk.leases.of(annotator).items():
        if lease.where == GRID and item not in have:
            desk.release(item)
    if not (known := desk.predictions):
        return [], 0
    found, over, line, n = list[int](), list[int](), known.grid.get(label), min(n, _room(desk, budget))

    def may(item: int) -> bool:
        if item in past:
            over.append(item)
        return item in desk.free and not desk.is_drawn[item] and item not in past

    while line and len(found) < n and (item := line.take(may)):
        desk.lease(item, annotator, GRID, CHOSEN, now)
        found.append(item)
    for item in filter(desk.free.__contains__, over):  # others may take them
        assert line
        line.put_back(item)
    counts = desk.is_open & ~desk.is_drawn
    counts[[item for item in (*found, *have, *past) if item < len(counts)]] = False
    return [(item, CHOSEN) for item in found], int(np.count_nonzero(known.first_of(np.flatnonzero(counts)) == label))


def region_images(desk: Desk, annotator: int, items: Sequence[int], budget: int | None, now: float) -> Handed:
    """Those of some images that are free or the annotator's own, leased; none that was drawn at random."""
    found = []
    for item in items:
        lease = desk.leases.get(item)
        is_own = lease is not None and lease.annotator == annotator
        if (is_own or (item in desk.free and _room(desk, budget))) and not desk.is_drawn[item]:
            kind = lease.kind if lease else desk.kind_of(item)
            desk.lease(item, annotator, MAP, kind, now)
            found.append((item, kind))
    return found
