"""The learner's process: started beside the server, started again when it dies, and never waited for."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from al_lightning.runs.rounds import read_json

MOST_STARTS = 4  # in a row
LASTING = 60.0  # seconds: a process that lived as long has worked
FAILED = "failed"  # phase
PATIENCE = 5.0  # seconds to end in, when it is told to


class Learner:
    """The process `python -m al_lightning.live PROJECT PID`, which ends when that of this number does.

    Args:
        project: the folder.
    """

    def __init__(self, project: Path) -> None:
        self._project, self._live = project, project / "live"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock, self._ending, self._failed = Lock(), Event(), ""
        (self._live / "status.json").unlink(missing_ok=True)  # of another time

    def start(self) -> None:
        """Start it, and go on; to be called once."""
        Thread(target=self._watch, daemon=True, name="learner").start()

    def _watch(self) -> None:
        self._run()
        if (status := self.status())["phase"] == FAILED:
            print(
                f"error: the learner has ended: {status['message']}. Labeling goes on without it; mend that and start "
                "the command again",
                file=sys.stderr,
            )

    def _run(self) -> None:
        """Until it is told to end, or ends for good."""
        n_starts = 0
        try:
            while process := self._started():
                start, code = monotonic(), process.wait()
                n_starts = 1 if monotonic() - start > LASTING else n_starts + 1
                if self._said()["phase"] == FAILED:  # it knows why, and would fail again
                    return
                if n_starts == MOST_STARTS:
                    self._failed = f"it ends by itself, with exit code {code}: {self._last_words()}"
                    return
        except OSError as error:
            self._failed = f"it cannot be started: {error}"

    def _started(self) -> subprocess.Popen[bytes] | None:
        with self._lock, (self._live / "learner.log").open("ab") as log:
            if self._ending.is_set():
                return None
            command = [sys.executable, "-m", "al_lightning.live", str(self._project), str(os.getpid())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            return self._process

    def _last_words(self) -> str:
        lines = (self._live / "learner.log").read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"{said[-1] if said else 'it said nothing'} ({self._live / 'learner.log'})"

    def status(self) -> dict[str, Any]:
        """How far it is, as the page shows it."""
        return self._said() | ({"phase": FAILED, "message": self._failed} if self._failed else {})

    def _said(self) -> dict[str, Any]:
        """What it said last."""
        nothing = {"phase": "starting", "done": 0, "total": 0, "message": ""}
        return read_json(self._live / "status.json") or nothing

    def end(self) -> None:
        """End it."""
        self._ending.set()
        with self._lock:
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
