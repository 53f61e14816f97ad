"""docs/labeling.md, command by command, as somebody with a folder of photos would go through it."""

import csv
import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from label_servers import Client, serving
from PIL import Image

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "labeling.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.removeprefix("python -m "))
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]
N, N_LABELED = 120, 60


def photos(folder: Path, n: int) -> None:
    """Photos of what is orange and of what is blue, in any layout; the name says which."""
    rng = np.random.default_rng(n)
    for number in range(n):
        name, color = (("cat", (220, 120, 40)), ("dog", (40, 90, 200)))[number % 2]
        pixels = np.clip(np.array(color) + rng.integers(-40, 40, (48, 48, 3)), 0, 255).astype(np.uint8)
        file = folder / f"day {number // 50}" / f"{number:03d} {name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder := tmp_path / "cwd").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    photos(folder / "photos", N)
    photos(folder / "more_photos", 20)
    return folder


def test_from_a_folder_of_photos_to_predictions(cwd: Path, command: Command) -> None:
    (module, *arguments), *rest = COMMANDS
    assert (module, arguments[0]) == ("al_lightning.label", "photos")
    with serving(cwd / "photos", *arguments[1:], learns=True) as (address, _):
        client = Client(address)
        state = client.state_when(lambda state: state["learner"]["phase"] == "waiting")
        classes = {each["name"]: each["id"] for each in state["classes"]}
        for _ in range(N_LABELED):
            (item,) = client.next(1)
            client.answer(item["item"], classes[item["name"][-7:-4]])
        project = cwd / "photos-labels"
        client.state_when(lambda _: (project / "live" / "doubtful.json").exists() and (project / "model").exists())
        state = client.state_when(lambda state: state["model"] and state["model"]["n_labeled"] == N_LABELED)
        assert state["estimate"]["n"] > 0 and state["spent"] == N_LABELED
    modules = {module for module, *_ in rest}
    assert modules == {"al_lightning", "al_lightning.predict", "al_lightning.export", "al_lightning.exchange"}
    for module, *arguments in rest:
        if module == "al_lightning":
            assert command(*arguments, cwd=cwd).code == 0
            continue
        found = import_module(module)
        main = found.main if hasattr(found, "main") else import_module(f"{module}.__main__").main
        assert main(arguments) == 0, (module, arguments)
    with (cwd / "predictions.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 20 and all(row["class"] in row["file"] for row in rows)
    with (cwd / "labels" / "labels.csv").open(newline="") as file:
        assert sum(row["state"] == "labeled" for row in csv.DictReader(file)) == N_LABELED
    assert sum(1 for _ in (cwd / "labeled").rglob("*.jpg")) == N_LABELED
    about = json.loads((cwd / "model" / "model.json").read_text())
    assert about["classes"] == ["cat", "dog"] and about["temperature"] is None  # 30 random ones are not yet there
    (summary,) = (json.loads(file.read_text()) for file in cwd.glob("multirun_outputs/default/*/summary.json"))
    assert summary["state"] == "waiting" and summary["n_given"] == N_LABELED
