"""`python -m al_lightning.predict PROJECT_OR_RUN IMAGES`: the classes of images, by the model of a project or a run."""

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from al_lightning.errors import DataError, UserError
from al_lightning.signals import ended_by, importing

if TYPE_CHECKING:
    from al_lightning.runs.export import Trained

COLUMNS = ("file", "class", "probability", "second", "margin", "error")
BATCH = 256  # images that are decoded, and then predicted together


@dataclass(frozen=True)
class Predicted:
    """What a model makes of an image.

    Attributes:
        file: as it was given, or below the folder that was.
        name: of the class; empty where the file cannot be decoded.
        probability: of the class, calibrated where the model has a temperature.
        second: the next class.
        margin: by how much the class is more probable than the next one.
        error: why the file cannot be decoded; empty where it can.
    """

    file: str
    name: str = ""
    probability: float = nan
    second: str = ""
    margin: float = nan
    error: str = ""


def predict(trained: "Trained", files: Sequence[Path]) -> Iterator[Predicted]:
    """Predict the classes of images, in their order.

    Args:
        trained: of :func:`al_lightning.load`.
        files: of images.
    """
    import torch

    from al_lightning.data.threads import in_threads

    def decoded(file: Path) -> torch.Tensor | str:
        try:
            return trained.transform(file)
        except DataError as error:
            return str(error).removeprefix(f"{file}: ")

    for start in range(0, len(files), BATCH):
        some = files[start : start + BATCH]
        images = in_threads(decoded, some, "predict")
        good = [each for each in images if isinstance(each, torch.Tensor)]
        with torch.inference_mode():
            logits = trained.model(torch.stack(good)) if good else torch.empty(0, len(trained.classes))
        best = (logits / (trained.temperature or 1)).softmax(1).topk(2)
        rows = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        for file, image in zip(some, images, strict=True):
            if isinstance(image, str):
                yield Predicted(str(file), error=image)
                continue
            (first, second), (name, other) = next(rows)
            yield Predicted(str(file), trained.classes[name], first, trained.classes[other], first - second)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a table of predictions; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.predict", description="Predict the classes of images, and write them to a table."
    )
    parser.add_argument("source", type=Path, metavar="PROJECT_OR_RUN", help="folder of a project, or of a finished run")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGES", help="folders, in any depth, and files")
    parser.add_argument("--out", type=Path, default=Path("predictions.csv"), help="the table; default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        files = [file for each in options.images for file in _below(each)]
        n_failed = _write(options.source, files, options.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: --out {options.out}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    lacking = f", {n_failed} of which cannot be decoded: see its column error" if n_failed else ""
    print(f"written: {options.out}, {len(files)} images{lacking}")
    return 0


def _below(path: Path) -> list[Path]:
    """A file, or the images below a folder."""
    from al_lightning.data.layout import find_images
    from al_lightning.data.search import NONE, Looking

    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: there is no such file or folder")
    found = find_images(Looking(str(path), None, labels=NONE))
    return [path / each for each in sorted(each for files in found.pool.values() for each in files)]


def _write(source: Path, files: Sequence[Path], out: Path) -> int:
    """Write the table, and return how many files cannot be decoded."""
    with importing():
        from al_lightning.disk import replace_file
        from al_lightning.runs.export import load, model_folder

    if not files:
        raise DataError("there are no images to predict")
    trained = load(model_folder(source))
    if trained.takes_features:
        raise DataError(f"{source}: its model takes the features of embedding.path, which no image has; see `load`")
    if trained.temperature is None:
        print(f"note: {source}: had too few labels apart from training to calibrate its probabilities", file=sys.stderr)
    text, n_failed = io.StringIO(), 0
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for each in predict(trained, files):
        n_failed += bool(each.error)
        numbers = [f"{each.probability:.6f}", f"{each.margin:.6f}"] if not each.error else ["", ""]
        table.writerow((each.file, each.name, numbers[0], each.second, numbers[1], each.error))
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out.parent, out.name, text.getvalue().encode())
    return n_failed


if __name__ == "__main__":
    sys.exit(ended_by(main))
