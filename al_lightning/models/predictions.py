"""What follows from a pass of the backbone over images, computed when it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from al_lightning.errors import ConfigError
from al_lightning.models.classifier import Classifier
from al_lightning.models.shares import LOOKS

# Logits a chunk of dropout samples may hold: 128 MiB in fp32, however many images and samples there are.
CHUNK = 2**25

# Features a step, of those that are kept.
OF_FEATURES = 4096

# Numbers that are kept of all images: 2 GiB in fp32. More are worked out again, which takes a pass each time.
KEPT = 2**29


class NotFiniteError(FloatingPointError):
    """What a model makes of images is infinite or not a number: nothing can follow from it."""


class Predictions:
    """What a learner makes of M images. Nothing is computed before it is asked for, and everything once.

    Where the images are an embedding, a pass costs nothing and its result would be a copy; where they are many, it is
    too large to be kept. Samples and probabilities are taken batch by batch then, as long as nobody has asked for the
    inputs.

    Args:
        model: of the learner.
        size: M.
        batches: of the pass: calls a function on each batch of :attr:`inputs`.
        shared: around a pass that other processes may take shares of.
        others: of the further members of a committee.
        by_dropout: whether samples are taken by dropout.

    Attributes:
        was_sampled: whether samples have been asked for.
    """

    def __init__(
        self,
        model: Classifier,
        size: int,
        batches: Callable[..., Iterator[tuple[int, Tensor]]],
        shared: Callable[[str, Tensor], AbstractContextManager[int]],
        others: Sequence["Predictions"] = (),
        by_dropout: bool = True,
    ) -> None:
        self._model, self._size, self._batches, self._shared = model, size, batches, shared
        self._others, self._by_dropout, self.was_sampled = others, by_dropout, False

    def _look(self, then: Callable[[Tensor], Tensor], name: str = "") -> Tensor:
        """What becomes of all inputs, `float32 [M, E]`; a name is that of a look which can be shared."""
        nothing = then(self._model.dropped[0][1].weight.new_empty(0, self._model.dropped[0][1].in_features))
        out = nothing.new_empty(self._size, nothing.shape[1])
        with self._shared(name, out) as end:
            for start, made in self._batches(then, end=end):
                out[start : start + len(made)] = made
        return out

    def _look_at(self, name: str) -> Tensor:
        return self._look(partial(LOOKS[name], self._model), name)

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
        return finite("features", self._look_at("inputs"))

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
            return finite("predictions", self._look_at("log_probabilities"))
        return finite("predictions", self._model.head(self.features).log_softmax(1))

    def of_log_probabilities(self, then: Callable[[Tensor], Tensor]) -> Tensor:
        """What becomes of these, `float32 [m, K] -> [m, E]`, of all of them: where they are many, without keeping them.

        Returns:
            A new tensor `[M, E]`.
        """
        if self.streams and self._size * self._model.head.out_features > KEPT:
            classified = partial(LOOKS["log_probabilities"], self._model)
            return self._look(lambda inputs: then(finite("predictions", classified(inputs))))
        return torch.cat([then(piece) for piece in self.log_probabilities.split(OF_FEATURES)])

    def at(self, positions: Tensor) -> "Predictions":
        """Those of some of the images, `int64 [m]`, without another pass: of inputs that are kept."""
        others = [each.at(positions) for each in self._others]
        some = Predictions(self._model, len(positions), self._batches, self._shared, others, self._by_dropout)
        some.inputs = self.inputs[positions]
        return some

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
