"""What was fitted in a round, asked about images: one pass of the backbone, and what follows from it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from al_lightning.clock import Clock
from al_lightning.data.memory import take
from al_lightning.errors import ConfigError
from al_lightning.models.classifier import Classifier

# Logits a chunk of dropout samples may hold: 128 MiB in fp32, however many images and samples there are.
CHUNK = 2**25

# The last batch of the pass is of a multiple of it. The pool shrinks every round, and oneDNN keeps the kernels of every
# batch size that it has seen: with sizes of all kinds a long run would grow.
STEP = 64

# Features a step, of those that are kept.
OF_FEATURES = 4096

# Numbers that are kept of all images: 2 GiB in fp32. More are worked out again, which takes a pass each time.
KEPT = 2**29


class NotFiniteError(FloatingPointError):
    """What a model makes of images is infinite or not a number: nothing can follow from it."""


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
    """

    batch_size: int
    clock: Clock | None = None
    on_batch: Callable[[int], None] = lambda done: None
    dtype: torch.dtype | None = None


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
        batches = partial(self._batches, indices.to(self.device))
        return Predictions(self.model, len(indices), batches, others, committee.by_dropout)

    def on(self, images: Tensor) -> "Learner":
        """The same one with other images; no bar shows how far it is with them."""
        scoring = replace(self._scoring, on_batch=lambda done: None)
        return type(self)(self.model, images, scoring, self._committee)

    def predict(self, indices: Tensor) -> Tensor:
        """Predicted classes of a few images, `int64 [n]`, in batches of the model as it is."""
        batches = indices.to(self.device).split(self._scoring.batch_size)
        return torch.cat([self.model(take(self._images, batch)).argmax(1) for batch in batches])

    def _batches(self, indices: Tensor, then: Callable[[Tensor], Tensor]) -> Iterator[tuple[int, Tensor]]:
        """What becomes of what the first dropout of the model sees, batch by batch: `float32 [b, D] -> float32 [b, E]`.

        Returns:
            Where in `indices` a batch begins, and what became of it. A short last one is filled up with images that
            were in the one before.
        """
        scoring, done = self._scoring, 0
        backbone = self.model.frozen_backbone(scoring.dtype)
        while done < len(indices):
            stop = min(done + scoring.batch_size, len(indices))
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


class Predictions:
    """What a learner makes of M images. Nothing is computed before it is asked for, and everything once.

    Where the images are an embedding, a pass costs nothing and its result would be a copy; where they are many, it is
    too large to be kept. Samples and probabilities are taken batch by batch then, as long as nobody has asked for the
    inputs.

    Args:
        model: of the learner.
        size: M.
        batches: of the pass: calls a function on each batch of :attr:`inputs`, see :meth:`Learner.of`.
        others: of the further members of a committee.
        by_dropout: whether samples are taken by dropout.

    Attributes:
        was_sampled: whether samples have been asked for.
    """

    def __init__(
        self,
        model: Classifier,
        size: int,
        batches: Callable[[Callable[[Tensor], Tensor]], Iterator[tuple[int, Tensor]]],
        others: Sequence["Predictions"] = (),
        by_dropout: bool = True,
    ) -> None:
        self._model, self._size, self._batches = model, size, batches
        self._others, self._by_dropout, self.was_sampled = others, by_dropout, False

    def _look(self, then: Callable[[Tensor], Tensor]) -> Tensor:
        """What becomes of all inputs, `float32 [M, E]`."""
        nothing = then(self._model.dropped[0][1].weight.new_empty(0, self._model.dropped[0][1].in_features))
        out = nothing.new_empty(self._size, nothing.shape[1])
        for start, made in self._batches(then):
            out[start : start + len(made)] = made
        return out

    def _pieces(self, size: int) -> Iterator[Tensor]:
        """The inputs in consecutive pieces of at most so many images."""
        if not self.streams:
            yield from self.inputs.split(size)
            return
        done = 0
        for start, inputs in self._batches(lambda inputs: inputs):
            yield from inputs[done - start :].split(size)
            done = start + len(inputs)

    @property
    def streams(self) -> bool:
        """Whether the inputs are taken batch by batch without a copy of all: they are there already, or too many."""
        is_many = self._size * self._model.dropped[0][1].in_features > KEPT
        return (self._model.is_head or is_many) and "inputs" not in self.__dict__

    @property
    def has_looked(self) -> bool:
        """Whether there has been a pass."""
        return "inputs" in self.__dict__ or "log_probabilities" in self.__dict__

    @cached_property
    def inputs(self) -> Tensor:
        """What the first dropout of the model sees, `float32 [M, D]`: the one pass.

        Raises:
            NotFiniteError: some are not; of what follows from it likewise.
        """
        return finite("features", self._look(lambda inputs: inputs))

    @cached_property
    def features(self) -> Tensor:
        """Penultimate features without dropout, `float32 [M, D]`: of most models, the inputs themselves."""
        return finite("features", self._model.hidden(self.inputs)) if len(self._model.hidden) else self.inputs

    def of_features(self, then: Callable[[Tensor], Tensor]) -> Tensor:
        """What becomes of the features, `float32 [m, D] -> [m, E]`, of all of them: without keeping what costs nothing.

        Returns:
            A new tensor `[M, E]`.
        """
        if self.streams:
            return self._look(lambda inputs: then(finite("features", self._model.hidden(inputs))))
        return torch.cat([then(piece) for piece in self.features.split(OF_FEATURES)])

    @cached_property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the class probabilities without dropout, `float32 [M, K]`."""
        if self.streams:
            return finite("predictions", self._look(lambda inputs: self._classified(self._model.hidden(inputs))))
        return finite("predictions", self._classified(self.features))

    def of_log_probabilities(self, then: Callable[[Tensor], Tensor]) -> Tensor:
        """What becomes of these, `float32 [m, K] -> [m, E]`, of all of them: where they are many, without keeping them.

        Returns:
            A new tensor `[M, E]`.
        """
        if self.streams and self._size * self._model.head.out_features > KEPT:
            return self._look(lambda inputs: then(finite("predictions", self._classified(self._model.hidden(inputs)))))
        return torch.cat([then(piece) for piece in self.log_probabilities.split(OF_FEATURES)])

    def _classified(self, features: Tensor) -> Tensor:
        return self._model.head(features).log_softmax(1)

    @property
    def head(self) -> torch.nn.Linear:
        """The last layer, `[M, D] -> [M, K]`: from features to logits."""
        return self._model.head

    def samples(self, n: int, rng: np.random.Generator, dropout: float | None = None) -> Iterator[Tensor]:
        """Logarithms of the class probabilities by T models: under dropout masks that all images share, of members.

        A mask on what a layer sees is a mask on the columns of its weight: for the first one, T masked copies of it are
        one matrix product. Sharing them makes the samples joint over the images, as BatchBALD needs too.

        Args:
            n: T. Of a committee without dropout, T is the number of its members; with it, n is rounded up so that each
                has as many.
            rng: of the masks.
            dropout: probability of dropping what a layer sees, of a model that was not trained under it, without a
                committee; None: as the model was trained.

        Returns:
            Consecutive pieces of the images, `float32 [m, T, K]`.

        Raises:
            ConfigError: the samples could not differ.
            NotFiniteError: some are not.
        """
        # All samples the same: every score that lives off their differences would be 0, and the query random.
        self.was_sampled = self.was_sampled or dropout is None
        if dropout is None and not self._by_dropout:
            members = [self.log_probabilities, *(each.log_probabilities for each in self._others)]
            return (torch.stack(piece, 1) for piece in zip(*(each.split(OF_FEATURES) for each in members), strict=True))
        layers = self._model.sampled if dropout is None else [(dropout, layer) for _, layer in self._model.dropped]
        if max(p for p, _ in layers) == 0:
            other = "take model.sampling=both away" if self._others else "model.members=5"
            raise ConfigError(f"model.dropout=0: the strategy samples by dropout; type model.dropout=0.5, or {other}")
        if n < 2:
            raise ConfigError(f"al.mc_samples={n}: the strategy compares dropout samples; at least 2 are needed")
        if dropout is not None or not self._others:
            return self._samples(n, layers, rng)
        members, each = (self, *self._others), -(-n // (1 + len(self._others)))
        if not all(one.streams for one in members):
            for one in members:
                one.inputs  # noqa: B018 - kept by one, they are cut otherwise than those that stream
        parts = (one._samples(each, one._model.sampled, rng) for one in members)
        return (torch.cat(piece, 1) for piece in zip(*parts, strict=True))

    def _samples(
        self, n: int, layers: Sequence[tuple[float, torch.nn.Linear]], rng: np.random.Generator
    ) -> Iterator[Tensor]:
        masks = [_masks(n, p, layer, rng) for p, layer in layers]  # [T, D] of every layer
        first = layers[0][1]
        together = max(1, 4 * CHUNK // first.weight.numel())  # masked copies of a wide layer that fit into 512 MiB
        for piece in self._pieces(max(1, CHUNK // (n * first.out_features))):
            parts = []
            for block in zip(*(mask.split(together) for mask in masks), strict=True):
                weight = (block[0][:, None, :] * first.weight).flatten(0, 1)  # [T * H, D]
                outputs = torch.addmm(first.bias.repeat(len(block[0])), piece, weight.T)
                outputs = outputs.view(len(piece), len(block[0]), -1)
                for mask, (_, layer) in zip(block[1:], layers[1:], strict=True):
                    outputs = layer(outputs.relu() * mask)
                parts.append(outputs)
            yield finite("dropout samples", torch.cat(parts, 1).log_softmax(2))


def finite(name: str, rows: Tensor) -> Tensor:
    """The rows, `float [M, ...]`, which belong to an image each.

    Raises:
        NotFiniteError: some are infinite or not a number.
    """
    # What is not finite leaves no finite sum, which is taken sooner than all values are looked at.
    if not rows.sum().isfinite() and (odd := int((~rows.isfinite()).flatten(1).any(1).sum())):
        raise NotFiniteError(f"the {name} of {odd} of {len(rows)} images are infinite or not a number")
    return rows


def _masks(n: int, p: float, layer: torch.nn.Linear, rng: np.random.Generator) -> Tensor:
    drawn = rng.random((n, layer.in_features), dtype=np.float32) < 1.0 - p
    return torch.from_numpy(drawn).to(layer.weight) / max(1.0 - p, 1e-12)
