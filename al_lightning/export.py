"""A run's model, for use outside of the run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from al_lightning import build
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.errors import DataError
from al_lightning.model import Classifier
from al_lightning.rounds import WEIGHTS, DamagedError, folders, read_json, verify


@dataclass(frozen=True)
class Trained:
    """What a run has learned.

    Attributes:
        model: `uint8 [B, C, H, W] -> logits [B, K]`, in evaluation mode; it normalizes the pixels itself.
        classes: names of the K classes.
        transform: turns a PIL image of any size and mode into `uint8 [C, H, W]` for the model.
    """

    model: Classifier
    classes: tuple[str, ...]
    transform: Callable[[Image.Image], Tensor]


def load(run_folder: str | Path, device: str | torch.device = "cpu") -> Trained:
    """Load the model of the last round of a finished run.

    Args:
        run_folder: `multirun_outputs/<study>/<run>`.
        device: where the model goes.

    Raises:
        DataError: there is no finished run, or its model is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(run_folder)
    summary = read_json(folder / "summary.json")
    if not summary or not summary.get("finished"):
        raise DataError(f"{folder}: no finished run; the model is kept at its end. The run's command goes on with it")
    if not (rounds := folders(folder)):
        raise DataError(f"{folder}: its rounds are gone; run the run's command again")
    try:
        verify(last := rounds[-1])
    except DamagedError as error:
        raise DataError(f"{rounds[-1]}: damaged: {error}; run the run's command again") from error
    settings = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=True))
    channels, height, width = summary["image_shape"]
    classes = tuple(summary["classes"])
    if settings["model"].pop("pretrained", False):
        settings["model"]["stem"] = "imagenet"  # the trained weights replace the pretrained ones: do not fetch those
    settings["model"]["live_taps"] = False  # the whole kernels, for images of any size that the network takes
    black = torch.zeros(1, channels, height, width, dtype=torch.uint8)
    stand_in = ImageSet(black, torch.zeros(1, dtype=torch.int64), ("",))  # only its shape counts
    model = build.make_classifier(settings, ImageData(stand_in, stand_in, classes), round_=0, n_labeled=2)
    try:
        model.load_state_dict(load_file(last / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"{last / WEIGHTS}: not a model of this run: {str(error).partition(chr(10))[0]}") from error

    def transform(image: Image.Image) -> Tensor:
        image = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).reshape(height, width, channels).permute(2, 0, 1)

    return Trained(model.to(device).eval(), classes, transform)
