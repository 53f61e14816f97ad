"""How a run was made: the command, where it was typed, and the state of the code there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

PACKAGE = Path(__file__).resolve().parents[1]
# Nothing of this program is a secret; an own strategy or data set may have one among its settings.
SECRET = re.compile(r"(?i)([\w.]*(?:secret|token|password|passwd|api_?key)[\w.]*=).*", re.DOTALL)
PATIENCE = 5  # seconds for git, which may have to look at a whole working tree


def made_by() -> dict[str, Any]:
    """What made the rounds that this process commits, a dictionary for JSON.

    Returns:
        `command` and `folder`, as typed and where; `job`, the settings of a job of a sweep; `git`, by the root of the
        checkout that the folder is in, and of the one that the program is run from: its `commit`, and whether tracked
        files differ from it (`dirty`; None where that took git too long). Secrets are `***`.
    """
    first, *arguments = sys.argv
    arguments = [each for each in arguments if not each.startswith("hydra.sweep.dir=")]  # nobody typed it
    made: dict[str, Any] = {
        "command": shlex.join([*_program(first), *map(_public, arguments)]),
        "folder": str(Path.cwd()),
        "git": {str(root): state for root in _checkouts() if (state := _git(root))},
    }
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        made["job"] = [_public(each) for each in HydraConfig.get().overrides.task]
    return made


def _program(first: str) -> list[str]:
    return ["python", "-m", "al_lightning"] if Path(first) == PACKAGE / "__main__.py" else [first]


def _public(argument: str) -> str:
    return SECRET.sub(r"\1***", argument)


def _checkouts() -> list[Path]:
    """Roots of the checkouts that the working directory and the program are in."""
    here = Path.cwd()
    found = [folder for folder in (here, *here.parents) if (folder / ".git").exists()][:1]
    # Not the one around it, where it is installed: that is of another program.
    if (PACKAGE.parent / ".git").exists() and PACKAGE.parent not in found:
        found.append(PACKAGE.parent)
    return found


def _git(root: Path) -> dict[str, Any] | None:
    """Commit of a checkout; None where git is absent, refuses, or there is no commit yet."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # it only looks

    def ask(*question: str) -> str | None:
        # A checkout may name a program of its own to watch files with.
        line = ["git", "-C", str(root), "-c", "core.fsmonitor=false", *question]
        try:
            done = subprocess.run(
                line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", "replace").strip()

    if not (commit := ask("rev-parse", "--verify", "HEAD")):
        return None
    changes = ask("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}
