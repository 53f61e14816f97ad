"""The command line of `python -m al_lightning.label`: what was typed is checked before anything is written."""

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from importlib.util import find_spec
from io import BufferedRandom
from pathlib import Path
from socket import gethostname
from typing import Any

from al_lightning.disk import replace_file
from al_lightning.errors import ConfigError, UserError
from al_lightning.people.records import LONGEST
from al_lightning.runs import lock
from al_lightning.signals import importing

LIBRARIES = ("starlette", "uvicorn", "cleanlab")  # of the extra
NONE = "none"  # typed to take a setting back
MOST = LONGEST["class"]  # characters of a name
FIRST = "python -m al_lightning.label photos --classes cat,dog"
KEPT = ("embedding", "strategy", "random_share", "twice", "price", "budget", "target", "worth", "overrides")


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until a signal ends it; returns the exit code."""
    try:
        _run(_parser().parse_intermixed_args(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, sqlite3.Error) as error:
        print(f"error: the project cannot be kept: {error}; mend that and start the command again", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m al_lightning.label",
        usage="%(prog)s PHOTOS [--classes A,B,...] [KEY=VALUE ...] [options]",
        description="Label the images of a folder in the browser, while a model learns beside you and chooses what to "
        "ask next. The same command goes on where it ended; what is not given stays as it was.",
        epilog=f"To begin: {FIRST}",
    )
    parser.add_argument("root", metavar="PHOTOS", nargs="?", type=Path, help="folder with the images, in any layout")
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
        UserError: what is wrong with the command, the folders or the address; then nothing was made or changed.
    """
    if options.root is None:
        raise ConfigError(f"no folder of photos is named; to begin, type: {FIRST} (--help has the options)")
    if lacking := [each for each in LIBRARIES if find_spec(each) is None]:
        raise UserError(f"{', '.join(lacking)}: not installed: pip install 'al-lightning[label]'")
    root = options.root.resolve()
    if not root.is_dir():
        raise ConfigError(f"{options.root}: must be a folder with images")
    no_overrides = options.overrides == [NONE]
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"--port {options.port}: must be from 1 to 65535, or 0 for one that is free")
    classes = [each.strip() for each in options.classes.split(",") if each.strip()]
    if long := [each for each in classes if len(each) > MOST or not each.isprintable()]:
        raise ConfigError(f"--classes {long[0]!r}: a class has a name of 1 to {MOST} printable characters")
    with importing():
        from al_lightning.label.address import bound
        from al_lightning.label.project import check_classes, default_folder, is_project, read_project, write
        from al_lightning.label.server import serve
        from al_lightning.people.scan import find

    project = (options.project or default_folder(root)).resolve()
    given: dict[str, Any] = {key: value for key in KEPT if (value := getattr(options, key)) not in (None, [])}
    given |= {key: None for key in ("embedding", "budget", "worth") if given.get(key) == NONE}
    given |= {"overrides": []} if no_overrides else {}
    with ExitStack() as stack:
        is_new = not is_project(project)
        if not is_new:  # what it says may change until then
            stack.enter_context(closing(_locked(project)))
        settings, changes = read_project(project, given | {"root": str(root)})
        check_classes(project, classes)
        found = find(root, [str(project)], *settings.looking())
        if not any(found.pool.values()):
            raise UserError(f"{root}: there are no images in this folder")
        listening = stack.enter_context(closing(bound(options.host, options.port, settings.port)))
        settings = settings.model_copy(update={"port": listening.getsockname()[1]})
        if is_new:  # last: from here on nothing is refused any more
            stack.enter_context(closing(_locked(project)))
        write(project, settings)
        replace_file(project, lock.HOLDER, json.dumps({"pid": os.getpid(), "host": gethostname()}).encode())
        _say(f"project: {project}")
        for each in changes:
            _say(f"changed: {each}")
        serve(project, settings, classes, found, listening, options.host, not options.no_browser, _say)


def _locked(project: Path) -> BufferedRandom:
    try:
        return lock.take(project)
    except OSError as error:
        raise UserError(
            f"{project}: the project cannot be made here: {error.strerror}: choose with --project"
        ) from error


def _say(line: str) -> None:
    print(line, flush=True)
