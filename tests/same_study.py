"""Whether two studies hold the same, to the byte, but for what has to differ: all of that is named here."""

import csv
import io
import json
from pathlib import Path
from typing import Any

# Of JSON files: seconds, when an answer came, which command in which folder made a round, and the digest of the ledger
# with its times.
MASKED = ("seconds", "at", "made_by", "sha256")
JSON = (".json", ".jsonl")


def contents(study: Path) -> dict[str, bytes]:
    """Every file of every run folder by its path in the study, without what has to differ."""
    files = (file for run in study.glob("*-s*-*") for file in run.rglob("*") if file.is_file())
    return {str(file.relative_to(study)): _masked(file) for file in files}


def differing(one: Path, other: Path) -> list[str]:
    """The files that differ, or that one study alone has."""
    left, right = contents(one), contents(other)
    assert left, f"{one}: no runs"
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def _masked(file: Path) -> bytes:
    data = file.read_bytes()
    if file.suffix in JSON:
        texts = data.splitlines() if file.suffix == ".jsonl" else [data]
        return b"\n".join(json.dumps(_without(json.loads(text))).encode() for text in texts)
    if file.name == "rounds.csv":
        rows = csv.DictReader(io.StringIO(data.decode()))
        return json.dumps([_without(row) for row in rows]).encode()
    if file.name == "SHA256SUMS":  # of the JSON files, which hold such
        return b"\n".join(line for line in data.splitlines() if not line.endswith(b".json"))
    return data


def _without(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without(value) for key, value in node.items() if key.partition("/")[0] not in MASKED}
    return [_without(each) for each in node] if isinstance(node, list) else node
