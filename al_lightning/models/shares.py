"""A pass over images by several processes: each takes some of the batches, and one of them gets all results in order.

A batch is the same whichever process takes it, and so is what becomes of it: on processors of one kind, to the bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, distributed

from al_lightning.models.classifier import Classifier

# What a pass can be asked for, from what the first dropout of the model sees: `float32 [b, D] -> [b, E]`.
LOOKS: dict[str, Callable[[Classifier, Tensor], Tensor]] = {
    "inputs": lambda model, inputs: inputs,
    "log_probabilities": lambda model, inputs: model.head(model.hidden(inputs)).log_softmax(1),
}


@dataclass(frozen=True)
class Look:
    """A pass.

    Attributes:
        name: a key of :data:`LOOKS`.
        indices: `int64 [M]`, data set indices.
        batch_size: images a step.
        dtype: that the backbone computes in; None: as it was trained.
        with_weights: whether rank 0 gives its weights before.
    """

    name: str
    indices: Tensor
    batch_size: int
    dtype: torch.dtype | None
    with_weights: bool = True

    def borders(self, of: int) -> list[int]:
        """Where the shares of so many ranks begin, and the last one ends; a short last batch stays with a whole one."""
        n = len(self.indices)
        whole = max(1, n // self.batch_size)
        ends = [-(-whole * number // of) for number in range(of + 1)]
        return [n if end == whole else end * self.batch_size for end in ends]


class Others(Protocol):
    """The processes that take shares of a pass, as the one that gets the results sees them."""

    def begin(self, model: Classifier, look: Look) -> Sequence[int]:
        """Have them begin; returns the borders of the shares, of which the first one is the caller's."""
        ...

    def collect(self, out: Tensor, borders: Sequence[int]) -> None:
        """Wait for their shares, and put them into `[M, E]`."""
        ...


def share_weights(model: Classifier) -> None:
    """Give all ranks the parameters and buffers of rank 0: the statistics of BatchNorm are of every rank's own part."""
    for tensor in (*model.parameters(), *model.buffers()):
        sent = tensor.detach().contiguous()
        distributed.broadcast(sent, 0)
        tensor.detach().copy_(sent)
