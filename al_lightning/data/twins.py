"""Images that look alike to the model, pixel for pixel."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

DROPPED = "dropped"  # where a list of duplicates names the part


class Image(NamedTuple):
    """An image file: the part (`train` or `test`) and the class that it is in, and its path relative to the root."""

    part: str
    name: str
    path: str


def twins(pixels: Mapping[Image, str]) -> list[list[Image]]:
    """The groups of more than one image with equal pixels, from a hash of each image's pixels."""
    groups = defaultdict(list)
    for each, digest in pixels.items():
        groups[digest].append(each)
    return [group for group in groups.values() if len(group) > 1]


def to_drop(groups: Sequence[Sequence[Image]]) -> set[Image]:
    """What to leave out so that the pool holds an image once.

    Of equal images the pool keeps the first; none where one of them is in the test part too, and none where they are
    in several classes, because nobody knows which is right. The test part stays as it is.
    """
    dropped: set[Image] = set()
    for group in groups:
        pool = [each for each in group if each.part == "train"]
        keeps_one = len(pool) == len(group) and len({each.name for each in group}) == 1
        dropped.update(pool[1:] if keeps_one else pool)
    return dropped
