"""Networks from images to features. A new one is a function here, or in your own package, and a file in conf/model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pickle import UnpicklingError
from typing import Annotated, Any, Literal, cast
from urllib.error import URLError

import torch
from pydantic import Field
from torch import nn

from al_lightning.contract import out_of_memory, told
from al_lightning.errors import ConfigError, DataError

IMAGENET_STATISTICS = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Backbone:
    """A network `[B, C, H, W] -> [B, n_features]`.

    Attributes:
        module: the network, without dropout.
        n_features: size of what it returns for an image.
        statistics: mean and standard deviation of each channel that the weights were trained with;
            None for those of the data set.
        hidden: a layer with a dropout of its own before the head; None: the features go to the head.
    """

    module: nn.Module
    n_features: int
    statistics: tuple[list[float], list[float]] | None = None
    hidden: "Hidden | None" = None


@dataclass(frozen=True)
class Hidden:
    """A layer between the features of a backbone and the head: dropout, linear, ReLU.

    Attributes:
        size: of what it returns for an image.
        dropout: probability of dropping a feature of the backbone.
    """

    size: int
    dropout: float


def resnet18(
    channels: int,
    image_size: tuple[int, int],
    *,
    stem: Literal["auto", "imagenet", "small"] = "auto",
    pretrained: bool = False,
) -> Backbone:
    """ResNet-18 of torchvision (He et al. 2016, "Deep Residual Learning for Image Recognition").

    Args:
        channels: of the images.
        image_size: height and width.
        stem: `imagenet` is the original: 7x7 convolution with stride 2, then max-pooling: 1/4 of the size. `small` is
            the form for CIFAR-10 (section 4.2 there): 3x3, stride 1, no pooling. `auto` takes `small` where the
            original leaves nothing to see: images of up to 16 pixels, and color images of up to 40.
        pretrained: start from torchvision's ImageNet weights; for gray images those of the first layer are summed.

    Raises:
        ConfigError: pretrained weights for a stem that they do not fit.
        DataError: the weights are neither on disk nor downloadable.
    """
    from torchvision.models import resnet18 as torchvision_resnet18

    if stem == "auto":
        small = max(image_size) <= 16 or (channels == 3 and max(image_size) <= 40)
        stem = "small" if small and not pretrained else "imagenet"
    if pretrained and stem == "small":
        raise ConfigError("model.stem=small: the pretrained weights need the stem that they come with: imagenet")
    network = torchvision_resnet18(weights=None)
    if pretrained:
        _load_imagenet_weights(network)
    if stem == "small":
        network.conv1 = nn.Conv2d(channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
        network.maxpool = nn.Identity()  # type: ignore[assignment]
    elif channels != 3:
        colored = network.conv1.weight
        network.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        if pretrained:
            with torch.no_grad():
                network.conv1.weight.copy_(colored.sum(1, keepdim=True))
    if stem == "small" or (channels != 3 and not pretrained):
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does
    n_features = network.fc.in_features
    network.fc = nn.Identity()  # type: ignore[assignment]
    statistics = None
    if pretrained:
        mean, deviation = IMAGENET_STATISTICS
        statistics = (mean, deviation) if channels == 3 else ([sum(mean) / 3], [sum(deviation) / 3])
    return Backbone(network, n_features, statistics)


def cnn(channels: int, image_size: tuple[int, int], *, width: Annotated[int, Field(ge=1, le=1024)] = 32) -> Backbone:
    """Three 3x3 convolutions, two max-poolings, one hidden layer of 4 x `width` features; BatchNorm in every layer."""

    def block(n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]

    n_features = 4 * width
    module = nn.Sequential(
        *block(channels, width),
        nn.MaxPool2d(2, ceil_mode=True),
        *block(width, 2 * width),
        nn.MaxPool2d(2, ceil_mode=True),
        *block(2 * width, 4 * width),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        # Its inputs are all positive: without BatchNorm most of the units die in the first steps at a usable rate.
        nn.Linear(16 * width, n_features, bias=False),
        nn.BatchNorm1d(n_features),
        nn.ReLU(),
    )
    return Backbone(module, n_features)


def gal2017(
    channels: int,
    image_size: tuple[int, int],
    *,
    width: Annotated[int, Field(ge=1, le=1024)] = 32,
    hidden_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25,
) -> Backbone:
    """The network of "Deep Bayesian Active Learning with Image Data" (Gal et al. 2017, section 5.1).

    Two 4x4 convolutions of `width` channels, max-pooling, dropout, 128 hidden features; then the dropout head.

    Args:
        channels: of the images.
        image_size: height and width.
        width: channels of both convolutions.
        hidden_dropout: probability, before the hidden layer.
    """
    module = nn.Sequential(
        nn.Conv2d(channels, width, 4), nn.ReLU(), nn.Conv2d(width, width, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    height, width_ = ((side - 6) // 2 for side in image_size)
    if min(height, width_) < 1:
        raise ConfigError(
            f"model=gal2017: needs images of at least 8 x 8 pixels, not {image_size[0]} x {image_size[1]}"
        )
    return Backbone(module, width * height * width_, hidden=Hidden(128, hidden_dropout))


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
    from torchvision import models

    key = f"model.architecture={architecture}"
    if architecture not in (names := models.list_models(module=models)):
        near = get_close_matches(architecture, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"{key}: torchvision has no such network; {hint}it has: {', '.join(names)}")
    with _weights(key):
        network = models.get_model(architecture, weights="DEFAULT" if pretrained else None)
    for name, value in {"aux1": None, "aux2": None, "AuxLogits": None, "aux_logits": False}.items():
        if hasattr(network, name):  # a second answer, in training only
            setattr(network, name, value)
    layers = dict(network.named_modules())
    last = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)][-1:]
    if not last or layers[last[0]].out_features != 1000:
        raise ConfigError(f"{key}: has no linear last layer to replace; use another")
    network.set_submodule(last[0], nn.Identity())
    first = next(name for name, layer in layers.items() if isinstance(layer, nn.Conv2d))
    if channels != 3:
        network.set_submodule(first, _with_channels(layers[first], channels, pretrained))
    return _measured(key, network, channels, image_size, _for_channels(*IMAGENET_STATISTICS, channels, pretrained))


def timm(channels: int, image_size: tuple[int, int], *, architecture: str, pretrained: bool = False) -> Backbone:
    """Any network of timm (PyTorch Image Models), without its last layer.

    Args:
        channels: of the images.
        image_size: height and width.
        architecture: a name of `timm.list_models`: `convnext_tiny`, `vit_small_patch16_224`, ...
        pretrained: start from the weights that timm has for it, which are downloaded from the Hugging Face Hub.

    Raises:
        ConfigError: timm is not installed or has no such network, or that does not take images of this size.
        DataError: the weights are neither on disk nor downloadable.
    """
    try:
        import timm
    except ImportError as error:
        raise ConfigError("model=timm: needs the extra timm: pip install 'al-lightning[timm]'") from error
    key = f"model.architecture={architecture}"
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3)
        raise ConfigError(f"{key}: timm has no such network; near it: {', '.join(near) or 'none'}")
    with _weights(key):
        network = timm.create_model(architecture, pretrained=pretrained, num_classes=0, in_chans=channels)
    trained_with = cast(dict[str, Any], network.pretrained_cfg)
    statistics = _for_channels(list(trained_with["mean"]), list(trained_with["std"]), channels, pretrained)
    return _measured(key, network, channels, image_size, statistics)


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
        with torch.inference_mode():
            features = network.eval()(torch.zeros(1, channels, *image_size))
    except Exception as error:  # whatever a network raises that runs out of pixels
        if out_of_memory(error):
            raise
        height, width = image_size
        raise ConfigError(f"{key}: does not take {height} x {width} images: {told(error)}") from error
    return Backbone(network.train(), features.shape[1], statistics)


@contextmanager
def _weights(key: str) -> Iterator[None]:
    """Say whose weights cannot be had; libraries raise all kinds of errors for that."""
    try:
        yield
    except (URLError, OSError, RuntimeError, EOFError, UnpicklingError) as error:
        if out_of_memory(error):
            raise
        raise DataError(f"{key}: no weights: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error


def _load_imagenet_weights(network: nn.Module) -> None:
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.IMAGENET1K_V1
    file = f"{torch.hub.get_dir()}/checkpoints/{weights.url.rsplit('/', 1)[1]}"
    try:
        network.load_state_dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (URLError, OSError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"model.pretrained=true: no weights: {type(error).__name__}: {reason}. Put {weights.url} there: {file}"
        ) from error
