"""`python -m al_lightning.label photos`: label images in the browser while a model learns beside you."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from socket import gethostname
from typing import Any

from al_lightning.errors import ConfigError, UserError
from al_lightning.people.overrides import check
from al_lightning.people.records import LONGEST
from al_lightning.signals import Interrupted, heard, raised

LIBRARIES = ("starlette", "uvicorn", "cleanlab")  # of the extra
NONE = "none"  # typed to take a setting back
MOST = LONGEST["class"]  # characters of a name


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C or SIGTERM; returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    with raised():
        try:
            _run(options)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except (OSError, sqlite3.Error) as error:
            print(f"error: the project cannot be kept: {error}; mend that and start the command again", file=sys.stderr)
            return 1
        except Interrupted:
            heard()
            print("ended")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.label",
        description="Label the images of a folder in the browser, while a model learns beside you and chooses what to "
        "ask next. The same command goes on where it ended; what is not given stays as it was.",
    )
    parser.add_argument("root", metavar="PHOTOS", type=Path, help="folder with the images, in any layout")
    parser.add_argument(
        "overrides", metavar="KEY=VALUE", nargs="*", help="settings of a run, for the model; none takes them back"
    )
    parser.add_argument("--classes", metavar="A,B,...", default="", help="classes; more can be added in the page")
    parser.add_argument("--project", metavar="DIR", type=Path, help="default: PHOTOS-labels, beside the images")
    parser.add_argument("--embedding", metavar="NAME", help="features; default, again by none: the best at hand")
    parser.add_argument("--strategy", metavar="NAME", help="what chooses; default: margin")
    parser.add_argument("--random-share", metavar="X", type=float, help="drawn at random, to measure; default: 0.2")
    parser.add_argument("--twice", metavar="X", type=float, help="labels that a second annotator is asked; default: 0")
    parser.add_argument("--price", metavar="X", type=float, help="money that an answer costs; default: 1")
    parser.add_argument("--budget", metavar="N", help="answers after which nothing more is asked; none: no limit")
    parser.add_argument("--target", metavar="X", type=float, help="accuracy that is enough; default: 0.9")
    parser.add_argument("--worth", metavar="X", help="money that a point of accuracy is worth; none: not weighed")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to; default: this machine alone")
    parser.add_argument("--port", type=int, default=0, help="default: that of the last time, or one that is free")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser


def _run(options: argparse.Namespace) -> None:
    """Open the project, and serve it.

    Raises:
        UserError: what is wrong with the command, the folders or the address.
    """
    if lacking := [each for each in LIBRARIES if find_spec(each) is None]:
        raise UserError(f"{', '.join(lacking)}: not installed: pip install 'al-lightning[label]'")
    root = options.root.resolve()
    if not root.is_dir():
        raise ConfigError(f"{options.root}: must be a folder with images")
    no_overrides = options.overrides == [NONE]
    check([] if no_overrides else options.overrides)
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"--port {options.port}: must be from 1 to 65535, or 0 for one that is free")
    classes = [each.strip() for each in options.classes.split(",") if each.strip()]
    if long := [each for each in classes if len(each) > MOST or not each.isprintable()]:
        raise ConfigError(f"--classes {long[0]!r}: a class has a name of 1 to {MOST} printable characters")
    from al_lightning.disk import replace_file
    from al_lightning.label.project import default_folder, open_project
    from al_lightning.label.server import serve
    from al_lightning.runs import lock

    project = (options.project or default_folder(root)).resolve()
    keys = ("embedding", "strategy", "random_share", "twice", "price", "budget", "target", "worth", "overrides")
    given: dict[str, Any] = {key: value for key in keys if (value := getattr(options, key)) not in (None, [])}
    given |= {key: None for key in ("embedding", "budget", "worth") if given.get(key) == NONE}
    given |= {"overrides": []} if no_overrides else {}
    try:
        held = lock.take(project)
    except OSError as error:
        raise UserError(
            f"{project}: the project cannot be made here: {error.strerror}: choose with --project"
        ) from error
    with closing(held):
        settings, changes = open_project(project, given | {"root": str(root)})
        replace_file(project, lock.HOLDER, json.dumps({"pid": os.getpid(), "host": gethostname()}).encode())
        _say(f"project: {project}")
        for each in changes:
            _say(f"changed: {each}")
        serve(project, settings, classes, options.host, options.port, not options.no_browser, _say)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
