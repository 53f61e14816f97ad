"""`python -m al_lightning.report DIR...`: compare runs."""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from al_lightning.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what runs say of their strategies, and write it as a page, figures and tables; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.report",
        description="Compare the runs in some folders, finished or not; nothing in them changes.",
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="run folder, study, or folder of studies")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="of report.html, figures/ and tables/; default: report/ in the study"
    )
    parser.add_argument(
        "--target",
        type=_accuracy,
        nargs="+",
        metavar="ACC",
        help="accuracies to count labels to; default: 0.90 0.95 0.97 0.99",
    )
    parser.add_argument("--cost-per-label", type=_cost, metavar="X", help="money that a label costs")
    options = parser.parse_args(arguments)
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may not be there for this process: importing matplotlib would fail
    out = options.out or default_out(options.folders[0])
    if any((folder / "rounds.csv").exists() for folder in (out.resolve(), *out.resolve().parents)):
        parser.error(f"--out {out}: in a run folder, which only its run writes to; name another folder")
    from al_lightning.report import load
    from al_lightning.report.compare import TARGETS, compare
    from al_lightning.report.page import write_page
    from al_lightning.report.tables import write_tables
    from al_lightning.report.verdict import print_verdict

    try:
        rounds = load(*options.folders)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    comparisons = compare(rounds, sorted(set(options.target or TARGETS)), options.cost_per_label)
    notes = rounds.attrs["notes"]
    print_verdict(comparisons, notes)
    try:
        write_tables(comparisons, out / "tables")
        page = write_page(comparisons, notes, out)
    except OSError as error:
        print(f"error: cannot write to {out}: {error.strerror}; name another folder with --out", file=sys.stderr)
        return 1
    print(f"page: {page}")
    return 0


def default_out(folder: Path) -> Path:
    """`report/` in a study, or a folder of studies; for a run folder, in its study."""
    return (folder.resolve().parent if (folder / "rounds.csv").exists() else folder) / "report"


def _accuracy(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: an accuracy is above 0 and at most 1, such as 0.95")
    return value


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
    sys.exit(main())
