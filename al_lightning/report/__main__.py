"""`python -m al_lightning.report DIR...`: compare runs."""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from al_lightning.errors import UserError
from al_lightning.report.measures import MEASURES
from al_lightning.report.rules import RULES
from al_lightning.signals import ended_by, importing
from al_lightning.words import with_article

if TYPE_CHECKING:
    from al_lightning.report.sections import Section


class _Rules(argparse.Action):
    """Prints the rules and exits, as --help does."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from al_lightning.report.screen import speak_any_encoding

        speak_any_encoding()
        print("\n".join(f"{number}. {rule}" for number, rule in enumerate(RULES, 1)))
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what runs say of their strategies as a page, figures and tables, and print it; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.report",
        description="Compare the runs in some folders, finished or not; nothing in them changes.",
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="run folder, study, or folder of studies")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="of report.html, figures/ and tables/; default: report/ in the study, a folder in it for anything else",
    )
    parser.add_argument(
        "--measure", choices=MEASURES, default="acc", help="what areas, targets and verdicts are of; default: acc"
    )
    parser.add_argument(
        "--target",
        type=_number,
        nargs="+",
        metavar="VALUE",
        help="values of the measure to count labels to; default: what follows from random",
    )
    parser.add_argument("--cost-per-label", type=_cost, metavar="X", help="money that a label costs")
    parser.add_argument("--latex", action="store_true", help="print the verdicts as a LaTeX table, and nothing else")
    parser.add_argument("--rules", action=_Rules, help="print the rules of the comparison and exit")
    options = parser.parse_args(arguments)
    measure = MEASURES[options.measure]
    for target in options.target or ():
        if not 0 < target <= (math.inf if measure.lower_is_better else 1) or math.isinf(target):
            upper = "" if measure.lower_is_better else " and at most 1, such as 0.95"
            parser.error(f"argument --target: {target:g}: {with_article(measure.title)} is above 0{upper}")
    # A notebook's own backend of matplotlib may not be there, and nothing is shown.
    os.environ["MPLBACKEND"] = "agg"
    with importing():
        from al_lightning.report.compare import compare
        from al_lightning.report.page import write_page
        from al_lightning.report.runs import is_run, load
        from al_lightning.report.screen import speak_any_encoding
        from al_lightning.report.sections import sections, write_tables

    speak_any_encoding()
    out = options.out or default_out(options.folders)
    if any(is_run(folder) for folder in (out.resolve(), *out.resolve().parents)):
        parser.error(f"--out {out}: in a run folder, which only its run writes to; name another folder")
    try:
        rounds = load(*options.folders)
        targets = sorted(set(options.target)) if options.target else None
        made = sections(compare(rounds, targets, options.cost_per_label, measure))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    notes = rounds.attrs["notes"]
    try:
        write_tables(made, out)
        page = write_page(made, notes, out)
    except OSError as error:
        print(f"error: cannot write to {out}: {error.strerror}; name another folder with --out", file=sys.stderr)
        return 1
    _say(made, notes, page, options.latex)
    return 0


def default_out(folders: Sequence[Path]) -> Path:
    """`report/` in a study or a folder of studies; a folder in there for a run, or for several folders together."""
    from al_lightning.report.runs import is_run

    first = folders[0].resolve()
    report = (first.parent if is_run(first) else first) / "report"
    names = list(dict.fromkeys(folder.resolve().name for folder in folders))
    if len(names) == 1:
        return report / first.name if is_run(first) else report
    return report / f"{names[0]}-and-{len(names) - 1}-more"


def _say(made: "Sequence[Section]", notes: Sequence[str], page: Path, latex: bool) -> None:
    """Print it; all files are there, so it is no failure that nobody reads on (`| head`), or that a disk is full."""
    from al_lightning.report.render import latex as rendered
    from al_lightning.report.screen import print_report

    try:
        if latex:
            print("\n".join(rendered(table) for section in made for table in section.tables[:1]), end="")
        else:
            print_report(made, notes)
            print(f"\npage: {page}\ntables: {page.parent / 'tables'}\nrules: python -m al_lightning.report --rules")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails again as it ends
        if not isinstance(error, BrokenPipeError):
            print(f"note: cannot print: {error.strerror}; page: {page}", file=sys.stderr)


def _cost(text: str) -> float:
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: money is 0 or more, such as 0.05")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: not a number") from None


if __name__ == "__main__":
    sys.exit(ended_by(main))
