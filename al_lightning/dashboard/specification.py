"""What W&B is asked to show: a saved view a setting, and one report with a section a setting."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from al_lightning.dashboard.mirrored import Mirrored
from al_lightning.tracking.wandb_mirror import CLASS_ENTROPY

TITLE_LENGTH = 128  # of a report, by the library
INTRODUCTION = (
    "Lines are means over seeds, bands and bars' whiskers the standard error; the tables have 95% t intervals. "
    "Runs that train once and never query are left out of the curves."
)


@dataclass(frozen=True)
class Specification:
    """What is sent.

    Attributes:
        report: one.
        workspaces: saved views of the project, one a setting: a view has one filter for all of its panels.
    """

    report: wr.Report
    workspaces: tuple[ws.Workspace, ...]


def build(
    rounds: pd.DataFrame,
    runs: Sequence[Mirrored],
    verdicts: Mapping[str, str],
    project: str,
    entity: str,
    exists: bool,
) -> Specification:
    """Build the views and the report of some runs.

    Args:
        rounds: of :func:`al_lightning.report.load`.
        runs: of the same table.
        verdicts: Markdown by setting.
        project: of W&B.
        entity: account or team; may be empty where nothing is sent.
        exists: the project is there to be asked for its id, which the library does when `report` is rendered.

    Returns:
        The specification; nothing has been sent.
    """
    studies = ", ".join(dict.fromkeys(run.study for run in runs))
    blocks: list = [wr.P(INTRODUCTION), wr.TableOfContents()]
    workspaces = []
    where = {"entity": entity, "project": project} if exists else {}
    for setting in dict.fromkeys(run.setting for run in runs):
        condition, panels = run_filter(runs, setting), _panels(rounds, setting)
        runset = wr.Runset(name=setting, filters=condition, **where)
        blocks += [wr.H2(setting), wr.MarkdownBlock(verdicts[setting])]
        blocks.append(wr.PanelGrid(runsets=[runset], panels=[panel for part in panels.values() for panel in part]))
        view = ws.Workspace(
            entity=entity,
            project=project,
            name=_plain(f"{studies}: {setting}"),
            sections=[
                ws.Section(
                    name=name, panels=part, is_open=True, layout_settings=ws.SectionLayoutSettings(columns=2, rows=1)
                )
                for name, part in _panels(rounds, setting).items()
            ],
            settings=ws.WorkspaceSettings(x_axis="n_labeled", max_runs=len(runs)),  # 10 by default
            runset_settings=ws.RunsetSettings(
                filters=condition,
                order=[expr.Ordering(expr.Summary("aubc"), ascending=False)],
                pinned_columns=[f"summary:{key}" for key in ("aubc", "final/acc", "labels_to_90", "labels_to_95")],
            ),
        )
        workspaces.append(view)
    title = f"Active learning: {studies}"
    report = wr.Report(
        project=project,
        entity=entity,
        title=title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1] + "…",
        blocks=blocks,
        width="fluid",
    )
    return Specification(report, tuple(workspaces))


def run_filter(runs: Sequence[Mirrored], setting: str) -> str:
    """The library's filter expression for the active learning runs of a setting.

    By study and, where there are several, data set: runs that come later are shown too. What is known not to belong
    there is taken out by id: other settings, runs that never query, and runs that were replaced.
    """
    inside = [run for run in runs if run.setting == setting]
    dataset = inside[0].dataset
    studies = {run.study for run in inside}
    queries = not all(run.one_shot for run in inside)
    parts = [f"Metric('Group') in {_literals(sorted(studies))}"]
    several = len({run.dataset for run in runs}) > 1
    if several:
        parts.append(f"Config('dataset') == {_literal(dataset)}")
    near = [run for run in runs if run.study in studies and (run.dataset == dataset or not several)]
    out = [run.run_id for run in near if run.setting != setting or (queries and run.one_shot)]
    if out := sorted({*out, *(old for run in near for old in run.replaced)}):
        parts.append(f"Metric('ID') not in {_literals(out)}")
    return " and ".join(parts)


def _panels(rounds: pd.DataFrame, setting: str) -> dict[str, list]:
    """Panels by section."""
    rows = rounds[rounds["setting"] == setting]
    n_runs = rows["folder"].nunique()
    if rows["one_shot"].all():  # one point a run: no curve
        points = wr.ScatterPlot(
            title="Test accuracy of plain training runs",
            x=wr.SummaryMetric("n_labeled"),
            y=wr.SummaryMetric("final/acc"),
            layout=wr.Layout(0, 0, 24, 10),
        )
        return {"Learning curve": [points]}
    methods = rows[~rows["one_shot"]].groupby("strategy")["method"].nunique()
    by = "strategy" if (methods == 1).all() else "method"

    def lines(metric: str, title: str, layout: wr.Layout) -> wr.LinePlot:
        return wr.LinePlot(
            title=title,
            x="n_labeled",
            y=[metric],
            title_x="labeled images",
            groupby=wr.Config(by),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            smoothing_type="none",
            max_runs_to_show=n_runs,
            layout=layout,
        )

    bars = wr.BarPlot(
        title="Area under the budget curve (AUBC)",
        metrics=["aubc"],
        groupby=wr.Config(by),
        groupby_aggfunc="mean",
        groupby_rangefunc="stderr",
        max_runs_to_show=n_runs,
        max_bars_to_show=n_runs,
        layout=wr.Layout(16, 0, 8, 10),
    )
    return {
        "Learning curves": [lines("test/acc", "Test accuracy", wr.Layout(0, 0, 16, 10)), bars],
        "Calibration": [
            lines("test/nll", "Negative log-likelihood", wr.Layout(0, 10, 8, 8)),
            lines("test/ece", "Expected calibration error", wr.Layout(8, 10, 8, 8)),
        ],
        "Class balance of the queries": [
            lines(CLASS_ENTROPY, "Class entropy of the query (1: as even as can be)", wr.Layout(16, 10, 8, 8)),
        ],
    }


def _literals(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_literal, values))}]"


def _literal(value: str) -> str:
    """A string in the library's expressions, which rewrites `=`, `<` and `>` even inside of quotes."""
    return "'" + re.sub(r"[^\w.-]", lambda match: f"\\U{ord(match[0]):08x}", value) + "'"


def _plain(text: str) -> str:
    """Without the characters that the library refuses in the name of a view; `=` is one of them."""
    return "".join(" " if unicodedata.category(char)[:2] in ("So", "Sk", "Sm", "Sc", "Cs") else char for char in text)
