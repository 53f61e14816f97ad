"""A pool that images come to and go from while a run waits for answers.

An index is the order of first sight: a row of the run's list of images is that of one image for ever.
"""

from al_lightning.data.listing import Listing, differences
from al_lightning.errors import DataError


def continued(before: Listing, now: Listing, *, drawn: bool) -> Listing:
    """A run's list of images with those that have come since.

    An image is known by its id. One that is gone keeps its row, and has it again when it comes back as it was.

    Args:
        before: the list that the run has: the pool in the order of first sight, then the test part.
        now: what is there.
        drawn: whether the test part of `now` was drawn from all images: then it is that of `before` instead, and what
            is new joins the pool.

    Returns:
        The pool of `before`, what is new in the order of `now`, then the test part of `before`. Classes of the pool are
        those of `now`: where people answer, they are no labels.

    Raises:
        DataError: the test part, or what an image shows, is not as it was; says which.
    """
    pool, test = ([each for each in before if each.part == part] for part in ("pool", "test"))
    if drawn:
        tested = {each.id for each in test}
        now = [each._replace(part="test" if each.id in tested else "pool") for each in now]
    known = {each.id: each for each in pool}
    there = {each.id: each for each in now if each.part == "pool"}
    stay = [each for each in pool if each.id in there]
    same = [there[each.id]._replace(name=each.name) for each in stay]
    if changed := differences([*stay, *test], [*same, *(each for each in now if each.part == "test")]):
        raise DataError(changed)
    new = [each for each in there.values() if each.id not in known]
    return [*(there.get(each.id, each) for each in pool), *new, *test]
