"""What was fitted in a round, asked about images: one pass of the backbone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from al_lightning.clock import Clock
from al_lightning.data.memory import take
from al_lightning.models.classifier import Classifier
from al_lightning.models.predictions import Predictions
from al_lightning.models.shares import LOOKS, Look, Others

# The last batch of the pass is of a multiple of it. The pool shrinks every round, and oneDNN keeps the kernels of every
# batch size that it has seen: with sizes of all kinds a long run would grow.
STEP = 64


@dataclass(frozen=True)
class Committee:
    """Further models that were fitted to the same labels, and sample predictions.

    Attributes:
        members: besides the one that is asked.
        by_dropout: whether each of them, and the one that is asked, samples by dropout too.
    """

    members: Sequence[Classifier]
    by_dropout: bool


@dataclass
class Scoring:
    """How a pass over images is made.

    Attributes:
        batch_size: images a step; half as many where the device runs out of memory.
        clock: counts the pass as `score`; None: it counts where it is made.
        on_batch: called with the number of images done, after each step.
        dtype: that the backbone computes in; None: as it was trained.
        others: processes that take their shares of it; None: there are none.
    """

    batch_size: int
    clock: Clock | None = None
    on_batch: Callable[[int], None] = lambda done: None
    dtype: torch.dtype | None = None
    others: Others | None = None


class Learner:
    """A fitted model and the images of a data set.

    Args:
        model: in evaluation mode.
        images: `uint8 [N, C, H, W]`, the whole data set, on the device or on the host.
        scoring: how it looks at them.
        committee: whose samples are asked for; None: there are dropout samples only.
    """

    def __init__(self, model: Classifier, images: Tensor, scoring: Scoring, committee: Committee | None = None) -> None:
        self.model, self._images, self._scoring, self._committee = model, images, scoring, committee

    @property
    def device(self) -> torch.device:
        """That the model is on."""
        return self.model.device

    def of(self, indices: Tensor) -> "Predictions":
        """What it makes of some images, by their data set indices `int64 [M]`; nothing is computed yet."""
        committee = self._committee or Committee((), by_dropout=True)
        others = [type(self)(each, self._images, self._scoring).of(indices) for each in committee.members]
        indices = indices.to(self.device)
        batches, shared = partial(self._batches, indices), partial(self._shared, indices)
        return Predictions(self.model, len(indices), batches, shared, others, committee.by_dropout)

    def on(self, images: Tensor) -> "Learner":
        """The same one with other images, on its own; no bar shows how far it is with them."""
        scoring = replace(self._scoring, on_batch=lambda done: None, others=None)
        return type(self)(self.model, images, scoring, self._committee)

    def predict(self, indices: Tensor) -> Tensor:
        """Predicted classes of a few images, `int64 [n]`, in batches of the model as it is."""
        batches = indices.to(self.device).split(self._scoring.batch_size)
        return torch.cat([self.model(take(self._images, batch)).argmax(1) for batch in batches])

    def share(self, look: Look, begin: int, end: int) -> Tensor:
        """A rank's own share of a pass, `float32 [end - begin, E]`, which is not empty."""
        then = partial(LOOKS[look.name], self.model)
        rows = None
        for start, made in self._batches(look.indices.to(self.device), then, begin, end):
            rows = made.new_empty(end - begin, made.shape[1]) if rows is None else rows
            rows[start - begin : start - begin + len(made)] = made
        assert rows is not None
        return rows

    @contextmanager
    def _shared(self, indices: Tensor, name: str, out: Tensor) -> Iterator[int]:
        """Around a pass, a look of that name: yields how far to go, and adds the shares of the others to `out`."""
        scoring = self._scoring
        if not (scoring.others and name):
            yield len(indices)
            return
        borders = scoring.others.begin(self.model, Look(name, indices, scoring.batch_size, scoring.dtype))
        yield borders[1]
        with scoring.clock.phase("score") if scoring.clock else nullcontext():
            scoring.others.collect(out, borders)
        scoring.on_batch(len(indices))

    def _batches(
        self, indices: Tensor, then: Callable[[Tensor], Tensor], begin: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """What becomes of what the first dropout of the model sees, batch by batch: `float32 [b, D] -> float32 [b, E]`.

        Args:
            indices: `int64 [M]`.
            then: makes it.
            begin: at which of them; a border of batches.
            end: likewise; None: M.

        Returns:
            Where in `indices` a batch begins, and what became of it. A short last one is filled up with images that
            were in the one before.
        """
        scoring, done, end = self._scoring, begin, len(indices) if end is None else end
        backbone = self.model.frozen_backbone(scoring.dtype)
        while done < end:
            stop = min(done + scoring.batch_size, end)
            size = min(scoring.batch_size, -(-(stop - done) // STEP) * STEP)
            start = max(0, stop - size)
            try:
                with scoring.clock.phase("score") if scoring.clock else nullcontext():
                    made = then(backbone(self.model.normalized(take(self._images, indices[start:stop]))))
            except torch.OutOfMemoryError:
                if scoring.batch_size == 1:
                    raise
                scoring.batch_size //= 2
                continue
            yield start, made
            done = stop
            scoring.on_batch(done)
