"""Lightning's Trainer, from the resolved configuration."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.strategies import DDPStrategy

from al_lightning.config.instantiate import instantiate
from al_lightning.errors import ConfigError
from al_lightning.models import graph
from al_lightning.ranks import ALONE, Rank

PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Together(DDPStrategy):
    """Lightning's DDP over the processes of a run, which are there, and whose group is joined."""

    def setup_distributed(self) -> None:
        """Say which process this is."""
        self.set_world_ranks()


class Company(LightningEnvironment):
    """What Lightning asks about the processes of a run."""

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    def local_rank(self) -> int:
        """That of this one."""
        return self._rank.number

    def node_rank(self) -> int:
        """There is one machine."""
        return 0


def make_trainer(settings: dict[str, Any], epochs: int, callbacks: list[pl.Callback], rank: Rank = ALONE) -> pl.Trainer:
    """A fresh Trainer: a used one would skip its second fit without a word.

    Args:
        settings: of the run.
        epochs: of the fit.
        callbacks: of the Trainer.
        rank: this process among those that fit; on its own it takes PyTorch's current GPU.

    Raises:
        ConfigError: a GPU or a precision is asked for where there is none, or Lightning refuses the settings.
    """
    accelerator = settings["trainer"]["accelerator"]
    if accelerator not in ("auto", "cpu") and not torch.accelerator.is_available():
        raise ConfigError(f"trainer.accelerator={accelerator}: PyTorch finds no GPU on this machine; use cpu or auto")
    node = {**settings["trainer"], "max_epochs": epochs, "devices": rank.of}
    uses_gpus = accelerator != "cpu" and torch.cuda.is_available()
    if uses_gpus and torch.cuda.device_count() > 1:  # by itself Lightning takes the first
        first = torch.cuda.current_device() if rank.of == 1 else rank.first_gpu
        node["devices"] = [*range(first, first + rank.of)]
    # Named, so that Lightning looks for no other: SLURM's would want as many devices as the job has tasks.
    environment = LightningEnvironment() if rank.of == 1 else Company(rank)
    given: dict[str, Any] = {"callbacks": callbacks, "plugins": [environment]}
    if rank.of > 1:
        given |= {"strategy": Together(), "sync_batchnorm": uses_gpus, "use_distributed_sampler": False}
    engine = settings["train"]["engine"]
    if engine == "graph" and uses_gpus:
        given["strategy"] = graph.Resident(torch.device("cuda", torch.cuda.current_device()))
    with _without_lightning_variables():
        trainer = instantiate("trainer", node, returns=pl.Trainer, **given)
    _check_precision(trainer, node["precision"])
    if engine != "plain":
        trainer.gradient_clip_val = None  # the model does it; the Trainer has checked the value, but refuses to clip
    return trainer


@contextmanager
def _without_lightning_variables() -> Iterator[None]:
    """Hide `PL_...` variables, from which Lightning takes what a Trainer is not given: they are in no fingerprint."""
    hidden = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("PL_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _check_precision(trainer: pl.Trainer, asked: str) -> None:
    """Refuse a precision that Lightning or PyTorch replaces by another one, with a warning at most.

    Raises:
        ConfigError: names both.
    """
    kind = trainer.strategy.root_device.type
    with warnings.catch_warnings(), trainer.precision_plugin.forward_context():
        warnings.simplefilter("ignore")
        is_mixed = torch.is_autocast_enabled(kind)
        computes_in = torch.get_autocast_dtype(kind) if is_mixed else torch.get_default_dtype()
    if trainer.precision != asked or computes_in != PRECISIONS[asked]:
        other = " or ".join(name for name in PRECISIONS if name != asked and (name != "16-mixed" or kind != "cpu"))
        raise ConfigError(
            f"trainer.precision={asked}: cannot be had on this {kind} device, where it would be "
            f"{str(computes_in).removeprefix('torch.')}; use {other}"
        )


def quiet_lightning() -> None:
    """Keep Lightning's hints off the screen: they speak of what the loop does on purpose."""
    # SLURM's number of a task is none of a process of this run, and loggers write at 0 only.
    rank_zero_only.rank = 0  # pyright: ignore[reportFunctionMemberAccess]
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
