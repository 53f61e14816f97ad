"""The images of a run, one by one: what it was made with, and what of it is there still."""

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch

from al_lightning.data.images import UNKNOWN, ImageData, ImageSet
from al_lightning.data.threads import in_threads
from al_lightning.errors import DataError

SHOWN = 3  # images that a message names


class Listed(NamedTuple):
    """An image: `pool` or `test`, its class (empty: unknown), its id, and 16 hex digits over its pixels."""

    part: str
    name: str
    id: str
    pixels: str


Listing = Sequence[Listed]  # the pool in its order, then the test part


def listing(data: ImageData) -> Listing:
    """List the images of a data set."""
    rows = []
    for part, images in {"pool": data.pool, "test": data.test}.items():
        digests = in_threads(_digest, list(images.images.contiguous().numpy()), "list images")
        names = ["" if label == UNKNOWN else data.classes[label] for label in images.labels.tolist()]
        rows += [Listed(part, *row) for row in zip(names, images.ids, digests, strict=True)]
    return rows


def to_csv_gz(rows: Listing) -> bytes:
    """A listing as a compressed CSV table, the same bytes whenever it is written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("part", "class", "id", "pixels"))
    writer.writerows(rows)
    return gzip.compress(text.getvalue().encode("utf-8"), compresslevel=1, mtime=0)


def from_csv_gz(data: bytes) -> Listing:
    """What :func:`to_csv_gz` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        text = gzip.decompress(data).decode("utf-8")
        return [Listed(*row) for row in csv.reader(io.StringIO(text, newline=""))][1:]
    except (OSError, EOFError, TypeError, csv.Error) as error:
        raise ValueError(f"not a list of images: {error}") from error


def differences(before: Listing, now: Listing) -> str:
    """What came, went, moved and changed, as people say it; empty where nothing did."""
    was, is_ = ({(each.part, each.id): each for each in rows} for rows in (before, now))
    gone = [each for key, each in was.items() if key not in is_]
    new = [each for key, each in is_.items() if key not in was]
    by_pixels = defaultdict(list)
    for each in gone:
        by_pixels[each.pixels].append(each)
    came, moved = [], []
    for each in new:
        same = by_pixels[each.pixels]
        # An image that only changed its part has its name still.
        old = next((other for other in same if other.id == each.id), same[0] if same else None)
        if old is None:
            came.append(_name(each))
        else:
            same.remove(old)
            moved.append(f"{_name(old)} to {_name(each) if old.id != each.id else each.part}")
    both = [(was[key], each) for key, each in is_.items() if key in was]
    kinds = {
        "came": came,
        "went": [_name(each) for rows in by_pixels.values() for each in rows],
        "moved": moved,
        "changed class": [f"{_name(old)} to {new.name or 'no label'}" for old, new in both if old.name != new.name],
        "changed pixels": [_name(old) for old, new in both if old.pixels != new.pixels],
    }
    return "; ".join(f"{len(each)} {kind} ({_first(each)})" for kind, each in kinds.items() if each)


def as_before(rows: Listing, classes: Sequence[str], data: ImageData, needed: np.ndarray) -> ImageData:
    """The images that a run began with, without those of its pool that are gone.

    Args:
        rows: what it began with, N of them in the pool.
        classes: names, as it began.
        data: what is there now.
        needed: bool `[N]`, images of the pool that the run cannot do without: those with a label.

    Returns:
        Data with every image where it was. Rows of those that are gone are black, and named in `gone`.

    Raises:
        DataError: an image of the test part, or one that is needed, is gone or another.
    """
    pixels = torch.cat([data.pool.images, data.test.images])
    # Of an image, its part does not count here: the split may fall otherwise when another one is gone.
    place = {each[1:]: row for row, each in enumerate(listing(data))}
    parts: dict[str, ImageSet] = {}
    gone: list[int] = []
    for part in ("pool", "test"):
        own = [each for each in rows if each.part == part]
        at = [place.get(each[1:], -1) for each in own]
        lost = [row for row, index in enumerate(at) if index < 0]
        if missed := [_name(own[row]) for row in lost if part == "test" or needed[row]]:
            raise DataError(f"{len(missed)} of the {'test' if part == 'test' else 'labeled'} images ({_first(missed)})")
        images = pixels[at]
        images[lost] = 0
        labels = torch.tensor([classes.index(each.name) if each.name else UNKNOWN for each in own], dtype=torch.int64)
        parts[part] = ImageSet(images, labels, tuple(each.id for each in own))
        gone += lost
    return replace(data, pool=parts["pool"], test=parts["test"], classes=tuple(classes), gone=tuple(gone))


def _digest(image: np.ndarray) -> str:
    return blake2b(np.ascontiguousarray(image).data, digest_size=8).hexdigest()


def _name(each: Listed) -> str:
    return f"{each.part} {each.id}" if each.id.isdecimal() else each.id  # the parts of some data sets count from 0 each


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
