"""From the settings of a run to its embedding."""

import inspect
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from al_lightning.config.instantiate import check_targets, instantiate, locate
from al_lightning.data.embedding import Embedding
from al_lightning.data.images import ImageData
from al_lightning.embedding.embed import embedded
from al_lightning.embedding.embedder import Embedder
from al_lightning.embedding.on_ray import check_ray
from al_lightning.errors import ConfigError


def make_embedder(settings: dict[str, Any], data: ImageData) -> Embedder | None:
    """What has the features; None where the run has no embedding.

    Raises:
        ConfigError: settings that cannot work, a model that needs an embedding and has none, or no Ray for its engine.
        DataError: weights or a file that cannot be had.
    """
    node = settings["embedding"]
    if "_target_" not in node:
        if takes_embedding(settings):
            name = settings["model"]["name"]
            raise ConfigError(f"model={name}: needs an embedding; add embedding=timm, patches or another one")
        return None
    if _engine(settings) == "ray":
        check_ray()
    own = {key: value for key, value in node.items() if key != "engine"}
    return instantiate("embedding", own, returns=Embedder, data=data)


def takes_embedding(settings: dict[str, Any]) -> bool:
    """Whether the model is a head on the embedding: it is made for a number of features, not for images.

    Raises:
        ConfigError: its target is not allowed.
    """
    check_targets("model", settings["model"])
    return "n_features" in inspect.signature(locate(settings["model"]["_target_"])).parameters


def expecting(data: ImageData, n_features: int | None, settings: dict[str, Any]) -> ImageData:
    """The images with features that are all zero, to try with what takes them before they are computed.

    Args:
        data: the images.
        n_features: of the embedding; None: there is none.
        settings: of the run.
    """
    if n_features is None:
        return data
    pool, test = (torch.zeros(1, n_features).half().expand(len(part), -1) for part in (data.pool, data.test))
    there = torch.zeros(len(data.pool), dtype=torch.bool)
    there[0] = True
    return replace(data, embedding=Embedding(pool, test, "", "", there), on_embedding=takes_embedding(settings))


def with_embedding(
    data: ImageData, embedder: Embedder | None, settings: dict[str, Any], device: torch.device, key: str = ""
) -> ImageData:
    """The images with their features, which are computed where the store lacks them.

    Args:
        data: the images.
        embedder: has the features; None: there are none.
        settings: of the run.
        device: that computes.
        key: of the features that the run has had so far: what was learned from a pool goes on with the run.

    Raises:
        ConfigError, DataError: see :func:`al_lightning.embedding.embed.embedded`.
    """
    if embedder is None:
        return data
    root = store_root(settings)
    extractor = embedder.find(root, key) if key and embedder.find else None
    embed = partial(embedded, extractor) if extractor else embedder.embed
    found = embed(data, root, device, _engine(settings))
    return replace(data, embedding=found, on_embedding=takes_embedding(settings))


def _engine(settings: dict[str, Any]) -> str:
    return settings["embedding"].get("engine", "plain")


def store_root(settings: dict[str, Any]) -> Path:
    """The folder that features are kept in."""
    return Path(settings["paths"]["data"]).expanduser() / "embeddings"
