"""The run folders that tests are given are as a run leaves them: the same files, columns and keys."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import Command
from run_folders import contents, only_run
from run_writer import write_run

from al_lightning.config.effects import leaves
from al_lightning.runs.folder_state import lacking


def forms(folder: Path) -> dict[str, object]:
    """What is in each file: the columns of a table, the keys of an object; of others, that it is there."""
    found: dict[str, object] = {}
    for name, data in contents(folder).items():
        if name.endswith(".csv") and not name.endswith("confusion.csv"):
            found[name] = data.splitlines()[0]
        elif name.endswith((".json", ".yaml")) and isinstance(read := yaml.safe_load(data), dict):
            found[name] = {key for key, _ in leaves(read) if not key.startswith("made_by")}
        elif name.endswith(".jsonl"):
            found[name] = set(json.loads(data.splitlines()[0]))
        else:
            found[name] = True
    return found


@pytest.mark.parametrize("strategy", ["random", "kmeans"])
def test_a_written_run_has_the_form_of_one_that_ran(tmp_path: Path, command: Command, strategy: str) -> None:
    assert command(f"strategy={strategy}", "al.rounds=1").code == 0
    ran = forms(only_run(tmp_path / "cwd"))
    written = write_run(tmp_path / "study", "", [0.5, 0.6], strategy__name=strategy)
    assert ran.pop("rounds/001/model.safetensors")
    assert forms(written) == ran
    assert lacking(written, 2) == ""


def test_a_run_that_did_not_end_has_its_last_query(tmp_path: Path) -> None:
    written = write_run(tmp_path / "study", "", [0.5, 0.6], state="interrupted")
    assert json.loads((written / "summary.json").read_text())["rounds_planned"] == 3
    assert (written / "rounds" / "001" / "queries.png").exists() and lacking(written, 2) == ""
