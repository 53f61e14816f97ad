"""A study whose runs are mirrored, and what the dashboard's specification says of runs."""

import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from run_writer import write_run

from al_lightning.dashboard.__main__ import main
from al_lightning.tracking.wandb_account import run_ids

needs_extra = pytest.mark.skipif(
    importlib.util.find_spec("wandb_workspaces") is None,
    reason="needs wandb-workspaces: pip install '.[dashboard]'",
)
# The logger of a run that is mirrored.
WANDB: dict[str, Any] = {"logger__name": "wandb", "logger__project": "lab"}


def write_study(study: Path, logger: dict[str, Any] = WANDB, **settings: Any) -> list[Path]:
    """Write three runs of two strategies."""
    curves = {"random": ([0.5, 0.7, 0.8], 0.01), "margin": ([0.5, 0.8, 0.9], 0.011)}
    return [
        write_run(
            study, "", [value + step * seed for value in curve], strategy__name=name, seed=seed, **logger | settings
        )
        for name, (curve, step) in curves.items()
        for seed in (0, 1, 2)
    ]


def specification(*arguments: object) -> dict[str, Any]:
    """What a dry run writes."""
    first = Path(str(arguments[0]))
    assert main([*map(str, arguments), "--dry-run", "--out", str(first.parent / "out")]) == 0
    return json.loads((first.parent / "out" / "dashboard.json").read_text())


def blocks(written: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [block for block in written["report"]["spec"]["blocks"] if block["type"] == kind]


def filters(written: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The filters of the sections of the report; those of the views are the same."""
    of_report = [grid["metadata"]["runSets"][0]["filters"] for grid in blocks(written, "panel-grid")]
    assert of_report == [view["spec"]["section"]["runSets"][0]["filters"] for view in written["workspaces"]]
    assert all(each["filterFormat"] == "filterV2" for each in of_report)
    return [each["filters"] for each in of_report]


def shown(conditions: list[dict[str, Any]], runs: dict[str, dict[str, str]]) -> set[str]:
    """Ids of the runs that pass, by the meaning that W&B gives to a filter."""
    assert all(condition.get("connector", "AND") == "AND" for condition in conditions)
    operations = {
        "IN": lambda value, wanted: value in wanted,
        "NIN": lambda value, wanted: value not in wanted,
        "=": lambda value, wanted: value == wanted,
    }
    return {
        run_id
        for run_id, run in runs.items()
        if all(
            operations[condition["op"]](
                (run | {"run:name": run_id})[f"{condition['key']['section']}:{condition['key']['name']}"],
                condition["value"],
            )
            for condition in conditions
        )
    }


def uploaded(*folders: Path) -> dict[str, dict[str, str]]:
    """What W&B has of some runs, by id, those included that were replaced."""
    runs = {}
    for folder in folders:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        for run_id in run_ids(folder, config["study"]):
            runs[run_id] = {"run:group": config["study"], "config:dataset": config["dataset"]["name"]}
    return runs


def ids(*folders: Path) -> set[str]:
    return {run_ids(folder, yaml.safe_load((folder / "config.yaml").read_text())["study"])[-1] for folder in folders}


def panels(written: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Configurations of the panels of the only section, by metric; those of the view are the same."""
    [grid], [view] = blocks(written, "panel-grid"), written["workspaces"]
    of_view = [panel for part in view["spec"]["section"]["panelBankConfig"]["sections"] for panel in part["panels"]]
    of_report = grid["metadata"]["panelBankSectionConfig"]["panels"]
    assert [panel["config"] for panel in of_report] == [panel["config"] for panel in of_view]
    return {panel["config"]["metrics"][0]: panel["config"] | {"kind": panel["viewType"]} for panel in of_report}


def verdict(written: dict[str, Any]) -> tuple[list[list[str]], list[str]]:
    """Cells of the verdict table without its rule, and the sentences below the tables."""
    block, [below] = blocks(written, "markdown-block")[0], blocks(written, "list")
    lines = [line for line in block["content"].splitlines() if line.startswith("|")]
    head, _, *rows = (re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in lines)
    return [head, *rows], [item["children"][0]["children"][0]["text"] for item in below["children"]]


class Api:
    """The part of `wandb.Api` that the library uses."""

    default_entity = "me"
    client = SimpleNamespace(app_url="https://wandb.test")

    def projects(self, entity: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="lab")]


def without_ids(node: Any) -> Any:
    """A specification without what is drawn at random, and without the project that only the server can name."""
    if isinstance(node, dict):
        return {key: without_ids(value) for key, value in node.items() if key not in ("id", "__id__", "project")}
    return [without_ids(each) for each in node] if isinstance(node, list) else node
