"""The user's Lightning callbacks: made anew each round; refused where the loop cannot bear them."""

import inspect
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import callbacks

from al_lightning.config.instantiate import check_targets, instantiate, locate
from al_lightning.contract import out_of_memory, told
from al_lightning.errors import ConfigError, UserError

_LENGTH = "a fit is as long as trainer.max_epochs and train.min_steps say, and longer where train.min_fit_acc wants it"
# Callbacks that would change what the loop counts, measures and writes, and why.
REFUSED: dict[type[pl.Callback], str] = {
    callbacks.Checkpoint: "a run writes into its own folder only, where the last round's model is kept",
    callbacks.EarlyStopping: _LENGTH,
    callbacks.Timer: _LENGTH,
    callbacks.StochasticWeightAveraging: f"{_LENGTH}; callbacks.WeightAveraging does not change it",
    callbacks.GradientAccumulationScheduler: "the loop counts optimizer steps; use trainer.accumulate_grad_batches",
    callbacks.BatchSizeFinder: "batch_size is the size of a batch",
    callbacks.LearningRateFinder: "optimizer.lr is the learning rate",
    callbacks.ModelPruning: "the weights are channels-last in memory, which PyTorch's pruning does not take",
}
# They look on, and change nothing in a fit.
WATCHERS = (
    callbacks.LearningRateMonitor,
    callbacks.DeviceStatsMonitor,
    callbacks.ModelSummary,
    callbacks.ProgressBar,
)
LOGGING = (callbacks.LearningRateMonitor, callbacks.DeviceStatsMonitor)
# Called around a step, which the fast engines take without Lightning.
STEP_HOOKS = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad"),
    *("on_before_backward", "on_after_backward", "on_before_optimizer_step"),
)


class CallbackError(UserError):
    """A callback of the user's that fails, or that ends a fit before its time."""


def make_callbacks(settings: dict[str, Any], has_loggers: bool) -> dict[str, pl.Callback]:
    """The callbacks of the section `callbacks` by their names there, in its order.

    Args:
        settings: the resolved configuration.
        has_loggers: whether the run has a logger of Lightning's.

    Raises:
        ConfigError: one that cannot be made, or that does not go with the loop, the engine or the loggers.
    """
    made = {}
    for name, node in settings.get("callbacks", {}).items():
        key = f"callbacks.{name}"
        if not isinstance(node, dict) or "_target_" not in node:
            raise ConfigError(f"{key}={node}: must have a target: {key}._target_=pytorch_lightning.callbacks....")
        check_targets(key, node)
        reason = _owned(locate(node["_target_"]))  # before what it is given is looked at
        if not reason:
            made[name] = instantiate(key, {"name": name, **node}, returns=pl.Callback)
            reason = _refusal(made[name], settings["train"]["engine"], has_loggers)
        if reason:
            raise ConfigError(f"{key}._target_={node['_target_']}: {reason}")
    return made


@contextmanager
def fit(trainer: pl.Trainer, own: Mapping[str, pl.Callback]) -> Iterator[None]:
    """Around a fit with callbacks of the user's: say which of them failed.

    Raises:
        CallbackError: one of them failed, or stopped the fit.
    """
    try:
        yield
    except (UserError, FloatingPointError):
        raise
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        failed = [name for name, each in own.items() if any(f.f_locals.get("self") is each for f in frames)]
        if not failed or out_of_memory(error):
            raise
        raise CallbackError(f"callbacks.{failed[0]}: {told(error)}") from error
    if own and trainer.current_epoch != trainer.max_epochs:
        raise CallbackError(
            f"callbacks {', '.join(own)}: the fit was stopped after {trainer.current_epoch} of {trainer.max_epochs} "
            f"epochs; {_LENGTH}"
        )


class Renewal(pl.Callback):
    """After the user's callbacks: forgets what was made of the weights before those changed them, an average say."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the pool is scored."""
        pl_module.train()


def _owned(kind: Any) -> str:
    """Why the loop has to do without a kind of callback; empty where it has not."""
    reasons = (reason for each, reason in REFUSED.items() if inspect.isclass(kind) and issubclass(kind, each))
    return next((f"the loop decides it: {reason}" for reason in reasons), "")


def _refusal(callback: pl.Callback, engine: str, has_loggers: bool) -> str:
    """Why a callback does not go with the run; empty for one that does."""
    if reason := _owned(type(callback)):
        return reason
    if isinstance(callback, LOGGING) and not has_loggers:
        return "has no logger to log to; choose one of Lightning's: logger=csv, or beside W&B +logger@logger.csv=csv"
    if engine == "plain" or isinstance(callback, WATCHERS):
        return ""
    if engine == "graph":
        return "train.engine=graph trains one model for all rounds; use train.engine=plain"
    if hooks := [hook for hook in STEP_HOOKS if _overrides(callback, hook)]:
        return f"train.engine=fast takes an epoch as one step, and so does not call {hooks[0]}; use train.engine=plain"
    return ""


def _overrides(callback: pl.Callback, hook: str) -> bool:
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(pl.Callback, hook)
