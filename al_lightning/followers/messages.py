"""What rank 0 tells the others, pickled, through a pipe that only it writes to.

A `Start`, then a `Fit` a round, followed by a `Look` for every pass and None; at the end of the run None again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from al_lightning.ranks import Rank

READY, DONE = b"ready\n", b"done\n"  # what they answer, through another one


@dataclass(frozen=True)
class Start:
    """What a process begins with.

    Attributes:
        settings: the resolved configuration.
        folder: of the run.
        rank: that the process is.
        port: that rank 0 listens at.
        threads: of PyTorch, as rank 0 has them.
        images: fingerprint of the images.
        embedding: key of the features; empty: there are none.
        rows: of the committed rounds.
    """

    settings: dict[str, Any]
    folder: str
    rank: Rank
    port: int
    threads: int
    images: str
    embedding: str
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Fit:
    """What is fitted in a round.

    Attributes:
        number: of the round.
        epochs: of the fit.
        indices: `int64 [n]`, data set indices of what is trained on.
        labels: `int64 [n]`.
    """

    number: int
    epochs: int
    indices: Tensor
    labels: Tensor
