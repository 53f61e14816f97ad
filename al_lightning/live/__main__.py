"""`python -m al_lightning.live PROJECT SERVER`: the learner that `al_lightning.label` starts beside its page."""

import os
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import torch

from al_lightning.data.threads import WATCHER
from al_lightning.errors import UserError
from al_lightning.live.handover import write_arrays, write_json
from al_lightning.live.loop import LOOK, learn
from al_lightning.live.map import positions
from al_lightning.live.prepare import Prepared, prepare
from al_lightning.people.store import STORE, Store


class Status:
    """Says on the page how far the learner is.

    Args:
        folder: `live/` of the project.

    Attributes:
        notes: what stays true.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, list[str]()

    def __call__(self, phase: str, message: str = "", done: int = 0, total: int = 0) -> None:
        """Replace what is said.

        Args:
            phase: `starting`, `embedding`, `waiting` (for labels), `ready` or `failed`.
            message: besides the notes.
            done: steps.
            total: of so many.
        """
        text = ". ".join([*self.notes, *([message] if message else [])])
        write_json(self.folder, "status.json", {"phase": phase, "done": done, "total": total, "message": text})


def main() -> int:
    """Learn until the server, whose process it is told, is gone; returns the exit code of what cannot work."""
    project = Path(sys.argv[1])
    os.nice(10)  # where cores are shared, the page goes first
    Thread(target=_end_after, args=(int(sys.argv[2]),), daemon=True).start()
    (project / "live").mkdir(exist_ok=True)
    status = Status(project / "live")
    status("starting")
    WATCHER.set(lambda what, done, total: status("embedding", what, done, total))
    try:
        store = Store(project / STORE)
        prepared = prepare(project, store, status.notes.append)
        assert prepared.data.embedding is not None
        torch.set_num_threads(max(1, torch.get_num_threads() - 1))  # one core is for the page
        status.notes.append(f"features: {prepared.data.embedding.shown}")
        Thread(target=_draw_map, args=(project / "live", prepared), daemon=True).start()
        learn(project, store, prepared, status, lambda: False)
    except UserError as error:
        status("failed", str(error))
        print(f"error: {error}", file=sys.stderr)
    return 1


def _end_after(parent: int) -> None:
    """End when the process that has started this one is gone, whatever is done then: every write is of one stroke."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(0)


def _draw_map(folder: Path, prepared: Prepared) -> None:
    assert prepared.data.embedding is not None
    at, points = positions(prepared.data.embedding, prepared.settings["seed"])
    write_arrays(folder, "map.npz", {"item": np.array(prepared.items)[at], "xy": points})


if __name__ == "__main__":
    sys.exit(main())
