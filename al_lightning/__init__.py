"""Deep active learning on images: Hydra configures it, Lightning trains it, Weights & Biases shows it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from al_lightning.config.targets import ROOMS, Room

if TYPE_CHECKING:
    from al_lightning.api import run as run
    from al_lightning.runs.export import load as load

__version__ = "0.1.0"

_PLACES = {"load": "al_lightning.runs.export", "run": "al_lightning.api"}


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import, and a command line that is refused needs none of it.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in ROOMS:  # for the short names of targets
        return Room(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
