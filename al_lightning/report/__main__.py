"""`python -m al_lightning.report DIR...`: compare runs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from al_lightning.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the learning curves of runs, and save them as a picture; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.report", description="Compare the runs in some folders."
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="run folder, study, or folder of studies")
    parser.add_argument(
        "--picture", type=Path, help="where to save the curves (.png, .svg); default: curves.png in DIR"
    )
    options = parser.parse_args(arguments)
    from al_lightning.report import curves, load

    try:
        rounds = load(*options.folders)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    picture = options.picture or Path(options.folders[0]) / "curves.png"
    curves.print_tables(rounds)
    curves.draw(rounds, picture)
    print(f"picture: {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
