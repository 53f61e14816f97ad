"""Nothing before the head: what it sees is an embedding."""

from typing import Annotated

from pydantic import Field
from torch import nn

from al_lightning.models.backbones.backbone import Backbone, Hidden


def linear(n_features: int) -> Backbone:
    """The head alone, dropout and a linear layer: logistic regression on the embedding.

    Args:
        n_features: of the embedding.
    """
    return Backbone(nn.Identity(), n_features)


def mlp(
    n_features: int,
    *,
    width: Annotated[int, Field(ge=1, le=65_536)] = 512,
    hidden_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25,
) -> Backbone:
    """One hidden layer before the head.

    Args:
        n_features: of the embedding.
        width: of the hidden layer.
        hidden_dropout: probability of dropping a feature of the embedding.
    """
    return Backbone(nn.Identity(), n_features, hidden=Hidden(width, hidden_dropout))
