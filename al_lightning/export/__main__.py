"""`python -m al_lightning.export PROJECT_OR_RUN --format FORMAT --out DIR`: labels or the model, for other programs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from al_lightning.errors import ConfigError, DataError, UserError
from al_lightning.exchange import image_files, label_studio, shards, table
from al_lightning.exchange.labels import Labels, of_project, root_of
from al_lightning.exchange.of_run import is_run, of_run
from al_lightning.exchange.placing import placing
from al_lightning.people.store import STORE
from al_lightning.signals import ended_by, importing

MODELS = ("safetensors", "onnx", "torch-export")
LABELS = ("csv", "label-studio", "folder", "huggingface", "webdataset")
COPYING = ("folder", "huggingface")  # where a file may be a link


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the labels or the model in another program's format; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.export",
        description="Write the labels or the model of a project or a run for other programs; nothing in it changes.",
    )
    parser.add_argument("source", type=Path, metavar="PROJECT_OR_RUN", help="folder of a project, or of a run")
    parser.add_argument("--format", required=True, choices=(*LABELS, *MODELS), help="of labels, or of the model")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder that is made")
    parser.add_argument(
        "--link",
        action="store_true",
        help="folder, huggingface: hard links in place of copies, where the file system can; a file that is changed "
        "in one place is then changed in both",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    options = parser.parse_args(arguments)
    if options.link and options.format not in COPYING:
        parser.error(f"--link: --format {options.format} copies no files")
    try:
        lines = _export(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: --out {options.out}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    for line in lines:
        print(line, file=sys.stderr if line.startswith("warning:") else sys.stdout)
    print(f"written: {options.out}")
    return 0


def _export(options: argparse.Namespace) -> list[str]:
    source: Path = options.source
    is_project = (source / STORE).is_file()
    if not is_project and not is_run(source):
        raise DataError(f"{source}: is no project (it has no {STORE}) and no run folder (no config.yaml and rounds/)")
    _check(options.out, source, is_project)
    about = {"format": options.format, "from": str(source.resolve())}
    with placing(options.out, about, overwrite=options.overwrite) as part:
        if options.format in MODELS:
            with importing():  # PyTorch, which labels do not need
                from al_lightning.export.model import export_model

            return export_model(source, options.format, part)
        return _write(of_project(source) if is_project else of_run(source), options.format, part, options.link)


def _write(labels: Labels, form: str, part: Path, link: bool) -> list[str]:
    if labels.root is None and form != "csv":
        raise ConfigError(f"--format {form}: needs images in files, and this run's are in none; only csv is possible")
    match form:
        case "csv":
            return table.write(labels, part)
        case "label-studio":
            return label_studio.write(labels, part)
        case "folder":
            return image_files.write_folders(labels, part, link=link)
        case "huggingface":
            return image_files.write_imagefolder(labels, part, link=link)
        case _:
            return shards.write(labels, part)


def _check(out: Path, source: Path, is_project: bool) -> None:
    """Refuse a folder where what is written would be taken for something else.

    Raises:
        ConfigError: it is in a run folder, or among the images of the project.
    """
    place = out.resolve()
    if any(is_run(folder) for folder in (place, *place.parents)):
        raise ConfigError(f"--out {out}: in a run folder, which only its run writes to; name another folder")
    if is_project and place.is_relative_to(root := root_of(source).resolve()):
        raise ConfigError(f"--out {out}: in {root}, whose images it would be taken for; name a folder elsewhere")


if __name__ == "__main__":
    sys.exit(ended_by(main))
