"""Images that look alike to the model, pixel for pixel."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from al_lightning.data.label_file import NO_CLASS

DROPPED = "dropped"  # where a list of duplicates names the part


class Image(NamedTuple):
    """An image file: its part (`train` or `test`), its class (or `NO_CLASS`), and its path relative to the root."""

    part: str
    name: str
    path: str


def twins(pixels: Mapping[Image, str]) -> list[list[Image]]:
    """The groups of more than one image with equal pixels, from a hash of each image's pixels."""
    groups = defaultdict(list)
    for each, digest in pixels.items():
        groups[digest].append(each)
    return [group for group in groups.values() if len(group) > 1]


def to_drop(groups: Sequence[Sequence[Image]], *, everywhere: bool = False) -> set[Image]:
    """What to leave out so that the pool holds an image once.

    Of equal images the pool keeps the first that has a label; none where one of them is in the test part too, and none
    where they are in several classes, because nobody knows which is right. The test part stays as it is.

    Args:
        groups: of equal images.
        everywhere: the test part, too, holds an image once: the first, and none where they are in several classes.
    """
    dropped: set[Image] = set()
    for group in groups:
        pool, test = ([each for each in group if each.part == part] for part in ("train", "test"))
        is_clear = len({each.name for each in group} - {NO_CLASS}) < 2
        kept = next((each for each in pool if each.name != NO_CLASS), group[0])
        dropped.update(each for each in pool if each != kept or test or not is_clear)
        if everywhere:
            dropped.update(test[1:] if is_clear else test)
    return dropped
