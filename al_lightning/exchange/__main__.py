"""`python -m al_lightning.exchange PROJECT FILE`: labels of other programs, into a project."""

import argparse
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from al_lightning.disk import replace_file
from al_lightning.errors import ConfigError, DataError, UserError
from al_lightning.exchange import read_label_studio, read_table
from al_lightning.exchange.labels import root_of
from al_lightning.exchange.said import Problem, Said
from al_lightning.exchange.table import to_csv
from al_lightning.exchange.take_in import Outcome, take_in
from al_lightning.people.store import STORE, Store
from al_lightning.signals import ended_by
from al_lightning.words import counted, listed

REPORT = "import-report.csv"  # in the project


def main(arguments: Sequence[str] | None = None) -> int:
    """Take in the answers of a file, and say what of it was not; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.exchange",
        description="Take labels from a file into a project. What the project has stays, and the same file a second "
        "time changes nothing; what cannot be taken in is listed in a report.",
    )
    parser.add_argument("project", type=Path, metavar="PROJECT", help=f"folder with {STORE}")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="Label Studio's JSON, or a table with the columns file_name,label"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help=f"where the rows that were not taken in go, with the reason; default: PROJECT/{REPORT}",
    )
    parser.add_argument(
        "--annotator",
        default="import",
        metavar="NAME",
        help="who gave the answers, where FILE does not say; default: import",
    )
    parser.add_argument("--add-classes", action="store_true", help="add classes that the project does not have")
    parser.add_argument("--overwrite", action="store_true", help="replace a --report that is there")
    options = parser.parse_args(arguments)
    try:
        if options.report and options.report.exists() and not options.overwrite:
            raise ConfigError(f"--report {options.report}: is there already; name another file, or give --overwrite")
        report = options.report or options.project / REPORT
        outcome = _taken_in(options)
        _write(report, outcome.problems)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(_summary(options.file, outcome, report))
    return 0


def _taken_in(options: argparse.Namespace) -> Outcome:
    store = Store(options.project / STORE)
    try:
        said = _read(options.file, options.annotator)
        return take_in(store, root_of(options.project), said, add_classes=options.add_classes)
    except sqlite3.Error as error:
        raise DataError(f"{store.path}: nothing was taken in: {error}") from error
    finally:
        store.close()


def _read(file: Path, annotator: str) -> Iterator[Said | Problem]:
    """The rows of a file. JSON is Label Studio's where it is a list, else it is JSON lines."""
    if file.suffix.lower() == ".json":
        try:
            with file.open("rb") as opened:
                is_list = opened.read(1000).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror}") from error
        if is_list:
            return read_label_studio.read(file, annotator)
    return read_table.read(file, annotator)


def _write(report: Path, problems: Sequence[Problem]) -> None:
    rows = [(each.row, each.id, each.what, each.why) for each in problems]
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        replace_file(report.parent, report.name, to_csv(("row", "id", "what", "why"), rows))
    except OSError as error:
        raise DataError(f"cannot write {report}: {error.strerror}; name another file with --report") from error


def _summary(file: Path, outcome: Outcome, report: Path) -> str:
    kinds = Counter(each.what for each in outcome.problems)
    what = listed([f"{kind} {number:,}" for kind, number in sorted(kinds.items())])
    if not (outcome.added or outcome.known or what):
        return f"{file}: has no answers in it"
    return (
        f"{file}: {counted(outcome.added, 'answer')} taken in, {outcome.known:,} there already, "
        f"{len(outcome.problems):,} left out{f' ({what}), see' if what else ':'} {report}"
    )


if __name__ == "__main__":
    sys.exit(ended_by(main))
