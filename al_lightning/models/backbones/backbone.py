"""What a network in front of the head is."""

from dataclasses import dataclass

from torch import nn

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
