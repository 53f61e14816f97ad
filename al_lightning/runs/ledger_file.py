"""The ledger of a run on disk: lines of JSON that are only ever appended to."""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from al_lightning.oracle import ledger
from al_lightning.oracle.ledger import Event

FILE = "ledger.jsonl"


class LedgerFile:
    """The file, read once when it is opened and then appended to.

    Args:
        path: of the file, which need not be there.

    Attributes:
        events: in order, up to the first line that is none.
        damage: what is wrong with that line; empty where all are events.
        data: the lines of the events that were there when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes() if path.exists() else b""
        self.events, self.damage = ledger.read(data)
        self.data = data
        self.keep(len(self.events))

    def position(self) -> dict[str, Any]:
        """How far the ledger has come: the number of its events, and a digest over them."""
        return {"events": len(self.events), "sha256": self._digest.hexdigest()}

    def has(self, position: dict[str, Any]) -> bool:
        """Whether the ledger, when it was opened, began with what it held at a position."""
        lines = self.data.split(b"\n")[: position["events"]]
        return sha256(b"".join(line + b"\n" for line in lines)).hexdigest() == position["sha256"]

    @property
    def is_cut(self) -> bool:
        """Whether the file holds more than these events."""
        return self._path.exists() and self._path.stat().st_size > self._whole

    def keep(self, n: int) -> None:
        """Forget all events but the first n; the next one that is appended takes the place of what comes after."""
        self.events = self.events[:n]
        self.data = b"".join(line + b"\n" for line in self.data.split(b"\n")[:n])
        self._whole, self._digest = len(self.data), sha256(self.data)

    def append(self, events: Sequence[Event]) -> None:
        """Append events: after this call they survive a crash. What a crash has left half written is cut off first."""
        data = b"".join(event.line() for event in events)
        # Not through a link: the folder may come from elsewhere.
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with os.fdopen(file, "r+b") as opened:
            opened.truncate(self._whole)
            opened.seek(self._whole)
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        self._whole += len(data)
        self._digest.update(data)
        self.events += events
