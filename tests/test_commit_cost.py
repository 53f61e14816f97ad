"""What a commit and its answers cost: as many bytes in a late round as in an early one."""

from pathlib import Path
from typing import Any

import numpy as np

from al_lightning.oracle.ledger import TRAIN, Event
from al_lightning.runs.rounds import Diagnostics, Round
from al_lightning.runs.run_folder import RunFolder

ROUNDS, QUERY = 12, 300
CLASSES = ("cat", "dog")
AT = "2026-01-01T00:00:00.000+00:00"


def query(number: int) -> list[dict[str, Any]]:
    own = {"round": number, "use": TRAIN, "score": 0.5, "predicted": 0, "predicted_name": "cat"}
    first = 100_000 + QUERY * (number + 1)  # as many digits in all of them
    return [{**own, "rank": 100 + rank, "index": first + rank, "id": str(first + rank)} for rank in range(QUERY)]


def answers(rows: list[dict[str, Any]]) -> list[Event]:
    return [Event(row["index"], row["id"], 1, 100 + row["round"], "me", AT) for row in rows]


def written() -> int:
    """Bytes that this process has written so far."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines())
    return int(counts["wchar"])


def test_a_commit_and_its_answers_write_no_more_in_a_late_round(tmp_path: Path) -> None:
    bytes_of = []
    with RunFolder(tmp_path / "run") as folder:
        folder.commit_initial(query(-1), CLASSES)
        folder.append(answers(query(-1)), CLASSES)
        for number in range(ROUNDS):
            before, rows = written(), query(number)
            row = {"round": 100 + number, "test/acc": 0.5} | {"n_labeled": 1000 + QUERY * number}
            shown = Diagnostics(np.zeros((15, 3)))
            folder.commit(Round({**row, "round": number}, rows, np.eye(2, dtype=np.int64), CLASSES, {}, shown))
            folder.append(answers(rows), CLASSES)
            bytes_of.append(written() - before)
        assert len((tmp_path / "run" / "queries.csv").read_bytes().splitlines()) == 1 + QUERY * (ROUNDS + 1)
    assert max(bytes_of[1:]) < 1.02 * min(bytes_of[1:])
