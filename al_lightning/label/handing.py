"""Which images an annotator gets next. Whoever calls these holds the desk's lock, and has let it catch up."""

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
        budget: most answers that are asked for.
        now: of a monotonic clock, in seconds.
    """
    keep(desk, annotator, have, now)
    if budget is not None:
        n = min(n, budget - desk.n_given() - len(have))
    own = {item: lease for item, lease in desk.leases.of(annotator).items() if item not in have}
    found: list[tuple[int, str] | None] = [(item, each.kind) for item, each in own.items() if each.where == PAGE]
    found += [(item, RANDOM) for item in desk.waiting]
    del found[max(n, 0) :]
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
    # At the very end, what is left of a grid or a map.
    rest = iter([(item, each.kind) for item, each in own.items() if each.where != PAGE])
    handed = []
    for each in found:
        if one := each or _one(desk, annotator) or next(rest, None):
            desk.lease(one[0], annotator, PAGE, one[1], now)
            handed.append(one)
    return handed


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
    if budget is not None and desk.n_given() >= budget:
        return True
    return not desk.is_open.any() and desk.again_for(annotator) is None


def grid_images(
    desk: Desk, annotator: int, label: int, n: int, have: Collection[int], now: float
) -> tuple[Handed, int]:
    """Images that are predicted as a class, the surest first, leased; none that was drawn at random.

    Images that the annotator has had in the grid, and the page does not have, come last.

    Returns:
        The images, and how many others of that class have no answer and are not on the page.
    """
    keep(desk, annotator, have, now)
    if not (known := desk.predictions):
        return [], 0

    def is_of_class(item: int) -> bool:
        return (guess := known.of(item)) is not None and guess[0] == label

    found, line = list[int](), known.grid.get(label)
    while line and len(found) < n and (item := line.take(lambda each: each in desk.free and not desk.is_drawn[each])):
        desk.lease(item, annotator, GRID, CHOSEN, now)
        found.append(item)
    known_there = {*have, *found}
    own = [item for item, lease in desk.leases.of(annotator).items() if lease.where == GRID and item not in known_there]
    found += [item for item in own if is_of_class(item)][: n - len(found)]
    for item in found:
        desk.lease(item, annotator, GRID, CHOSEN, now)
    counts = desk.is_open & ~desk.is_drawn
    counts[[item for item in (*found, *have) if item < len(counts)]] = False
    return [(item, CHOSEN) for item in found], int(np.count_nonzero(known.first_of(np.flatnonzero(counts)) == label))


def region_images(desk: Desk, annotator: int, items: Sequence[int], now: float) -> Handed:
    """Those of some images that are free or the annotator's own, leased; none that was drawn at random."""
    found = []
    for item in items:
        lease = desk.leases.get(item)
        if not desk.is_drawn[item] and (item in desk.free or (lease and lease.annotator == annotator)):
            kind = lease.kind if lease else desk.kind_of(item)
            desk.lease(item, annotator, MAP, kind, now)
            found.append((item, kind))
    return found
