"""From a project to the images that can be learned from, with their features."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from al_lightning import build
from al_lightning.config import schema
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.threads import WATCHER
from al_lightning.embedding.make import make_embedder, with_embedding
from al_lightning.errors import ConfigError, DataError
from al_lightning.live.settings import UNNAMED, configuration, embeddings
from al_lightning.people.store import Store
from al_lightning.trainer import quiet_lightning

NETWORKS = ("timm", "torchvision")  # embeddings that need weights


@dataclass(frozen=True)
class Prepared:
    """What the learner works with.

    Attributes:
        cfg: the configuration, as that of a run.
        settings: the same, resolved.
        data: the images with their features, as they were found; the classes stand for those to come.
        items: ids in the store, in the order of the pool.
        device: that fits.
    """

    cfg: DictConfig
    settings: dict[str, Any]
    data: ImageData
    items: list[int]
    device: torch.device

    def with_classes(self, names: Sequence[str]) -> "Prepared":
        """The same with the classes that there are now; where they are fewer than two, others stand for them."""
        cfg = self.cfg.copy()
        cfg.dataset.classes = [*names, *UNNAMED[len(names) :]]
        data = replace(self.data, classes=tuple(cfg.dataset.classes))
        return replace(self, cfg=cfg, settings=schema.resolved(cfg), data=data)


def prepare(project: Path, store: Store, say: Callable[[str], None]) -> Prepared:
    """Decode and embed what is new.

    Args:
        project: the folder.
        store: of the project, whose images have all been found.
        say: is told in words what features are used, and why.

    Raises:
        ConfigError: settings that cannot work.
        DataError: images or features that cannot be had.
    """
    quiet_lightning()
    said = json.loads((project / "settings.json").read_text(encoding="utf-8"))
    names = embeddings(said)
    for name in names:
        cfg = configuration(project, said, name)
        try:
            return _prepared(cfg, store)
        except (ConfigError, DataError) as error:
            if name == names[-1]:
                raise
            say(f"embedding={name} cannot be had ({error}); {names[names.index(name) + 1]} instead")
    raise AssertionError("the last embedding is returned or refused")


def _prepared(cfg: DictConfig, store: Store) -> Prepared:
    settings = schema.resolved(cfg)
    if settings["embedding"]["name"] in NETWORKS:  # weights that are missing are said before all images are decoded
        WATCHER.get()(f"looking for the weights of embedding={settings['embedding']['name']}", 0, 1)
        black = ImageSet(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), ("",))
        make_embedder(settings, ImageData(black, black, UNNAMED))
    data = build.load_whole(settings)
    known = {digest: item for item, digest in store.items().items()}
    here = torch.tensor([digest in known for digest in data.pool.ids])  # others came after the folder was looked at
    data = replace(data, gone=tuple((~here).nonzero().squeeze(1).tolist()))
    device = torch.device(
        "cuda" if torch.cuda.is_available() and settings["trainer"]["accelerator"] != "cpu" else "cpu"
    )
    data = with_embedding(data, make_embedder(settings, data), settings, device)
    return Prepared(cfg, settings, data, [known.get(digest, 0) for digest in data.pool.ids], device)
