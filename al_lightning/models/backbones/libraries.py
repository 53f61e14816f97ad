"""Any network of torchvision and of timm."""

from difflib import get_close_matches
from itertools import chain
from typing import Annotated, Any, cast

import torch
from pydantic import Field
from torch import nn

from al_lightning.contract import out_of_memory, told
from al_lightning.errors import ConfigError
from al_lightning.models.backbones.backbone import IMAGENET_STATISTICS, Backbone
from al_lightning.models.backbones.weights import fill, weights_for


def torchvision(channels: int, image_size: tuple[int, int], *, architecture: str, pretrained: bool = False) -> Backbone:
    """Any classification network of torchvision, without its last layer.

    Args:
        channels: of the images.
        image_size: height and width.
        architecture: a name of `torchvision.models.list_models`: `resnet50`, `efficientnet_b0`, ...
        pretrained: start from torchvision's weights; for images that are not of 3 channels, those of the first layer
            are summed and spread evenly.

    Raises:
        ConfigError: there is no such network, or it does not take images of this size.
        DataError: the weights are neither on disk nor downloadable.
    """
    key = f"model.architecture={architecture}"
    network = torchvision_network(key, architecture, pretrained)
    layers = dict(network.named_modules())
    first = next(name for name, layer in layers.items() if isinstance(layer, nn.Conv2d))
    if channels != 3:
        network.set_submodule(first, _with_channels(layers[first], channels, pretrained))
    return _measured(key, network, channels, image_size, _for_channels(*IMAGENET_STATISTICS, channels, pretrained))


def timm(
    channels: int,
    image_size: tuple[int, int],
    *,
    architecture: str,
    pretrained: bool = False,
    weights: str | None = None,
    freeze: Annotated[int, Field(ge=0)] = 0,
) -> Backbone:
    """Any network of timm (PyTorch Image Models), without its last layer.

    Args:
        channels: of the images.
        image_size: height and width.
        architecture: a name of `timm.list_models`: `convnext_tiny`, `vit_small_patch16_224`, ...
        pretrained: start from the weights that timm has for it, which are downloaded from the Hugging Face Hub.
        weights: a file in safetensors to start from instead.
        freeze: of its stages, as timm cuts them, the first ones keep their weights and their BatchNorm's statistics;
            with all of them only the head is trained.

    Raises:
        ConfigError: timm is not installed or has no such network, that does not take images of this size, the weights
            do not fit, it has fewer stages, or there are no weights to freeze.
        DataError: the weights are neither on disk nor downloadable.
    """
    key = f"model.architecture={architecture}"
    if freeze and not (pretrained or weights):
        raise ConfigError(
            f"model.freeze={freeze}: keeps weights that nobody has trained; give some: model.pretrained=true, or "
            "model.weights=FILE"
        )
    network = timm_network("model=timm", key, architecture, pretrained and not weights, in_chans=channels)
    trained_with = cast(dict[str, Any], network.pretrained_cfg)
    if weights:
        from timm.models import adapt_input_conv

        first = trained_with["first_conv"]
        firsts = {f"{each}.weight" for each in ([first] if isinstance(first, str) else first)}
        fill(
            network,
            weights,
            "model.weights",
            f"timm {architecture}",
            # As timm does to what it downloads: files are of networks for color.
            lambda each, tensor: adapt_input_conv(channels, tensor) if each in firsts and tensor.ndim == 4 else tensor,
        )
    _freeze(network, freeze)
    trained = pretrained or weights is not None
    statistics = _for_channels(list(trained_with["mean"]), list(trained_with["std"]), channels, trained)
    return _measured(key, network, channels, image_size, statistics)


def at_size(network: nn.Module, size: tuple[int, int]) -> None:
    """Bring the positions of a transformer of timm to another size of images; other networks stay as they are."""
    if hasattr(network, "set_input_size"):
        cast(Any, network).set_input_size(img_size=size)


def torchvision_network(key: str, architecture: str, pretrained: bool) -> nn.Module:
    """A classification network of torchvision, without its last layer.

    Args:
        key: of the configuration, with its value, for messages.
        architecture: a name of `torchvision.models.list_models`.
        pretrained: with torchvision's best weights.

    Raises:
        ConfigError: there is no such network, or it has no linear last layer.
        DataError: the weights are neither on disk nor downloadable.
    """
    from torchvision import models

    if architecture not in (names := models.list_models(module=models)):
        near = get_close_matches(architecture, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"{key}: torchvision has no such network; {hint}it has: {', '.join(names)}")
    with weights_for(key, "embedding.weights=FILE" if key.startswith("embedding") else ""):
        network = models.get_model(architecture, weights="DEFAULT" if pretrained else None)
    for name, value in {"aux1": None, "aux2": None, "AuxLogits": None, "aux_logits": False}.items():
        if hasattr(network, name):  # a second answer, in training only
            setattr(network, name, value)
    layers = dict(network.named_modules())
    last = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)][-1:]
    if not last or layers[last[0]].out_features != 1000:
        raise ConfigError(f"{key}: has no linear last layer to replace; use another")
    network.set_submodule(last[0], nn.Identity())
    return network


def timm_network(option: str, key: str, architecture: str, pretrained: bool, **arguments: Any) -> nn.Module:
    """A network of timm, without its last layer.

    Args:
        option: of the configuration that asks for it, for messages.
        key: likewise, with its value.
        architecture: a name of `timm.list_models`.
        pretrained: with the weights that timm has for it.
        **arguments: of `timm.create_model`.

    Raises:
        ConfigError: timm is not installed or has no such network.
        DataError: the weights are neither on disk nor downloadable.
    """
    try:
        import timm
    except ImportError as error:
        raise ConfigError(f"{option}: needs the extra timm: pip install 'al-lightning[timm]'") from error
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3)
        raise ConfigError(f"{key}: timm has no such network; near it: {', '.join(near) or 'none'}")
    with weights_for(key, f"{option.partition('=')[0]}.weights=FILE"):
        return timm.create_model(architecture, pretrained=pretrained, num_classes=0, **arguments)


def _freeze(network: nn.Module, n_stages: int) -> None:
    """Keep the weights of the first stages of a network of timm, and the statistics of their BatchNorm.

    Raises:
        ConfigError: it has fewer, or nobody knows them.
    """
    if not n_stages:
        return
    from timm.layers.norm_act import freeze_batch_norm_2d
    from timm.models import group_parameters

    if not hasattr(network, "group_matcher"):
        raise ConfigError(f"model.freeze={n_stages}: timm does not say what the stages of this network are")
    stages = [*group_parameters(network, cast(Any, network).group_matcher(coarse=True)).values()]
    if n_stages > len(stages):
        raise ConfigError(f"model.freeze={n_stages}: the network has {len(stages)} stages")
    for name in chain(*stages[:n_stages]):
        network.get_parameter(name).requires_grad_(False)
    for name, layer in [*network.named_modules()]:
        if isinstance(layer, nn.BatchNorm2d) and not layer.weight.requires_grad:
            network.set_submodule(name, freeze_batch_norm_2d(layer))


def _with_channels(layer: nn.Module, channels: int, pretrained: bool) -> nn.Conv2d:
    """A convolution of color images as one of other images."""
    assert isinstance(layer, nn.Conv2d)
    made = nn.Conv2d(
        channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        bias=layer.bias is not None,
    )
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    if pretrained:
        with torch.no_grad():
            made.weight.copy_(layer.weight.sum(1, keepdim=True) / channels)
            if layer.bias is not None and made.bias is not None:
                made.bias.copy_(layer.bias)
    return made


def _for_channels(
    mean: list[float], deviation: list[float], channels: int, pretrained: bool
) -> tuple[list[float], list[float]] | None:
    """The statistics that weights were trained with, if there are any; averaged for images that are not of color."""
    if not pretrained:
        return None
    return (mean, deviation) if channels == 3 else (channels * [sum(mean) / 3], channels * [sum(deviation) / 3])


def _measured(
    key: str,
    network: nn.Module,
    channels: int,
    image_size: tuple[int, int],
    statistics: tuple[list[float], list[float]] | None,
) -> Backbone:
    """A backbone of a network whose features are counted by trying it; its dropouts give way to the head's.

    Raises:
        ConfigError: it does not take images of this size.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    try:
        at_size(network, image_size)
        with torch.inference_mode():
            features = network.eval()(torch.zeros(1, channels, *image_size))
    except Exception as error:  # whatever a network raises that runs out of pixels
        if out_of_memory(error):
            raise
        height, width = image_size
        raise ConfigError(f"{key}: does not take {height} x {width} images: {told(error)}") from error
    return Backbone(network.train(), features.shape[1], statistics)
