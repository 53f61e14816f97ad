"""`python -m al_lightning.dashboard DIR...`: the comparison of runs as a view and a report in Weights & Biases."""

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_lightning.errors import UserError

if TYPE_CHECKING:
    from al_lightning.dashboard.mirrored import Mirrored
    from al_lightning.dashboard.specification import Specification

TARGETS = (0.90, 0.95)  # what W&B's table of runs has as well
FILE = "dashboard.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the view and the report, and send or write them; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.dashboard",
        description="Compare the runs in some folders in Weights & Biases: a saved view a setting, and a report.",
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="run folder, study, or folder of studies")
    parser.add_argument("--entity", help="account or team; default: the runs', else the one that is logged in")
    parser.add_argument("--project", help="default: the runs'")
    parser.add_argument("--dry-run", action="store_true", help=f"send nothing, write {FILE}; needs no key")
    parser.add_argument("--out", type=Path, help=f"folder for {FILE}; default: report in the study")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError("wandb-workspaces is not installed: pip install 'al-lightning[dashboard]'")
    from al_lightning.dashboard import mirrored, specification
    from al_lightning.report import load
    from al_lightning.report.compare import compare
    from al_lightning.tracking.wandb_mirror import logged_in

    if not options.dry_run and not logged_in():
        raise UserError("W&B knows no key: use `wandb login`, or --dry-run")
    rounds = load(*options.folders)
    for note in rounds.attrs.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    runs = mirrored.mirrored(rounds)
    project = _one("project", options.project, runs)
    if project is None:
        raise UserError("no run in there is mirrored in W&B (logger=none); name the --project they are in, if they are")
    entity = _one("entity", options.entity, runs) or ""
    for place in mirrored.to_upload(runs):
        print(f"note: not uploaded yet, shown once they are: wandb sync {place}/offline-run-*", file=sys.stderr)
    comparisons = compare(rounds, TARGETS)
    if options.dry_run:
        built = specification.build(comparisons, runs, project, entity, exists=False)
        file = (options.out or _report_folder(Path(options.folders[0]))) / FILE
        _write(file, built)
        print(f"specification: {file}")
        return 0
    try:
        entity = entity or _default_entity()
        _send(specification.build(comparisons, runs, project, entity, exists=True))
    except Exception as error:  # what the library raises depends on its transport, and none of it is this package's
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"W&B did not take it: {reason}; --dry-run writes what was to be sent") from error
    return 0


def _one(key: str, wanted: str | None, runs: "Sequence[Mirrored]") -> str | None:
    """The project or entity: as wanted, else the one that the runs have."""
    found = sorted({value for run in runs if (value := getattr(run, key)) is not None})
    if wanted is None and len(found) > 1:
        raise UserError(f"the runs are of more than one {key} of W&B: {', '.join(found)}; choose with --{key}")
    return wanted or (found[0] if found else None)


def _report_folder(folder: Path) -> Path:
    study = folder.parent if (folder / "rounds.csv").exists() else folder
    return study / "report"


def _write(file: Path, built: "Specification") -> None:
    """Write the models as the library sends them."""
    models = {
        "report": built.report._to_model(),
        "workspaces": [workspace._to_model() for workspace in built.workspaces],
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(_dump(models), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--out: cannot write {file}: {error.strerror}") from error


def _dump(models: Any) -> Any:
    if isinstance(models, dict):
        return {key: _dump(value) for key, value in models.items()}
    if isinstance(models, list):
        return [_dump(value) for value in models]
    return json.loads(models.model_dump_json(by_alias=True, exclude_none=True))


def _default_entity() -> str:
    import wandb

    entity = wandb.Api().default_entity
    if not entity:
        raise ValueError("the key has no default entity; name one with --entity")
    return entity


def _send(built: "Specification") -> None:
    built.report.save()  # first: it asks for the project, which has to be there
    print(f"report: {built.report.url}")
    for workspace in built.workspaces:
        workspace.save()
        print(f"view: {workspace.url}")


if __name__ == "__main__":
    sys.exit(main())
