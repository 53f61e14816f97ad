"""The training step as a CUDA graph: one launch in place of some hundreds. Experimental, no GPU has run it yet."""

import sys
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any

import torch
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from al_lightning.data.batches import TrainBatches
from al_lightning.data.memory import take
from al_lightning.models.classifier import Classifier
from al_lightning.models.fast import FastClassifier

WARM_UP = 3  # steps before a capture, as PyTorch's documentation has it


class Resident(SingleDeviceStrategy):
    """Leaves the model and the optimizer on the device after a fit or a test: a graph has their addresses."""

    def teardown(self) -> None:
        """Lightning's, without the move to the host."""
        assert self.accelerator is not None
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()


class Capture:
    """Makes CUDA graphs that share their memory, because they never run at the same time."""

    def __init__(self) -> None:
        self._memory: Any = None

    def __call__(self, step: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
        """Run a step a few times, which makes the optimizer's state and chooses kernels, and capture it.

        Args:
            step: takes no host's decision and leaves all tensors where they are.
            generator: that it draws from besides PyTorch's own.

        Returns:
            The step, replayed.

        Raises:
            RuntimeError: it cannot be captured.
        """
        # On another stream than the capture: what cuBLAS works in has to be of the graph's own memory, because
        # Lightning gives back cuBLAS's other memory with every fit.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(generator)
        # The outer one brings the stream back, also after a capture that fails.
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph, pool=self._memory):
            step()
        self._memory = graph.pool()
        return graph.replay


class GraphClassifier(FastClassifier):
    """Replays its training step, one graph for every size of batch, captured when the first of that size comes.

    A graph reads and writes where its tensors were at the capture. Hence one object serves all rounds, whose weights,
    statistics and optimizer are set in place. Batches and arithmetic are those of :class:`FastClassifier`. A step that
    cannot be captured is run as it is, and a line on stderr says why.

    Attributes:
        capture: makes what replays a step.
    """

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **others)
        self.capture: Callable[[Callable[[], None], torch.Generator], Callable[[], None]] = Capture()
        self._optimizer: Optimizer | None = None
        self._steps: dict[int, tuple[Tensor, Callable[[], None]]] = {}
        self._labels = torch.empty(0, dtype=torch.int64)

    @torch.no_grad()
    def start_over(self, fresh: Classifier) -> "GraphClassifier":
        """Become a fresh classifier, in place: its weights, statistics, schedule and seed, and an unused optimizer."""
        for mine, other in zip(_tensors(self), _tensors(fresh), strict=True):
            mine.copy_(other)
        for tensor in _state(self._optimizer):
            tensor.zero_()
        self._total_steps, self._augmentation_seed = fresh._total_steps, fresh._augmentation_seed
        return self

    def new_optimizer(self) -> Optimizer:
        """The one optimizer, whose learning rate is read from the device."""
        if self._optimizer is None:
            self._optimizer = super().new_optimizer()
            for group in self._optimizer.param_groups:
                group["initial_lr"] = float(group["lr"])  # the schedule's arithmetic stays on the host
                group["lr"] = torch.tensor(group["initial_lr"], device=self.device)
                if "capturable" in group:
                    group["capturable"] = True
        return self._optimizer

    def training_step(self, batch: TrainBatches, batch_index: int) -> None:  # type: ignore[override]
        """All optimizer steps of an epoch."""
        scheduler: Any = self.lr_schedulers()
        if not self._steps:
            self._labels = batch.labels.clone()
        self._labels.copy_(batch.labels)
        for indices in batch.next_epoch():
            if len(indices) not in self._steps:
                self._steps[len(indices)] = self._record(batch.images, len(indices))
            index, step = self._steps[len(indices)]
            index.copy_(indices)
            step()
            scheduler.step()

    def _record(self, images: Tensor, size: int) -> tuple[Tensor, Callable[[], None]]:
        """Where a step reads the indices of its images, and the step; nothing else has changed."""
        index, optimizer = torch.zeros(size, dtype=torch.int64, device=self.device), self._optimizer

        def step() -> None:
            self._step(optimizer, (take(images, index), self._labels[index]))

        changing = [*_tensors(self), *_state(optimizer)]
        before, drawn = [tensor.detach().clone() for tensor in changing], self._generator.get_state()
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices):
                if images.device != index.device:
                    raise RuntimeError("the images do not fit on the GPU")
                replayed = self.capture(step, self._generator)
        except RuntimeError as error:
            say(str(error.__context__ or error).partition("\n")[0])  # that the capture could not end comes second
            self.capture = _as_it_is  # a batch of another size would fare no better
            replayed = step
        self._generator.set_state(drawn)
        with torch.no_grad():
            # What the optimizer keeps is made by its first step, and begins at zero.
            for tensor, value in zip_longest([*_tensors(self), *_state(optimizer)], before):
                tensor.zero_() if value is None else tensor.copy_(value)
        return index, replayed


def _as_it_is(step: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    return step


def _tensors(model: Classifier) -> chain[Tensor]:
    return chain(model.parameters(), model.buffers())


def _state(optimizer: Optimizer | None) -> list[Tensor]:
    states = optimizer.state.values() if optimizer else ()
    return [value for state in states for value in state.values() if isinstance(value, Tensor)]


def one_for_all(make: Callable[[int, int], Classifier]) -> Callable[[int, int], Classifier]:
    """Classifiers for rounds, from their number and that of their labels, all of them one that is made over in place.

    Args:
        make: makes a :class:`GraphClassifier`.
    """
    resident: list[GraphClassifier] = []

    def made_over(round_: int, n_labeled: int) -> Classifier:
        fresh = make(round_, n_labeled)
        if resident:
            return resident[0].start_over(fresh)
        assert isinstance(fresh, GraphClassifier)
        resident.append(fresh)
        return fresh

    return made_over


def refusal(trainer: dict[str, Any], optimizer: Optimizer, device: torch.device) -> str:
    """Why a training step cannot be a CUDA graph; empty where nothing speaks against it.

    Args:
        trainer: settings of the Trainer.
        optimizer: as the settings make it.
        device: that trains.
    """
    settings = optimizer.defaults
    # Their state begins at zero, which is how it is reset; dampening makes the first step of SGD unlike the others, and
    # without `fused` SGD reads its learning rate on the host.
    follows = type(optimizer) in (Adam, AdamW) or (
        type(optimizer) is SGD and settings["fused"] and not settings["dampening"]
    )
    reasons = {
        "there is no CUDA device": device.type != "cuda",
        "trainer.precision=16-mixed looks at every gradient from the host": trainer["precision"] == "16-mixed",
        "trainer.detect_anomaly looks at every step from the host": bool(trainer.get("detect_anomaly")),
        f"a step of this {type(optimizer).__name__} cannot be a graph, one of Adam, AdamW, and SGD with "
        "optimizer.fused=true and without dampening can": not follows,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def say(reason: str) -> None:
    """Say why a run goes on with the fast engine."""
    print(f"train.engine=graph: {reason}; as with train.engine=fast from here on", file=sys.stderr)
