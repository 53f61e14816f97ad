"""The configuration that the learner of a project has, as of a run on the same images. Needs no PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import DictConfig

from al_lightning import api
from al_lightning.command.overrides import quoted
from al_lightning.config import data_root, schema
from al_lightning.errors import ConfigError

FREE = (
    *("dataset.", "embedding.", "strategy.", "optimizer.", "paths.data", "trainer.accelerator", "seed"),
    *("al.mc_samples", "al.n_clusters", "al.scoring_precision", "model.dropout"),
)
OWN = (
    *("dataset.root", "dataset.labels", "dataset.classes", "dataset.ids", "dataset.test_fraction"),
    "optimizer._target_",
)
FIXED = (
    *("dataset=folder", "dataset.labels=none", "dataset.ids=content", "dataset.test_fraction=0", "dataset.classes=[]"),
    *("model=linear", "logger=none", "al.initial_size=0", "al.rounds=1"),
)
SIDES = {"timm": 224, "torchvision": 224, "pixels": 32}  # that images are resized to, in pixels; others: 64
UNNAMED = ("unnamed 1", "unnamed 2")  # classes before there are any
NETWORK = ("embedding.image_size=224",)  # of timm's default, whose own size would take five times as long
BY_ITSELF = ("patches", "pixels")  # embeddings that need no weights, the better one first


def embeddings(said: Mapping[str, Any]) -> list[str]:
    """The embeddings that are tried one after the other.

    Args:
        said: what the settings of the project hold.
    """
    if said["embedding"]:
        return [said["embedding"]]
    own_settings = any(each.lstrip("+").startswith("embedding.") for each in said["overrides"])
    return ["timm", *(() if own_settings else BY_ITSELF)]  # others have other settings


def configuration(project: Path, said: Mapping[str, Any], embedding: str) -> DictConfig:
    """The configuration with one of the embeddings.

    Args:
        project: the folder.
        said: what its settings hold.
        embedding: of :func:`embeddings`.

    Raises:
        ConfigError: settings that the learner does not take, or that cannot work.
    """
    _check_free(said["overrides"])
    _check_single(said["overrides"])
    is_default = not said["embedding"]
    own = [f"dataset.image_size={SIDES.get(embedding, 64)}", *(NETWORK if is_default and embedding == "timm" else ())]
    own.append(f"paths.data={quoted(str(project / 'data'))}")
    cfg = api.compose(
        [
            *FIXED,
            f"strategy={said['strategy']}",
            f"embedding={embedding}",
            f"seed={said['seed']}",
            *own,
            *said["overrides"],
        ]
    )
    cfg.dataset.root, cfg.dataset.classes = said["root"], list(UNNAMED)
    cfg.paths.output_root = str(project / "live")
    schema.typed(cfg)
    data_root.settle(cfg)
    return cfg


def check(project: Path, said: Mapping[str, Any]) -> None:
    """Refuse settings that can never work, without waiting for the learner, which would say so later.

    Args:
        project: the folder; it need not be there.
        said: what its settings hold.

    Raises:
        ConfigError: as of :func:`configuration`.
    """
    configuration(project, said, embeddings(said)[0])  # of the others only their own settings are different


def _check_free(typed: Sequence[str]) -> None:
    """Refuse settings that would not do what they do in a run."""
    for each in typed:
        key, _, value = each.lstrip("+").partition("=")
        is_free = any(key == free or (free.endswith(".") and key.startswith(free)) for free in FREE)
        if not value or not is_free or key in OWN:
            known = ", ".join(free.rstrip(".") for free in FREE)
            raise ConfigError(
                f"{each}: the learner of a project takes KEY=VALUE of {known}, but for {', '.join(OWN)}; "
                "what chooses is --strategy, the features are --embedding; a folder with spaces needs quotes"
            )


def _check_single(typed: Sequence[str]) -> None:
    """Refuse several values of a key, which are several runs to Hydra."""
    for each in typed:
        try:
            (parsed,) = OverridesParser.create().parse_overrides([each])
        except OverrideParseException:
            continue  # said better by who composes
        if parsed.is_sweep_override():
            key, _, value = each.partition("=")
            raise ConfigError(
                f"{each}: must be one value; a list stands in brackets, {key}=[{value}], and a text with commas in "
                f"""quotes, '{key}="{value}"'"""
            )
