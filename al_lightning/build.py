"""From the resolved configuration to the objects of a run."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from al_lightning.acquisition import ceiling
from al_lightning.acquisition.choose import Strategy
from al_lightning.config.instantiate import as_typed, check_type, instantiate
from al_lightning.config.targets import public
from al_lightning.contract import out_of_memory
from al_lightning.data import masks
from al_lightning.data.batches import steps_per_epoch
from al_lightning.data.images import ImageData
from al_lightning.data.memory import largest_batch
from al_lightning.errors import ConfigError
from al_lightning.models import graph
from al_lightning.models.backbones import Backbone
from al_lightning.models.classifier import Classifier
from al_lightning.models.convex import ConvexClassifier
from al_lightning.models.fast import FastClassifier
from al_lightning.models.fit_check import Rule
from al_lightning.models.kept_weight_decay import KeptWeightDecay
from al_lightning.models.live_taps import keep_live_taps
from al_lightning.oracle import Oracle, people
from al_lightning.streams import Stream, generator, seeded, torch_seed

Settings = dict[str, Any]

EMBEDDED = 4096  # rows of an embedding a step: more are no faster
LEAST = 2  # images that a model can be fitted to: batch normalization needs two
SCORING: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16}
SIMULATED, PEOPLE = "al_lightning.oracle.Simulated", "al_lightning.oracle.People"
LBFGS = "al_lightning.optimizer.Lbfgs"
# Settings of the Trainer that the fast engine follows itself.
CLIPPING = ("gradient_clip_val", "gradient_clip_algorithm")


def load_data(settings: Settings) -> ImageData:
    """Load the data set, and apply the keys of :mod:`al_lightning.data.masks` to it."""
    return masked(load_whole(settings), settings)


def load_whole(settings: Settings, classes: Sequence[str] | None = None) -> ImageData:
    """Load the data set without these keys.

    What a user's own draws from global generators is the same in every run, whatever its seed.

    Args:
        settings: of the run.
        classes: that it has, where it has begun: a store of people may have more by now.
    """
    own = {key: value for key, value in settings["dataset"].items() if key not in masks.OFF}
    if (path := store_of(settings)) and "classes" in own and own["classes"] is None:
        with closing(people.opened(path)) as store:
            own["classes"] = classes or [*store.classes().values()]
    with within_memory("dataset", own), seeded(torch_seed(0, Stream.DATA)):
        return instantiate("dataset", own, returns=ImageData)


def with_known(data: ImageData, settings: Settings, only: Collection[str] | None = None) -> ImageData:
    """A data set with the labels that people have given before a run begins: they are its initial set.

    Args:
        data: the images.
        settings: of the run.
        only: ids of the images whose labels count; None: all.
    """
    if not (path := store_of(settings)):
        return data
    with closing(people.opened(path)) as store:
        return people.with_known(data, store, only)


def store_of(settings: Settings) -> str | None:
    """Where the store of people's answers is that a run asks through; None where it asks others."""
    oracle = settings["oracle"]
    return oracle["store"] if public(oracle["_target_"]) == PEOPLE else None


def masked(data: ImageData, settings: Settings) -> ImageData:
    """Apply these keys to a data set that is loaded.

    Raises:
        ConfigError: it has too few images for them, or there is not enough memory.
    """
    node = settings["dataset"]
    with within_memory("dataset", {"name": node["name"], **masks.chosen(node)}):
        return masks.apply(data, node, known_only=is_simulated(settings))


def is_simulated(settings: Settings) -> bool:
    """Whether the labels of the data set are the answers."""
    return public(settings["oracle"]["_target_"]) == SIMULATED


def make_strategy(settings: Settings, data: ImageData | None = None) -> Strategy:
    """The strategy, its settings bound; `ceiling` alone is given the data too, which has labels that nobody has."""
    knows: Settings = {"data": data} if public(settings["strategy"]["_target_"]) == ceiling.TARGET else {}
    return partial(instantiate("strategy", settings["strategy"], partial=True, **knows), **knows)


def make_oracle(settings: Settings, data: ImageData) -> Oracle:
    """Who answers. What a user's own draws from global generators is the same in every process of a run."""
    with seeded(torch_seed(settings["seed"], Stream.DATA)):
        return instantiate("oracle", settings["oracle"], data=data, seed=settings["seed"])


def fit_length(settings: Settings, n_labeled: int) -> tuple[int, int]:
    """Epochs and optimizer steps of a fit on n labeled images: epochs are added until `train.min_steps` is reached.

    None of either where there are too few for a model.
    """
    if n_labeled < LEAST:
        return 0, 0
    if is_convex(settings):
        return 1, 1
    steps = steps_per_epoch(n_labeled, settings["batch_size"])
    steps = -(-steps // settings["trainer"].get("accumulate_grad_batches", 1))
    epochs = max(settings["trainer"]["max_epochs"], -(-settings["train"]["min_steps"] // steps))
    return epochs, epochs * steps


def batch_sizes(settings: Settings, data: ImageData, device: torch.device) -> tuple[int, int]:
    """Images of a training step, and of a step without gradients."""
    most = EMBEDDED if data.on_embedding else largest_batch(data.image_size, device)
    train = len(data.pool) if is_convex(settings) else settings["batch_size"]
    return train, settings["al"]["pool_batch_size"] or most


def is_convex(settings: Settings) -> bool:
    """Whether a fit is one step with all labeled images, to convergence."""
    return public(settings["optimizer"]["_target_"]) == LBFGS


def fit_rule(settings: Settings) -> Rule:
    """When a fit has failed, and how often it may go on."""
    train = settings["train"]
    return Rule(train["max_cycles"], train["min_fit_acc"], train["max_fit_loss"], train["min_fit_recall"])


def make_classifier(
    settings: Settings,
    data: ImageData,
    round_: int,
    n_labeled: int,
    weight_decay: float | None = None,
    is_member: bool = False,
) -> Classifier:
    """A classifier with fresh weights, the same ones for every strategy of a seed in a round.

    Args:
        settings: of the run.
        data: what it will see.
        round_: number of the round.
        n_labeled: images that it will be fitted to.
        weight_decay: that was chosen in an earlier round; None: it has to be chosen, where it is to be.
        is_member: whether it is a further one of a committee, whose convex fit is to a bootstrap sample.
    """
    dropout, live_taps = (settings["model"].get(key, usual) for key, usual in (("dropout", 0.0), ("live_taps", False)))
    check_type("model.dropout", dropout, Annotated[float, Field(ge=0, lt=1)])
    check_type("model.live_taps", live_taps, bool)
    crop, flip = (0, False) if data.on_embedding else _augmentation(settings, min(data.image_size))
    engine: Callable[..., Classifier] = Classifier
    if is_convex(settings):
        rng, solver = generator(settings["seed"], Stream.FOLDS, round_), instantiate("optimizer", settings["optimizer"])
        engine = partial(ConvexClassifier, rng=rng, solver=solver, weight_decay=weight_decay, resampled=is_member)
    elif settings["train"]["engine"] != "plain":
        value, algorithm = (settings["trainer"].get(key) for key in CLIPPING)
        engine = FastClassifier if settings["train"]["engine"] == "fast" else graph.GraphClassifier
        engine = partial(engine, clip=value, clip_algorithm=algorithm)
    with seeded(torch_seed(settings["seed"], Stream.WEIGHTS, round_)):
        backbone = instantiate("model", settings["model"], returns=Backbone, **data.input_shape)
        if live_taps:
            keep_live_taps(backbone.module, torch.zeros(1, data.channels, *data.image_size))
        backbone.module.to(memory_format=torch.channels_last)  # nowhere slower by much, 1.7 times faster with model=cnn
        return engine(
            backbone,
            len(data.classes),
            dropout=dropout,
            scale=data.scale(backbone.statistics),
            optimizer=None if is_convex(settings) else instantiate("optimizer", settings["optimizer"], partial=True),
            schedule=settings["train"]["schedule"],
            total_steps=fit_length(settings, n_labeled)[1],
            crop=crop,
            flip=flip,
            augmentation_seed=torch_seed(settings["seed"], Stream.AUGMENTATION, round_),
        )


def classifiers(
    settings: Settings, data: ImageData, device: torch.device, rows: Sequence[Mapping[str, Any]] = ()
) -> Callable[[int, int], Classifier]:
    """How every round comes by its classifier, from its number and that of its labels, see :func:`make_classifier`.

    With `train.engine=graph` it is one for all rounds, made over in place.

    Args:
        settings: of the run.
        data: what it will see.
        device: that trains.
        rows: of the committed rounds.
    """
    make = partial(make_classifier, settings, data)
    if is_convex(settings):
        return KeptWeightDecay(make, rows)
    if settings["train"]["engine"] != "graph":
        return make
    if reason := graph.refusal(settings["trainer"], make(0, 2).new_optimizer(), device):
        graph.say(reason)
        return partial(make_classifier, {**settings, "train": {**settings["train"], "engine": "fast"}}, data)
    return graph.one_for_all(make)


@dataclass(frozen=True)
class Members:
    """What the keys of a model say of its committee.

    Attributes:
        n: of all members.
        goes_on: whether a further one goes on from the one before (`model.ensemble=snapshots`), or begins afresh.
        by_dropout: whether all of them sample by dropout too (`model.sampling=both`).
    """

    n: int
    goes_on: bool
    by_dropout: bool


def members(settings: Settings) -> Members:
    """The committee that is asked for.

    Raises:
        ConfigError: it cannot be.
    """
    usual = {"members": 1, "ensemble": "deep", "sampling": None}
    n, ensemble, sampling = (settings["model"].get(key, value) for key, value in usual.items())
    check_type("model.members", n, Annotated[int, Field(ge=1, le=100)])
    check_type("model.ensemble", ensemble, Literal["deep", "snapshots"])
    check_type("model.sampling", sampling, Literal["both"] | None)
    if n == 1 and (ensemble != "deep" or sampling):
        typed = f"model.sampling={sampling}" if sampling else f"model.ensemble={ensemble}"
        raise ConfigError(f"model.members=1 {typed}: there is no committee; give it at least 2 members")
    if ensemble == "snapshots" and (is_convex(settings) or settings["train"]["schedule"] == "constant"):
        why = "a convex fit" if is_convex(settings) else "train.schedule=constant"
        raise ConfigError(f"model.ensemble=snapshots: of {why}, each would be the one before; model.ensemble=deep")
    return Members(n, ensemble == "snapshots", sampling == "both")


@contextmanager
def within_memory(key: str, node: Settings) -> Iterator[None]:
    """Turn running out of memory into a message with the settings of a node, one of which must be too large."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "MemoryError"
        raise ConfigError(f"{as_typed(key, node)}: needs more memory than there is: {reason}") from error


def _augmentation(settings: Settings, side: int) -> tuple[int, bool]:
    augment = settings["dataset"].get("augment") or {}
    check_type("dataset.augment", augment, dict[str, Any])
    if unknown := sorted(set(augment) - {"crop", "flip"}):
        raise ConfigError(f"dataset.augment.{unknown[0]}: there is no such key; dataset.augment has: crop, flip")
    crop, flip = augment.get("crop", 0), augment.get("flip", False)
    check_type("dataset.augment.crop", crop, Annotated[int, Field(ge=0, le=side)])
    check_type("dataset.augment.flip", flip, bool)
    return crop, flip
