"""The summary of a run: what `summary.json` holds."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from al_lightning.clock import PHASES
from al_lightning.config.plan import Begun, Plan, make_plan
from al_lightning.config.schema import ActiveLearning
from al_lightning.models.measures import MEASURES
from al_lightning.runs.learning_curve import aubc, labels_to, learns_nothing
from al_lightning.runs.rounds import Round
from al_lightning.runs.run_info import RunInfo


def summarize(run: RunInfo, rounds: Sequence[Round], state: str, waiting: int = 0) -> dict[str, Any]:
    """Summarize a run.

    Args:
        run: what was known at its start.
        rounds: all that are committed.
        state: `running`, `waiting`, `finished`, `failed` or `interrupted`.
        waiting: images of the last query that have no answer.

    Returns:
        A dictionary for JSON. `labels_to_90` and `labels_to_95` are None where the accuracy was never reached.
    """
    rows = [done.row for done in rounds]
    summary: dict[str, Any] = {
        "state": state,
        "finished": state == "finished",
        "name": run.folder.name,
        "study": run.study,
        "waiting": waiting,
        "rounds_done": len(rows),
        "rounds_planned": run.plan.rounds + 1,
        "pool_size": run.plan.pool_size,
        "n_given": run.plan.n_given,
        "begun": asdict(run.plan.begun) if run.plan.begun else None,
        "classes": list(run.data.classes),
        "image_shape": [run.data.channels, *run.data.image_size],
        "levels": run.data.levels,
    }
    if rows:
        measured = [row for row in rows if row["test/acc"] is not None]
        labels, accuracy = [row["n_labeled"] for row in measured], [row["test/acc"] for row in measured]
        summary |= {
            "n_labeled": rows[-1]["n_labeled"],
            "n_paid": rows[-1]["n_paid"],
            "stopped_by": rows[-1].get("stop/act") or "",
            "final": {name: rows[-1][f"test/{name}"] for name in MEASURES},
            "aubc": aubc(labels, accuracy) if measured else None,
            "learns_nothing": learns_nothing(
                labels, [row["test/balanced_acc"] for row in measured], len(run.data.classes), len(run.data.test)
            )
            if measured
            else "",
            "failed_fits": [row["round"] for row in rows if row["fit/ok"] is False or row.get("fit/members_failed")],
            "labels_to_90": labels_to(0.90, labels, accuracy),
            "labels_to_95": labels_to(0.95, labels, accuracy),
            "seconds": {phase: round(sum(row[f"seconds/{phase}"] for row in rows), 3) for phase in (*PHASES, "other")},
        }
    return summary | run.environment


def covers(summary: dict[str, Any] | None, al: ActiveLearning) -> bool:
    """Whether a finished run already has the rounds that are asked for; it may have more."""
    if not summary or not summary.get("finished") or not {"rounds_done", "pool_size", "final"} <= summary.keys():
        return False
    plan = plan_of(al, summary)
    return summary["rounds_done"] > plan.rounds or plan.is_stopped_by(summary.get("stopped_by"))


def limit(al: ActiveLearning, summary: dict[str, Any]) -> str:
    """What ends a run before all that is asked for, and what to type for more; nothing where it has it all.

    Args:
        al: sizes and limits that are asked for.
        summary: of a run that covers them.
    """
    plan, there = plan_of(al, summary), summary["pool_size"] - summary.get("n_gone", 0)
    if summary["rounds_done"] <= plan.rounds and plan.is_stopped_by(rule := summary.get("stopped_by")):
        return f"; al.stop={rule} ended it: for more, take it away"
    paid = plan.n_paid(plan.rounds)
    more = paid + plan.query_size
    if al.budget is None or summary["rounds_done"] > plan.rounds + 1:
        return ""
    if plan.rounds == al.rounds and more <= min(al.budget, there):
        return f"; al.rounds={al.rounds} ends it, before al.budget={al.budget} does: for more, add al.rounds=null"
    if plan.rounds == al.rounds or (al.rounds is None and paid == al.budget):
        return ""
    if al.budget >= more:
        return f"; the pool ends it: {there} images, and another query would make it {more} labels"
    if al.rounds is None:
        return f"; al.budget={al.budget} ends it: another query would make it {more} labels"
    return f"; al.budget={al.budget} ends it, before al.rounds={al.rounds} does: for more, add al.budget=null"


def plan_of(al: ActiveLearning, summary: dict[str, Any]) -> Plan:
    """The rounds that are asked for, over the pool of a run."""
    begun = None
    if initial := summary.get("begun"):
        begun = Begun(summary["rounds_done"] - 1, summary["n_paid"], initial["initial"], initial["val"])
    return make_plan(al, summary["pool_size"], summary.get("n_gone", 0), begun, summary.get("n_given", 0))
