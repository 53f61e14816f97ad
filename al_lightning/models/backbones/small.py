"""Networks for small images."""

from typing import Annotated

from pydantic import Field
from torch import nn

from al_lightning.errors import ConfigError
from al_lightning.models.backbones.backbone import Backbone, Hidden


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
