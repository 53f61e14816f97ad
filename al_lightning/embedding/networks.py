"""Embeddings by networks of timm and torchvision, trained by somebody else."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from al_lightning.contract import out_of_memory, told
from al_lightning.data.images import ImageData
from al_lightning.embedding.embed import stored
from al_lightning.embedding.embedder import Embedder, Extractor, key_of
from al_lightning.embedding.preprocess import Preprocess
from al_lightning.errors import ConfigError, DataError
from al_lightning.models.backbones.backbone import IMAGENET_STATISTICS
from al_lightning.models.backbones.libraries import timm_network, torchvision_network
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
    if image_size and about.get("fixed_input_size"):  # a transformer, whose positions are brought to it
        network = timm_network("embedding=timm", key, model, pretrained=weights is None, img_size=image_size)
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
        _load(network, Path(weights).expanduser(), name)
    network.eval().requires_grad_(False)
    try:
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


def _load(network: nn.Module, file: Path, name: str) -> None:
    """Fill a network from a file; what it has for layers that are not there, its last ones, is left.

    Raises:
        DataError: the file cannot be read.
        ConfigError: it lacks what the network has, or has it in another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    key = f"embedding.weights={file}"
    try:
        given = load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{key}: cannot be read: {error}") from error
    state = network.state_dict()
    if missing := [each for each in state if each not in given and not each.endswith("num_batches_tracked")]:
        near = get_close_matches(missing[0], given, n=1)
        hint = f"; it has {near[0]}" if near else ""
        raise ConfigError(f"{key}: is not of {name}: it lacks {len(missing)} tensors, the first {missing[0]}{hint}")
    for each, tensor in state.items():
        if each in given and given[each].shape != tensor.shape:
            wanted, found = (list(shape) for shape in (tensor.shape, given[each].shape))
            raise ConfigError(f"{key}: is not of {name}: its {each} is {found} and has to be {wanted}")
    filled = {each: given.get(each, tensor).to(tensor.dtype) for each, tensor in cast(dict[str, Tensor], state).items()}
    network.load_state_dict(filled)
