"""Processes of their own that have PyTorch already: forked from one that has imported it, which takes seconds."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

from joblib.externals.loky import reusable_executor

from al_lightning.__main__ import main

TIMEOUT = 300  # seconds
ENVIRONMENT = dict(os.environ)
# Once for all processes, as are the parts of W&B that a run imports when it starts.
PRELOADED = ["al_lightning.loop", "kill_points", "sklearn.cluster", "sklearn.datasets"]
PRELOADED += ["wandb.apis.public", "wandb.sdk.launch"]


class Ended(NamedTuple):
    """Exit code and what was printed."""

    code: object
    out: str
    err: str


def start(target: Callable[..., None], *given: Any) -> int | None:
    """Call a function in a process of its own; returns its exit code, None where it did not end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with patch.dict(os.environ, ENVIRONMENT, clear=True):  # threads as everywhere, whatever this test has set
        forkserver.ensure_running()
    process = context.Process(target=target, args=given)
    process.start()
    process.join(TIMEOUT)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def run_command(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
    encoding: str = "utf-8",
) -> Ended:
    """Run the command in a process of its own.

    Args:
        arguments: of the command.
        cwd: the folder that it is in.
        environment: of the process; None: that of this one.
        before: called in the process, before the command.
        encoding: of what is printed.
    """
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("out", "err")]
        code = start(_command, list(arguments), cwd, dict(environment or os.environ), files, before)
        return Ended(code, *(file.read_text(encoding=encoding) for file in files))


def _command(
    arguments: list[str],
    cwd: Path,
    environment: Mapping[str, str],
    files: Sequence[Path],
    before: Callable[[], None] | None,
) -> None:
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    if before:
        before()
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    os.chdir(cwd)
    sys.argv = ["al-lightning", *arguments]
    try:
        code = main()
    finally:
        if (executor := reusable_executor._executor) is not None:
            executor.shutdown()  # `multiprocessing` would wait minutes for joblib's processes to end
    sys.exit(code)
