"""Deep active learning on images: Hydra configures it, Lightning trains it, Weights & Biases shows it."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import, and a command line that is refused needs none of it.
    if name == "load":
        from al_lightning.export import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
