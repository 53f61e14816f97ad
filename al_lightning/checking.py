"""Every object of a run made once before anything is trained or written: what cannot work is refused at once."""

from dataclasses import dataclass

import torch

from al_lightning import build
from al_lightning.acquisition.initial import BLIND
from al_lightning.acquisition.neighbors import check_neighbors
from al_lightning.acquisition.trial import try_strategy
from al_lightning.config.callbacks import make_callbacks
from al_lightning.config.instantiate import refusals
from al_lightning.config.loggers import WANDB, nodes
from al_lightning.config.plan import Plan
from al_lightning.config.targets import public
from al_lightning.contract import told
from al_lightning.data.images import UNKNOWN, ImageData
from al_lightning.errors import ConfigError, UserError
from al_lightning.models.learner import Committee
from al_lightning.trainer import make_trainer, quiet_lightning


@dataclass(frozen=True)
class Checked:
    """What was seen when every object was made once.

    Attributes:
        device: that will train.
        has_committee: whether there are further members, and the strategy asks for their samples.
    """

    device: torch.device
    has_committee: bool


def check(settings: build.Settings, data: ImageData, plan: Plan) -> Checked:
    """Make every object once before anything is trained or written, so that what cannot work is refused at once.

    Raises:
        ConfigError: naming what cannot work.
    """
    if settings["al"]["initial"] == "balanced" and (data.pool.labels[data.there] == UNKNOWN).any():
        raise ConfigError(
            "al.initial=balanced: takes the labels of all images, and nobody knows them; al.initial=random"
        )
    if settings["al"]["initial"] not in BLIND and not data.embedding:
        raise ConfigError(
            f"al.initial={settings['al']['initial']}: takes an embedding of the images, and there is none; give one, "
            "embedding=timm or embedding=pixels, or al.initial=random"
        )
    if plan.n_neighbors:
        check_neighbors(data.embedding)
    if plan.n_control and not build.is_convex(settings):
        raise ConfigError(
            f"al.control={settings['al']['control']}: fits heads on an embedding; it needs embedding=... model=linear"
        )
    committee = build.members(settings)
    quiet_lightning()
    has_loggers = any(public(node["_target_"]) != WANDB for node in nodes(settings["logger"]).values())
    device = make_trainer(settings, 1, [*make_callbacks(settings, has_loggers).values()]).strategy.root_device
    _check_devices(settings["trainer"]["devices"], device)
    with build.within_memory("model", settings["model"]):
        model = build.make_classifier(settings, data, 0, 2)
    if build.is_convex(settings):
        if not (data.on_embedding and not len(model.hidden)):
            name = settings["model"]["name"]
            raise ConfigError(f"optimizer=lbfgs model={name}: it fits model=linear only; use another, optimizer=adam")
    else:
        with refusals("optimizer", settings["optimizer"]):
            _check_optimizer(model.new_optimizer())
    try:
        with build.within_memory("model", settings["model"]), torch.inference_mode():
            model.eval()(data.inputs[0][:1])
    except UserError:
        raise
    except Exception as error:  # a user's own network may raise anything
        height, width = data.image_size
        raise ConfigError(
            f"model={settings['model']['name']}: does not take {height} x {width} images: {told(error)}"
        ) from error
    if plan.rounds:
        with build.within_memory("strategy", settings["strategy"]):
            others = Committee([model] * (committee.n - 1), committee.by_dropout) if committee.n > 1 else None
            sampled = try_strategy(build.make_strategy(settings, data), settings["strategy"], model, data, plan, others)
            return Checked(device, committee.n > 1 and sampled)
    return Checked(device, False)


def _check_devices(n: int, device: torch.device) -> None:
    if n == 1 or device.type == "cpu":
        return
    if device.type != "cuda":
        raise ConfigError(f"trainer.devices={n}: this machine has one {device.type} device; use 1, or trainer=cpu")
    first, there = torch.cuda.current_device(), torch.cuda.device_count()
    if first + n > there:
        free = there if not first else f"{there - first} beginning with the current one, {first}"
        raise ConfigError(
            f"trainer.devices={n}: PyTorch finds {free} GPUs on this machine; use as many, or trainer=cpu"
        )


def _check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise ValueError("the gradients of these networks are not sparse")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("the weights are channels-last in memory, which it does not take")
