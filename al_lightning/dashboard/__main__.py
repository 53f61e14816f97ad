"""`python -m al_lightning.dashboard DIR...`: the comparison of runs as a view and a report in Weights & Biases."""

import argparse
import importlib.util
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_lightning.errors import UserError
from al_lightning.report.__main__ import default_out
from al_lightning.report.runs import find, is_run

if TYPE_CHECKING:
    from pydantic import BaseModel

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
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="only mirror finished runs that W&B lacks, online or offline",
    )
    parser.add_argument("--out", type=Path, help=f"folder for {FILE}; default: report in the study")
    options = parser.parse_args(arguments)
    out = options.out or default_out([Path(folder) for folder in options.folders])
    if any(is_run(folder) for folder in (out.resolve(), *out.resolve().parents)):
        parser.error(f"--out {out}: in a run folder, which only its run writes to; name another folder")
    try:
        return _mirror(options.folders) if options.mirror else _run(options, out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace, out: Path) -> int:
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError("wandb-workspaces is not installed; in the checkout: pip install '.[dashboard]'")
    from al_lightning.dashboard import mirrored, specification
    from al_lightning.report import load
    from al_lightning.report.compare import compare

    if not options.dry_run:
        _need_key()
    rounds = load(*options.folders)
    for note in rounds.attrs.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    runs = mirrored.mirrored(rounds)
    project = _one("project", options.project, runs)
    if project is None:
        raise UserError("no run in there is mirrored in W&B (logger=none); name the --project they are in, if they are")
    entity = _one("entity", options.entity, runs) or ""
    for place in mirrored.to_upload(runs):
        command = f"wandb sync {shlex.quote(str(place))}/offline-run-*"
        print(f"note: some runs are on this disk only; W&B shows them after: {command}", file=sys.stderr)
    comparisons = compare(rounds, TARGETS)
    if options.dry_run:
        built = specification.build(comparisons, runs, project, entity, exists=False)
        _write(out / FILE, built)
        print(f"specification: {out / FILE}")
        return 0
    try:
        entity = entity or _default_entity()
        _send(specification.build(comparisons, runs, project, entity, exists=True))
    except Exception as error:  # what the library raises depends on its transport, and none of it is this package's
        raise UserError(f"W&B did not take it: {_line(error)}; --dry-run writes what was to be sent") from error
    return 0


def _mirror(folders: Sequence[str]) -> int:
    """Mirror finished runs; returns the exit code: 1 where one of them could not be."""
    from al_lightning.tracking.wandb_later import mirror

    failed = False
    for folder in find(folders):
        try:
            print(f"{folder}: {mirror(folder)}")
        except UserError as error:
            failed = True
            print(f"error: {error}", file=sys.stderr)
    return int(failed)


def _need_key() -> None:
    import wandb

    from al_lightning.tracking.wandb_account import logged_in

    try:
        known = logged_in()
    except wandb.Error as error:
        raise UserError(f"W&B's key cannot be used: {_line(error)}; use `wandb login`, or --dry-run") from error
    if not known:
        raise UserError("W&B knows no key: use `wandb login`, or --dry-run")


def _one(key: str, wanted: str | None, runs: "Sequence[Mirrored]") -> str | None:
    """The project or entity: as wanted, else the one that the runs have."""
    found = sorted({value for run in runs if (value := getattr(run, key)) is not None})
    if wanted is None and len(found) > 1:
        raise UserError(f"the runs are of more than one {key} of W&B: {', '.join(found)}; choose with --{key}")
    return wanted or (found[0] if found else None)


def _write(file: Path, built: "Specification") -> None:
    """Write the models as the library sends them."""
    views = [_dump(workspace._to_model()) for workspace in built.workspaces]
    text = json.dumps({"report": _dump(built.report._to_model()), "workspaces": views}, indent=2)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}; choose another folder with --out") from error


def _dump(model: "BaseModel") -> dict[str, Any]:
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


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
