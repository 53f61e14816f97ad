"""ResNet-18."""

from pickle import UnpicklingError
from typing import Literal
from urllib.error import URLError

import torch
from torch import nn

from al_lightning.errors import ConfigError, DataError
from al_lightning.models.backbones.backbone import IMAGENET_STATISTICS, Backbone


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
