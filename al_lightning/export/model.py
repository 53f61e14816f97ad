"""The model of a project or a run for other programs, with what they have to know of its input and output."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from al_lightning.config import schema
from al_lightning.errors import ConfigError, DataError
from al_lightning.runs import stored
from al_lightning.runs.export import Trained, load, model_folder
from al_lightning.runs.rounds import read_json

ABOUT = "model.json"
TOLERANCE = 1e-3  # on logits, of ONNX Runtime against PyTorch


def export_model(source: Path, form: str, out: Path) -> list[str]:
    """Write a model, and `model.json`: its classes, its temperature, and how images become its input.

    Args:
        source: folder of a project, or of a finished run.
        form: `safetensors`, `onnx` (checked against PyTorch) or `torch-export`.
        out: folder that is there.

    Returns:
        What was written and checked, a line each.

    Raises:
        ConfigError: what writes or checks ONNX is not installed.
        DataError: there is no model, or ONNX Runtime comes to other logits.
    """
    folder = model_folder(source)
    trained = load(folder)
    about = _about(folder, trained)
    images = torch.randint(0, 256, (4, *about["input"]["shape"][1:]), dtype=torch.uint8)
    if about["input"]["dtype"] == "float32":
        images = images.float()
    lines: list[str] = []
    match form:
        case "safetensors":
            save_file(
                {name: each.contiguous() for name, each in trained.model.state_dict().items()},
                out / "model.safetensors",
            )
        case "onnx":
            lines.append(_write_onnx(trained.model, images, out / "model.onnx"))
        case _:
            torch.export.save(_exported(trained.model, images), out / "model.pt2")
    (out / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    calibrated = (
        "" if trained.temperature else "; its probabilities are not calibrated, there were too few labels apart"
    )
    return [*lines, f"{ABOUT}: {len(trained.classes)} classes, input {about['input']['shape']}{calibrated}"]


def _about(folder: Path, trained: Trained) -> dict[str, Any]:
    settings, summary = schema.resolved(stored.read(folder)), read_json(folder / "summary.json") or {}
    node = settings["dataset"]
    if trained.takes_features:
        n_features = next(trained.model.parameters()).shape[-1]
        taken = {"shape": [None, n_features], "dtype": "float32", "made_by": "the features of embedding.path"}
    else:
        channels, height, width = summary["image_shape"]
        taken = {
            "shape": [None, channels, height, width],
            "dtype": "uint8",
            "colors": "gray" if channels == 1 else "RGB",
            "range": [0, 255],
            "made_by": "turned as EXIF says, alpha on white, resized to the shape, bilinear and antialiased",
            "levels": summary.get("levels") or node.get("levels"),
        }
    return {
        "classes": list(trained.classes),
        "temperature": trained.temperature,
        "input": taken,
        "output": {
            "shape": [None, len(trained.classes)],
            "is": "logits; probabilities are softmax(logits / temperature)",
        },
        "embedding": settings["embedding"],
        "model": settings["model"]["name"],
        "al_lightning": (summary.get("versions") or {}).get("al_lightning"),
    }


def _exported(model: torch.nn.Module, images: torch.Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def _write_onnx(model: torch.nn.Module, images: torch.Tensor, file: Path) -> str:
    """Write ONNX and hold it against PyTorch; says by how much they differ."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  what torch.onnx.export writes with
    except ImportError as error:
        raise ConfigError(f"--format onnx: needs {error.name}: pip install 'al-lightning[onnx]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what PyTorch itself deprecates
        program = torch.onnx.export(
            model,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
            input_names=["images"],
            output_names=["logits"],
        )
    assert program is not None
    program.save(file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    few = images[:3]  # another size of a batch
    (found,) = session.run(["logits"], {"images": few.numpy()})
    with torch.inference_mode():
        difference = float((model(few) - torch.from_numpy(found)).abs().max())
    if not difference <= TOLERANCE:
        raise DataError(
            f"{file.name}: ONNX Runtime differs from PyTorch by {difference:.2g} in a logit; it is not written"
        )
    return f"model.onnx: ONNX Runtime and PyTorch differ by at most {difference:.1g} in the logits of {len(few)} images"
