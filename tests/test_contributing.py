"""What CONTRIBUTING.md shows runs as it stands, and what it names is there."""

import re
import shlex
from functools import partial
from pathlib import Path

import pytest
from conftest import Command, fast
from run_folders import only_run
from sklearn.datasets import load_digits

import al_lightning
from al_lightning.acquisition.coreset import coreset
from al_lightning.acquisition.select import top
from al_lightning.config.plan import Plan
from al_lightning.runs.folder_state import committed
from al_lightning.testing import check_strategy, make_example

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that are shown, which a configuration may call, and images for the data set."""
    for _, text in BLOCKS:
        if named := re.match(r"# (my_\S+)\n", text):
            file = tmp_path / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    pixels, labels = load_digits(return_X_y=True)
    rows = [
        f"digit {label},{','.join(map(str, row))}" for label, row in zip(labels, (pixels * 15).astype(int), strict=True)
    ]
    (tmp_path / "images.csv").write_text("\n".join(rows[:500]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert COMMANDS[0] == "export AL_LIGHTNING_ALLOW=my_package"
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "my_package")
    return tmp_path


def test_what_is_shown_runs(written: Path) -> None:
    chosen = []
    for line in COMMANDS[1:]:
        typed = shlex.split(line)
        assert typed[:3] == ["python", "-m", "al_lightning"]
        model = [] if "model=" in line else ["model.width=4"]
        settings = [each for each in fast(tuple(typed[3:])) if not each.startswith("model.width")]
        outcome = al_lightning.run([*settings, *model])
        assert (outcome.state, outcome.summary["rounds_done"]) == ("finished", 3)
        chosen += [each for each in typed if outcome.folder.name.find(each.partition("=")[2]) >= 0 and "=" in each]
    assert {each.partition("=")[0] for each in chosen} == {"strategy", "dataset", "model"} and len(chosen) == 5


def test_a_stopping_rule_needs_no_other_loop(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Plan, "is_last", lambda _, before: bool(before) and before[-1]["n_labeled"] >= 40)
    assert command("al.rounds=9", "al.initial_size=20", "al.query_size=10").code == 0
    folder = only_run(tmp_path / "cwd")
    rounds, _ = committed(folder)
    assert [(done.row["n_labeled"], len(done.queries)) for done in rounds] == [(20, 10), (30, 10), (40, 10), (50, 0)]
    assert (folder / "rounds" / "003" / "model.safetensors").exists()


def test_the_strategy_that_is_shown_is_certified_and_is_coreset(written: Path) -> None:
    from my_package.farthest import farthest  # pyright: ignore[reportMissingImports]

    check_strategy(farthest)
    assert all(f"{part}: " in (farthest.__doc__ or "") for part in ("Formula", "Source", "Cost", "Use when"))
    own, built_in = (strategy(make_example().candidates(), 10) for strategy in (farthest, coreset))
    assert own.indices.tolist() == built_in.indices.tolist()


def test_the_score_that_is_shown_is_certified(written: Path) -> None:
    from my_package.scores import gini  # pyright: ignore[reportMissingImports]

    check_strategy(partial(top, score=gini))


def test_every_file_that_is_named_is_there() -> None:
    """Of the package, of `conf/`, of the repository; placeholders are in capitals."""
    named = set(re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|yaml|md)|(?:\.?\w+/)+\w*)`", TEXT))
    places = (ROOT, ROOT / "al_lightning")
    own = {each for each in named if not re.search(r"NAME|^my_", each)}
    assert "acquisition/scores.py" in own and "tests/conftest.py" in own
    assert [each for each in sorted(own) if not any((place / each).exists() for place in places)] == []
