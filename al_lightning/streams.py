"""Seeds as named streams: what one part of a run draws never shifts what another part draws."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Everything random in a run. A number, once given, stays: it is part of what a seed means."""

    VALIDATION = 0
    INITIAL = 1
    WEIGHTS = 2
    BATCHES = 3
    DROPOUT = 4
    AUGMENTATION = 5
    ACQUISITION = 6
    CANDIDATES = 7
    GLOBAL = 8
    DATA = 9
    NOISE = 10
    FOLDS = 11
    MEMBERS = 12
    STOP = 13
    CONTROL = 14
    CONTROL_SHARE = 15


def generator(seed: int, stream: Stream, round_: int = 0, rank: int = 0) -> np.random.Generator:
    """NumPy generator of a stream in a round, on one of several ranks."""
    key = (stream, round_, rank) if rank else (stream, round_)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def torch_seed(seed: int, stream: Stream, round_: int = 0, rank: int = 0) -> int:
    """Seed of a stream in a round for `torch.manual_seed`, 63 bits; every rank of several has its own."""
    return int(generator(seed, stream, round_, rank).integers(2**63))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and PyTorch, and leave them as they were.

    For code that may be the user's own, and draw from them.

    Args:
        seed: 63 bits, as :func:`torch_seed` gives it.
    """
    import torch

    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=gpus):
        random.seed(seed)
        np.random.seed([seed >> 32, seed & 0xFFFFFFFF])  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
