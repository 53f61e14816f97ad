"""Networks from images to features. A new one is a function here, or in your own package, and a file in conf/model."""

from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Annotated, Literal
from urllib.error import URLError

import torch
from pydantic import Field
from torch import nn

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
