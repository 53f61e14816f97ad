"""A run's model, for use outside of the run."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageFile
from torch import Tensor, nn

from al_lightning import build
from al_lightning.config import schema
from al_lightning.config.targets import public
from al_lightning.data import levels
from al_lightning.data.decode import MAX_PIXELS, Decoded, How, convert, decode, reason
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.levels import Scale
from al_lightning.data.quiet import decoding
from al_lightning.embedding.embedder import Extractor
from al_lightning.embedding.make import expecting, make_embedder, store_root, takes_embedding
from al_lightning.errors import ConfigError, DataError
from al_lightning.models.classifier import Classifier
from al_lightning.people.store import STORE
from al_lightning.runs import stored
from al_lightning.runs.rounds import CALIBRATION, WEIGHTS, DamagedError, folders, read_json, verify

TIMM, FILE = "al_lightning.model.timm", "al_lightning.embedding.file"

Source = str | Path | bytes | Image.Image


@dataclass(frozen=True)
class Trained:
    """What a run has learned.

    Attributes:
        model: `uint8 [B, C, H, W] -> logits [B, K]`, in evaluation mode; it normalizes the pixels itself. A plain
            module, which `torch.export`, `torch.onnx` and `torch.jit.trace` take. Of a head on `embedding=file` it is
            `float [B, D] -> logits [B, K]`: nobody else can compute those features.
        classes: names of the K classes.
        transform: turns an image into `uint8 [C, H, W]` for the model, as the run decodes its own files: a path, a
            file's content, or a PIL image. One that was just opened is decoded anew from its file; one that was loaded
            or made is taken with the pixels that it has, turned, laid on white, scaled and resized in the same way.
            Raises DataError where that is impossible.
        temperature: what the logits are divided by for calibrated probabilities, learned from labels that the model was
            not fitted to; None where there were too few of them.
        takes_features: whether the model takes features that nobody can compute from an image, those of
            `embedding=file`.
    """

    model: nn.Module
    classes: tuple[str, ...]
    transform: Callable[[Source], Tensor]
    temperature: float | None = None
    takes_features: bool = False


class _Normalize(nn.Module):
    """What the backbone sees, `uint8 -> float [B, C, H, W]`."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.mean, self.deviation = nn.Buffer(mean), nn.Buffer(deviation)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.deviation


def model_folder(source: Path) -> Path:
    """The run folder with the model of a project of labels, or of a run, which it is itself.

    Raises:
        DataError: the project has no model yet.
    """
    if not (source / STORE).is_file():
        return source
    if not (source / "model").exists():
        raise DataError(f"{source}: has no model yet; label images of two classes, and wait until the learner is ready")
    return source / "model"


def load(run_folder: str | Path, device: str | torch.device = "cpu") -> Trained:
    """Load the model of the last round of a finished run.

    Args:
        run_folder: `multirun_outputs/<study>/<run>`.
        device: where the model goes.

    Raises:
        DataError: there is no finished run, its model is damaged, or it had no labels to fit one to.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(run_folder).resolve()  # the model of a project is a link that moves on
    summary = read_json(folder / "summary.json")
    if not summary or not summary.get("finished"):
        raise DataError(f"{folder}: no finished run; the model is kept at its end. The run's command goes on with it")
    if not (rounds := folders(folder)):
        raise DataError(f"{folder}: its rounds are gone; run the run's command again")
    try:
        verify(last := rounds[-1])
    except DamagedError as error:
        raise DataError(f"{rounds[-1]}: damaged: {error}; run the run's command again") from error
    if not (last / WEIGHTS).exists():  # its checksum is not missed
        raise DataError(f"{last}: the run has no model: there were no labels to fit one to")
    try:
        settings = schema.resolved(stored.read(folder))
    except ConfigError as error:
        raise DataError(f"{folder}: {error}") from error
    _follow(folder, settings["paths"])
    channels, height, width = summary["image_shape"]
    classes = tuple(summary["classes"])
    if settings["model"].pop("pretrained", False) and "stem" in settings["model"]:
        settings["model"]["stem"] = "imagenet"  # that of the pretrained weights, which the trained ones replace
    if public(settings["model"]["_target_"]) == TIMM:
        settings["model"] |= {"weights": None, "freeze": 0}  # likewise
    settings["model"]["live_taps"] = False  # the whole kernels, for images of any size that the network takes
    black = torch.zeros(1, channels, height, width, dtype=torch.uint8)
    stand_in = ImageSet(black, torch.zeros(1, dtype=torch.int64), ("",))  # only its shape counts
    data = ImageData(stand_in, stand_in, classes)
    try:
        weights = load_file(last / WEIGHTS)
        if takes_embedding(settings):
            data = expecting(data, len(weights["mean"]), settings)
        model = build.make_classifier(settings, data, round_=0, n_labeled=2)
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise DataError(f"{last / WEIGHTS}: not a model of this run: {str(error).partition(chr(10))[0]}") from error
    how = How(
        (channels, height, width),
        settings["dataset"].get("levels", 16),
        settings["dataset"].get("max_pixels", MAX_PIXELS),
    )
    scale = Scale(*summary["levels"]) if summary.get("levels") else levels.fixed(how.levels) or levels.FULL
    plain = _plain(model)
    takes_features = data.on_embedding and public(settings["embedding"]["_target_"]) == FILE
    if data.on_embedding and not takes_features and (extractor := _extractor(last, settings, data)):
        plain = nn.Sequential(OrderedDict(embedding=extractor.module, **dict(plain.named_children())))
    calibrated = (read_json(last / CALIBRATION) or {}).get("temperature")
    return Trained(
        plain.to(device).eval(), classes, lambda source: _pixels(source, how, scale), calibrated, takes_features
    )


def _follow(folder: Path, paths: dict[str, Any]) -> None:
    """Where what lay in the folder of a project is now: projects are moved, and copied to other machines."""
    if (project := folder.parent.parent / STORE).is_file():
        was, data = Path(paths["output_root"]).parent, Path(paths["data"])
        if data.is_relative_to(was):
            paths["data"] = str(project.parent / data.relative_to(was))


def _extractor(last: Path, settings: dict[str, Any], data: ImageData) -> Extractor | None:
    """What computes the features that a head was trained on; None where they are the pixels.

    Raises:
        DataError: its weights are not those of the run.
    """
    embedder, was = make_embedder(settings, data), (read_json(last / "environment.json") or {}).get("embedding") or {}
    if not (embedder and embedder.find):
        return None
    root = store_root(settings)
    extractor = embedder.find(root, was.get("key", ""))
    if extractor is None:
        raise DataError(f"{last}: what computed its features, {was.get('shown')}, is no longer in {root}; put it back")
    if extractor.key != was.get("key"):
        raise DataError(f"{last}: its features were those of {was.get('shown')}; now they are of {extractor.shown}")
    return extractor


def _plain(model: Classifier) -> nn.Sequential:
    """The layers without what training needs: a LightningModule resists `torch.jit`."""
    layers = {
        "normalize": _Normalize(model.mean, model.deviation),
        "backbone": model.backbone,
        "hidden": model.hidden,
        "dropout": model.dropout,
        "head": model.head,
    }
    return nn.Sequential(OrderedDict(layers))


def _pixels(source: Source, how: How, scale: Scale) -> Tensor:
    """`uint8 [C, H, W]`, see `Trained.transform`.

    Raises:
        DataError: the file cannot be read, or its content cannot be decoded.
    """
    name = getattr(source, "filename", "") or "the image" if isinstance(source, Image.Image | bytes) else source
    try:
        with decoding(how.max_pixels):
            pixels = _decoded(source, how, scale).pixels
    # A broken file can raise nearly anything in Pillow's readers.
    except Exception as error:
        raise DataError(f"{name}: {reason(error)}") from error
    assert pixels is not None  # the scale is known
    return torch.from_numpy(pixels.copy())


def _decoded(source: Source, how: How, scale: Scale) -> Decoded:
    if isinstance(source, str | Path):
        return decode(Path(source).read_bytes(), how, scale)
    if isinstance(source, bytes):
        return decode(source, how, scale)
    if isinstance(source, ImageFile.ImageFile) and source.fp is not None and source.tile and not source.tell():
        # Its pixels have not been read yet, so nobody has changed them.
        place = source.fp.tell()
        source.fp.seek(0)
        data = source.fp.read()
        source.fp.seek(place)
        return decode(data, how, scale)
    return convert(source.copy(), None, how, scale)
