"""What W&B is asked to show: a saved view a setting, and one report with a section a setting."""

import re
import unicodedata
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2.interface as wr  # where its own types can be checked
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from al_lightning.dashboard.mirrored import Mirrored
from al_lightning.report.compare import Comparison
from al_lightning.report.render import markdown
from al_lightning.report.tables import tables
from al_lightning.tracking.wandb_mirror import CLASS_ENTROPY

TITLE_LENGTH = 128  # the library refuses longer ones of a report
LEAST_SHOWN = 100  # runs a panel; W&B shows 10 unless told. More than there are leaves room for those that come later
INTRODUCTION = (
    "Lines are means over seeds, bands and bars' whiskers the standard error; the tables have 95% t intervals. "
    "The bars' AUBC is each run's over its own labels, once it has ended; the tables' over the range that all share. "
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
    comparisons: Sequence[Comparison], runs: Sequence[Mirrored], project: str, entity: str, exists: bool
) -> Specification:
    """Build the views and the report of some runs.

    Args:
        comparisons: one a setting.
        runs: all that were loaded.
        project: of W&B.
        entity: account or team; may be empty where nothing is sent.
        exists: the project can be asked for its id, which the library does when it renders `report`.

    Returns:
        The specification; nothing has been sent.
    """
    studies = ", ".join(dict.fromkeys(run.study for run in runs))
    where: dict[str, Any] = {"entity": entity, "project": project} if exists else {}
    blocks: list = [wr.P(INTRODUCTION), wr.TableOfContents()]
    workspaces = []
    for comparison in comparisons:
        setting, condition = comparison.setting, run_filter(runs, _folders(comparison))
        panels = [panel for part in _panels(comparison).values() for panel in part]
        runset = wr.Runset(name=setting, filters=condition, **where)
        read = [
            wr.MarkdownBlock(f"**{table.title}**\n\n{markdown(table)}")
            for table in tables(comparison, {})
            if not table.folded
        ]
        said = [*comparison.verdicts["sentence"], *comparison.notes]
        blocks += [wr.H2(setting), wr.P(comparison.headline), *read, *([wr.UnorderedList(said)] if said else [])]
        blocks.append(wr.PanelGrid(runsets=[runset], panels=panels))
        workspaces.append(
            ws.Workspace(
                entity=entity,
                project=project,
                name=_cut(_plain(f"{setting}: {studies}")),
                sections=[ws.Section(name, part, is_open=True) for name, part in _panels(comparison).items()],
                settings=ws.WorkspaceSettings(x_axis="n_labeled", max_runs=max(LEAST_SHOWN, len(runs))),
                runset_settings=ws.RunsetSettings(
                    filters=condition,
                    order=[expr.Ordering(expr.Summary("aubc"), ascending=False)],
                    pinned_columns=[f"summary:{key}" for key in ("aubc", "final/acc", "labels_to_90", "labels_to_95")],
                ),
            )
        )
    title = _cut(f"Active learning: {studies}")
    report = wr.Report(project=project, entity=entity, title=title, blocks=blocks, width="fluid")
    return Specification(report, tuple(workspaces))


def run_filter(runs: Sequence[Mirrored], folders: Set[str]) -> str:
    """The library's filter expression for the runs in some folders.

    By study and, where there are several, data set, so that runs which come later are shown too. What is known not to
    belong there is taken out by id: runs of other settings, those that never query or are there twice, and those that
    were replaced.

    Args:
        runs: all that were loaded.
        folders: of the runs to be shown; they share a data set.
    """
    inside = [run for run in runs if run.folder in folders]
    studies, dataset = {run.study for run in inside}, inside[0].dataset
    parts = [f"Metric('Group') in [{', '.join(map(_literal, sorted(studies)))}]"]
    near = [run for run in runs if run.study in studies]
    if len({run.dataset for run in runs}) > 1:
        parts.append(f"Config('dataset') == {_literal(dataset)}")
        near = [run for run in near if run.dataset == dataset]
    out = {run.run_id for run in near} | {id_ for run in near for id_ in run.replaced}
    # A run folder that was copied has its id twice.
    if out := out - {run.run_id for run in inside}:
        parts.append(f"Metric('ID') not in [{', '.join(map(_literal, sorted(out)))}]")
    return " and ".join(parts)


def _folders(comparison: Comparison) -> Set[str]:
    return set((comparison.rounds if comparison.methods else comparison.one_shot)["folder"])


def _panels(comparison: Comparison) -> dict[str, list]:
    """Panels by section."""
    if not comparison.methods:  # one point a run: no curve
        x, y = wr.SummaryMetric("n_labeled"), wr.SummaryMetric("final/acc")
        return {"Test accuracy": [wr.ScatterPlot(title="Test accuracy", x=x, y=y, layout=wr.Layout(0, 0, 24, 10))]}
    shown = max(LEAST_SHOWN, len(_folders(comparison)))
    # Two variants of a strategy are two curves; the mirror logs `method` so that one key tells them apart.
    by = "strategy" if len(set(comparison.rounds["strategy"])) == len(comparison.methods) else "method"
    grouped: dict[str, Any] = {"groupby": wr.Config(by), "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"}
    grouped["max_runs_to_show"] = shown

    def lines(metric: str, title: str, layout: wr.Layout) -> wr.LinePlot:
        axes: dict[str, Any] = {"x": "n_labeled", "y": [metric], "title_x": "labeled images"}
        return wr.LinePlot(title=title, smoothing_type="none", layout=layout, **axes, **grouped)

    return {
        "Learning curves": [
            lines("test/acc", "Test accuracy", wr.Layout(0, 0, 16, 10)),
            wr.BarPlot(
                title="Area under the budget curve (AUBC)",
                metrics=["aubc"],
                max_bars_to_show=shown,
                layout=wr.Layout(16, 0, 8, 10),
                **grouped,
            ),
        ],
        "Calibration": [
            lines("test/nll", "Negative log-likelihood", wr.Layout(0, 10, 8, 8)),
            lines("test/ece", "Expected calibration error", wr.Layout(8, 10, 8, 8)),
        ],
        "Class balance of the queries": [
            lines(CLASS_ENTROPY, "Class entropy of the query, 1: as even as can be", wr.Layout(16, 10, 8, 8))
        ],
    }


def _literal(value: str) -> str:
    """A string in the library's expressions, which rewrites `=`, `<` and `>` even inside of quotes."""
    return "'" + re.sub(r"[^\w.-]", lambda match: f"\\U{ord(match[0]):08x}", value) + "'"


def _cut(text: str) -> str:
    return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 1] + "…"


def _plain(text: str) -> str:
    """Without the characters that the library refuses in the name of a view; `=` is one of them."""
    return "".join(" " if unicodedata.category(char)[:2] in ("So", "Sk", "Sm", "Sc", "Cs") else char for char in text)
