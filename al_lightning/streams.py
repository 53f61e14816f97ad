"""Seeds as named streams: what one part of a run draws never shifts what another part draws."""

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


def generator(seed: int, stream: Stream, round_: int = 0) -> np.random.Generator:
    """NumPy generator of a stream in a round."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, round_)))


def torch_seed(seed: int, stream: Stream, round_: int = 0) -> int:
    """Seed of a stream in a round for `torch.manual_seed`: 63 bits."""
    return int(generator(seed, stream, round_).integers(2**63))
