"""Embeddings by networks of timm and torchvision, trained by somebody else."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from al_lightning.contract import out_of_memory, told
from al_lightning.data.images import ImageData
from al_lightning.embedding.embed import stored
from al_lightning.embedding.embedder import Embedder, Extractor, key_of
from al_lightning.embedding.preprocess import Preprocess
from al_lightning.errors import ConfigError
from al_lightning.models.backbones.backbone import IMAGENET_STATISTICS
from al_lightning.models.backbones.libraries import at_size, timm_network, torchvision_network
from al_lightning.models.backbones.weights import fill
from al_lightning.models.inference import folded

Size = Annotated[int, Field(ge=8, le=4096)]


def timm(data: ImageData, *, model: str, weights: str | None = None, image_size: Size | None = None) -> Embedder:
    """Any network of timm (PyTorch Image Models), without its last layer.

    Args:
        data: the images.
        model: a name of `timm.list_models`: `vit_small_patch14_dinov2.lvd142m`, `tf_efficientnet_lite0`, ...
        weights: a file in safetensors; None: those that timm has for it, downloaded from the Hugging Face Hub.
        image_size: side that images are resized to; None: that of the model's own configuration.

    Raises:
        ConfigError: timm is not installed or has no such network, it does not take images of this size, or the weights
            do not fit.
        DataError: the weights are neither on disk nor downloadable.
    """
    key = f"embedding.model={model}"
    network = timm_network("embedding=timm", key, model, pretrained=weights is None)
    about = cast(dict[str, Any], network.pretrained_cfg)
    size = (image_size, image_size) if image_size else tuple(about["input_size"][1:])
    preprocess = Preprocess(size, _known(about["interpolation"]), tuple(about["mean"]), tuple(about["std"]))
    return _embedder(f"timm {model}", network, weights, preprocess)


def torchvision(data: ImageData, *, model: str, weights: str | None = None, image_size: Size | None = None) -> Embedder:
    """Any classification network of torchvision, without its last layer.

    Args:
        data: the images.
        model: a name of `torchvision.models.list_models`: `resnet50`, `convnext_tiny`, ...
        weights: a file in safetensors; None: torchvision's best, which are downloaded.
        image_size: side that images are resized to; None: the one that goes with torchvision's weights.

    Raises:
        ConfigError: there is no such network, it does not take images of this size, or the weights do not fit.
        DataError: the weights are neither on disk nor downloadable.
    """
    from torchvision import models

    network = torchvision_network(f"embedding.model={model}", model, pretrained=weights is None)
    transform = models.get_model_weights(model)["DEFAULT"].transforms()
    side = image_size or transform.crop_size[0]
    mean, deviation = (tuple(values) for values in IMAGENET_STATISTICS)
    preprocess = Preprocess((side, side), _known(transform.interpolation.value), mean, deviation)
    return _embedder(f"torchvision {model}", network, weights, preprocess)


def _known(interpolation: str) -> Literal["bilinear", "bicubic"]:
    return "bilinear" if interpolation == "bilinear" else "bicubic"


def _embedder(name: str, network: nn.Module, weights: str | None, preprocess: Preprocess) -> Embedder:
    if weights is not None:
        fill(network, weights, "embedding.weights", name)
    network.eval().requires_grad_(False)
    try:
        at_size(network, preprocess.size)
        with torch.inference_mode():
            features = network(torch.zeros(1, 3, *preprocess.size))
    except Exception as error:  # whatever a network raises that runs out of pixels
        if out_of_memory(error):
            raise
        height, width = preprocess.size
        raise ConfigError(f"embedding.image_size: {name} does not take {height} x {width}: {told(error)}") from error
    state = cast(Mapping[str, Tensor], network.state_dict())
    key = key_of({"network": name, "preprocess": str(preprocess)}, state)
    module = nn.Sequential(preprocess, folded(network.to(memory_format=torch.channels_last)))
    return stored(Extractor(module, features.shape[1], key, f"{name}, {preprocess}"))
