"""Which images of a class become its test part, and which come first when the classes take turns."""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


def split_off(contents: Sequence[str], test_fraction: float, seed: int) -> set[int]:
    """Choose the test part of one class from what its files hold, not from their names or their order.

    Every content has a place in line, a hash of itself and the seed. Of n different contents the first
    round(test_fraction · n) are the test part, at least one and at most all but one. So of the files that were there
    before, a new one moves the file next to the border at most, and so does one that goes; a copy or another name moves
    none. Copies go where their content goes; only where a class has a single content are they parted.

    Args:
        contents: a hash of each file's bytes, in the order of the ids.
        test_fraction: in (0, 1).
        seed: another one, another split.

    Returns:
        Positions in `contents`.
    """
    rows = defaultdict(list)
    for row, content in enumerate(contents):
        rows[content].append(row)
    groups = list(rows.values())
    if len(groups) == 1:
        groups = [[row] for row in groups[0]]
    else:
        places = {content: blake2b(f"{seed} {content}".encode(), digest_size=16).digest() for content in rows}
        groups = [rows[content] for content in sorted(rows, key=places.__getitem__)]
    n_test = min(max(1, round(len(groups) * test_fraction)), max(0, len(groups) - 1))
    return {row for group in groups[:n_test] for row in group}


def in_turn(order: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """The first n images when the classes take turns.

    Args:
        order: `int64 [M]`, data set indices, of a class the first come first.
        labels: `int64 [N]`, classes by data set index.
        n: at most M.
    """
    classes = labels[order]
    turn = np.empty(len(order), dtype=np.int64)  # how many images of its class come before an image
    for each in np.unique(classes):
        turn[classes == each] = np.arange((classes == each).sum())
    return order[turn.argsort(kind="stable")[:n]]
