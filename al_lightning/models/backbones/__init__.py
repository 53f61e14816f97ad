"""Networks from images to features. A new one is a function here, or in your own package, and a file in conf/model."""

from al_lightning.models.backbones.backbone import IMAGENET_STATISTICS, Backbone, Hidden
from al_lightning.models.backbones.heads import linear, mlp
from al_lightning.models.backbones.libraries import timm, torchvision
from al_lightning.models.backbones.resnet import resnet18
from al_lightning.models.backbones.small import cnn, gal2017

__all__ = [
    "IMAGENET_STATISTICS",
    "Backbone",
    "Hidden",
    "cnn",
    "gal2017",
    "linear",
    "mlp",
    "resnet18",
    "timm",
    "torchvision",
]
