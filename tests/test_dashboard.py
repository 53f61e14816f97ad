"""The specification of the W&B side, read back with the models of the library that sends it."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import wandb
from dashboard_runs import (
    WANDB,
    Api,
    blocks,
    filters,
    ids,
    needs_extra,
    panels,
    shown,
    specification,
    uploaded,
    verdict,
    without_ids,
    write_study,
)
from mirrored_runs import SETTINGS, SUMMARY, make_mirror, mirrored_run, records
from omegaconf import OmegaConf
from run_writer import write_run

from al_lightning.dashboard.__main__ import main
from al_lightning.runs import stored
from al_lightning.runs.run_folder import RunFolder
from al_lightning.tracking import wandb_account

pytestmark = pytest.mark.usefixtures("no_network")


@needs_extra
def test_the_library_reads_back_what_is_written(tmp_path: Path) -> None:
    from wandb_workspaces.reports.v2 import interface, internal
    from wandb_workspaces.workspaces import Workspace
    from wandb_workspaces.workspaces import internal as views

    write_study(tmp_path / "study")
    written = specification(tmp_path / "study")

    def dump(model: Any) -> dict[str, Any]:
        return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))

    model = internal.ReportViewspec.model_validate(written["report"])
    again = interface.Report._from_model(model)._to_model()
    assert dump(again.spec)["blocks"] == written["report"]["spec"]["blocks"]
    assert not any(type(block).__name__.startswith("Unknown") for block in model.spec.blocks)
    [view] = written["workspaces"]
    assert dump(Workspace._from_model(views.View.model_validate(view))._to_model()) == view
    assert (view["project"], view["displayName"]) == ("lab", "digits: study")
    assert written["report"]["project"]["name"] == "lab"


@needs_extra
def test_curves_are_grouped_by_strategy_over_labels(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    drawn = panels(specification(tmp_path / "study"))
    assert list(drawn) == ["test/acc", "aubc", "test/nll", "test/ece", "queried/class_entropy"]
    bars = drawn["aubc"]
    assert bars["kind"] == "Bar Chart"
    for panel in drawn.values():
        assert (panel["groupBy"], panel["groupAgg"], panel["groupArea"]) == ("strategy.value", "mean", "stderr")
        assert panel["aggregate"] and panel["limit"] == 100
        assert panel is bars or (panel["kind"], panel["xAxis"]) == ("Run History Line Plot", "n_labeled")


@needs_extra
def test_what_is_drawn_is_what_the_mirror_logs(tmp_path: Path) -> None:
    mirror = make_mirror()
    info = mirrored_run(tmp_path / "study" / "tiny-cnn-margin-s3-01234567", mirror)
    mirror.finish("finished", SUMMARY)
    with RunFolder(info.folder) as folder:
        folder.write_summary(SUMMARY)
        settings = SETTINGS | {"study": "study", "logger": {"name": "wandb", "project": "lab"}}
        folder.write_config(stored.text(OmegaConf.create(settings)))
    drawn = panels(specification(tmp_path / "study"))
    log = records(info)
    history = {key for entry in log["history"] for key in entry["item"]}
    summary = {key for part in log["summary"] for key in part["update"]}
    assert drawn.keys() - {"aubc"} <= history and {"aubc", "final/acc"} <= summary
    [run] = log["run"]
    assert {"strategy", "method", "dataset"} <= run["config"]["update"].keys()
    assert run["run_group"] == "study" and {run["run_id"]} == ids(info.folder)


@needs_extra
def test_variants_of_a_strategy_are_curves_of_their_own(tmp_path: Path) -> None:
    for clusters in (9, 10):
        write_run(tmp_path / "study", "", [0.5, 0.6], strategy__name="kmeans", al__n_clusters=clusters, **WANDB)
    written = specification(tmp_path / "study")
    assert {panel["groupBy"] for panel in panels(written).values()} == {"method.value"}
    rows, _ = verdict(written)
    assert [row[0] for row in rows[1:]] == [r"kmeans n\_clusters=9", r"kmeans n\_clusters=10"]  # in Markdown


@needs_extra
def test_verdict_is_a_table(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    rows, below = verdict(specification(tmp_path / "study"))
    columns = (
        "strategy",
        "verdict",
        "AUBC",
        "against random (95% interval)",
        "p",
        "labels to 90%",
        "seeds",
        "failed fits",
    )
    assert rows[0] == [*columns]
    # Areas by hand: random (0.5 + 2 x 0.7 + 0.8) / 4, margin (0.5 + 2 x 0.8 + 0.9) / 4, and 0.01, 0.011 more a seed.
    assert [row[:3] for row in rows[1:]] == [
        ["margin", "better", "0.7610 ± 0.0273"],
        ["random", "reference", "0.6850 ± 0.0248"],
    ]
    assert below[0].startswith("margin: better than random: AUBC +0.0760")


@needs_extra
def test_one_seed_and_an_unfinished_run_have_no_verdict(tmp_path: Path) -> None:
    for strategy, state, accuracy in (
        ("random", "finished", [0.5, 0.7, 0.8]),
        ("margin", "running", [0.5, 0.8]),
        ("bald", "failed", [0.5]),
    ):
        write_run(tmp_path / "study", "", accuracy, strategy__name=strategy, state=state, **WANDB)
    written = specification(tmp_path / "study")
    rows, below = verdict(written)
    assert {row[0]: row[1] for row in rows[1:]} == {"random": "reference", "margin": "unknown", "bald": "unknown"}
    assert "nan" not in f"{rows} {below}"
    assert len(panels(written)) == 5


@needs_extra
def test_a_section_a_data_set_shows_its_own_runs(tmp_path: Path) -> None:
    digits = write_study(tmp_path / "study")
    mnist = write_study(tmp_path / "study", dataset__name="mnist")
    single = write_run(tmp_path / "study", "", [0.9], dataset__name="mnist", size=60, **WANDB)
    again = write_run(tmp_path / "second", "", [0.5, 0.7], dataset__name="mnist", **WANDB)  # shorter: does not count
    replaced = tmp_path / "study" / "set-aside" / f"{mnist[0].name}.1"
    replaced.mkdir(parents=True)
    other = write_run(tmp_path / "unasked" / "elsewhere", "", [0.5, 0.6], **WANDB)
    written = specification(tmp_path / "study", tmp_path / "second")
    runs = uploaded(*digits, *mnist, single, again, other)
    assert [block["children"][0]["text"] for block in blocks(written, "heading")] == ["digits", "mnist"]
    assert [shown(part, runs) for part in filters(written)] == [ids(*digits), ids(*mnist)]
    later = write_run(tmp_path / "study", "", [0.5, 0.6, 0.7], dataset__name="mnist", strategy__name="entropy", **WANDB)
    assert shown(filters(written)[1], uploaded(*mnist, later)) == ids(*mnist, later)


@needs_extra
def test_settings_of_a_data_set_are_kept_apart(tmp_path: Path) -> None:
    small = write_study(tmp_path / "study")
    large = write_study(tmp_path / "study", al__initial_size=40)
    # A backup of the study has the ids of the study.
    backup = tmp_path / "backup" / "study"
    for folder in (*small, *large):
        shutil.copytree(folder, backup / folder.name)
    written = specification(tmp_path / "study", backup)
    runs = uploaded(*small, *large)
    assert [shown(part, runs) for part in filters(written)] == [ids(*small), ids(*large)]


@needs_extra
def test_plain_training_runs_are_points(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "study", "", [accuracy], size=n, **WANDB) for n, accuracy in ((20, 0.5), (60, 0.8))]
    written = specification(tmp_path / "study")
    [[panel]] = [grid["metadata"]["panelBankSectionConfig"]["panels"] for grid in blocks(written, "panel-grid")]
    assert (panel["config"]["xAxis"], panel["config"]["yAxis"]) == ("summary:n_labeled", "summary:final/acc")
    assert [shown(part, uploaded(*runs)) for part in filters(written)] == [ids(*runs)]
    assert "These runs trained once and never queried" in json.dumps(blocks(written, "paragraph"))


@needs_extra
def test_runs_that_are_offline_are_to_be_uploaded_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_study(tmp_path / "study")
    logs = [tmp_path / "study" / "wandb" / f"offline-run-1-{ids(folder).pop()}" for folder in folders]
    for log in logs:
        log.mkdir(parents=True)
    command = f"wandb sync {tmp_path / 'study' / 'wandb'}/offline-run-*"
    specification(tmp_path / "study")
    assert command in capsys.readouterr().err
    for log in logs:
        (log / f"{log.name}.wandb.synced").touch()
    specification(tmp_path / "study")
    assert capsys.readouterr().err == ""


@needs_extra
def test_default_place_is_the_report_of_the_study(tmp_path, capsys, monkeypatch) -> None:
    run, *_ = write_study(tmp_path / "study")
    file = tmp_path / "study" / "report" / "dashboard.json"
    of_run = tmp_path / "study" / "report" / run.name / "dashboard.json"
    for folder, place in ((tmp_path / "study", file), (run, of_run)):
        assert main([str(folder), "--dry-run"]) == 0
        assert str(place) in capsys.readouterr().out
    monkeypatch.chdir(run)
    of_run.unlink()
    assert main([".", "--dry-run"]) == 0
    assert of_run.exists()
    assert json.loads(file.read_text())["workspaces"][0]["displayName"] == "digits: study"


@needs_extra
def test_what_is_sent_is_what_a_dry_run_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wandb_workspaces.reports.v2 import interface
    from wandb_workspaces.workspaces import internal

    sent, projects = [], ["UHJvamVjdDox"]

    def execute(api: Api, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "internalId" in query:
            return {"project": {"internalId": projects[0]} if projects else None}
        sent.append(variables)
        names = {key: variables[key] for key in ("name", "displayName", "spec")}
        return {"upsertView": {"view": names | {"id": "Vmlldzox", "project": {"name": "lab", "entityName": "me"}}}}

    for module in (interface, internal):
        monkeypatch.setattr(module, "execute_graphql", execute)
    monkeypatch.setattr(wandb, "Api", Api)
    monkeypatch.setattr(wandb_account, "logged_in", lambda: True)
    write_study(tmp_path / "study")
    written = specification(tmp_path / "study")
    assert main([str(tmp_path / "study")]) == 0
    report, view = (json.loads(variables["spec"]) for variables in sent)
    assert without_ids(report) == without_ids(written["report"]["spec"])
    assert without_ids(view) == without_ids(written["workspaces"][0]["spec"])
    assert {(variables["entityName"], variables["projectName"]) for variables in sent} == {("me", "lab")}
    out = capsys.readouterr().out
    assert "report: https://wandb.test/me/lab/reports/" in out and "view: https://wandb.test/me/lab?nw=" in out

    projects.clear()
    sent.clear()
    assert main([str(tmp_path / "study"), "--entity", "team"]) == 1
    assert "'team/lab' not found" in capsys.readouterr().err and not sent


def malformed() -> bool:
    raise wandb.Error("API key must be 40 characters")


def error(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command prints."""
    assert main(list(map(str, arguments))) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_without_the_extra_it_says_how_to_install_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install '.[dashboard]'" in error([tmp_path, "--dry-run"], capsys)


@needs_extra
def test_what_cannot_be_shown_is_one_line(tmp_path, capsys, monkeypatch) -> None:
    run, *_ = write_study(tmp_path / "one")
    (tmp_path / "empty").mkdir()
    line = error([tmp_path / "one"], capsys)
    assert "knows no key: use `wandb login`, or --dry-run" in line
    monkeypatch.setattr(wandb_account, "logged_in", malformed)
    assert "cannot be used: Error: API key must be" in error([tmp_path / "one"], capsys)
    assert "no run with a committed round" in error([tmp_path / "empty", "--dry-run"], capsys)
    write_study(tmp_path / "two", logger__project="other")
    assert "lab, other; choose with --project" in error([tmp_path / "one", tmp_path / "two", "--dry-run"], capsys)
    assert specification(tmp_path / "one", tmp_path / "two", "--project", "x")["workspaces"][0]["project"] == "x"
    write_study(tmp_path / "none", logger={})
    assert "logger=none" in error([tmp_path / "none", "--dry-run"], capsys)
    with pytest.raises(SystemExit, match="2"):
        main([str(run), "--out", str(run / "report")])
    assert "in a run folder" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert "cannot write" in error([tmp_path / "one", "--dry-run", "--out", tmp_path / "file"], capsys)
