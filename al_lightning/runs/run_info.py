"""What is known of a run before its first round."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_lightning.config.plan import Plan
from al_lightning.data.images import ImageData
from al_lightning.runs.rounds import Round


@dataclass(frozen=True)
class RunInfo:
    """What is known when a run starts or goes on.

    Attributes:
        folder: the run folder.
        study: its study; the folder around it.
        settings: the resolved configuration.
        plan: the rounds and their sizes.
        data: pool and test images.
        environment: see :func:`al_lightning.runs.environment.current`.
        rounds: committed already, in order.
    """

    folder: Path
    study: str
    settings: dict[str, Any]
    plan: Plan
    data: ImageData
    environment: dict[str, Any]
    rounds: tuple[Round, ...]
