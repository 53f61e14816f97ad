"""Small multiples: every measure of the test part against labels, those that repeat another apart."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from al_lightning.report.compare import Comparison
from al_lightning.report.figures.labels import end_labels, labels_width, wrapped
from al_lightning.report.figures.lines import Curve, curve_of, draw, limit, said, table_of, ticks
from al_lightning.report.figures.style import SMALL, Drawing, columns_of, grid, looks

NAMES = {
    "test/acc": "accuracy",
    "test/balanced_acc": "balanced accuracy",
    "test/f1": "F1",
    "test/auroc": "AUROC",
    "test/nll": "NLL",
    "test/ece": "ECE",
}
LOWER_IS_BETTER = ("test/nll", "test/ece")
ONE_SCALE = ("test/acc", "test/balanced_acc", "test/f1")  # they agree where the classes are balanced
ALIKE = 0.01  # mean distance of curves that say the same


def others(comparison: Comparison, measure: str = "test/acc") -> Drawing | None:
    """The measures that say something else than `measure` does, a panel each; None where there is none."""
    shown = [name for name in _present(comparison) if name != measure and name not in alike(comparison, measure)]
    return _panels(comparison, shown, "measures", "Other measures against labels") if shown else None


def repeats(comparison: Comparison, measure: str = "test/acc") -> Drawing | None:
    """The measures whose curves are those of `measure`, a panel each, folded; None where there is none."""
    same = alike(comparison, measure)
    if not same:
        return None
    named = " and ".join(name_of(name) for name in same)
    verb = "follows" if len(same) == 1 else "follow"
    folded = f"{capital(named)} {verb} {name_of(measure)}: mean distance at most {max(same.values()):.2g}."
    return _panels(comparison, list(same), "measures-alike", f"{capital(named)} against labels", folded)


def alike(comparison: Comparison, measure: str) -> dict[str, float]:
    """The measures whose curves are those of another, with the mean distance over rounds, the most of any method."""
    if measure not in ONE_SCALE or measure not in comparison.rounds:
        return {}
    found = {}
    for name in _present(comparison):
        if name in ONE_SCALE and name != measure:
            apart = np.abs(comparison.rounds[name].to_numpy(float) - comparison.rounds[measure].to_numpy(float))
            means = pd.DataFrame({"method": comparison.rounds["method"], "apart": apart}).groupby("method").agg("mean")
            most = float(np.nanmax(means.to_numpy(), initial=0))
            if most <= ALIKE:
                found[name] = most
    return found


def name_of(measure: str) -> str:
    """What people call a measure."""
    return NAMES.get(measure, measure.removeprefix("test/"))


def capital(name: str) -> str:
    """A name at the beginning of a sentence."""
    return name[:1].upper() + name[1:]


def bounds_of(measure: str) -> tuple[float, float]:
    """What a measure cannot leave."""
    return (0.0, np.inf) if measure == "test/nll" else (0.0, 1.0)


def _present(comparison: Comparison) -> list[str]:
    rounds = comparison.rounds
    return [name for name in NAMES if name in rounds and len(rounds) and rounds[name].notna().to_numpy().any()]


def _panels(comparison: Comparison, shown: Sequence[str], name: str, title: str, folded: str = "") -> Drawing:
    methods, looked = comparison.methods, looks(comparison.methods)
    right = labels_width(methods, SMALL)
    columns = columns_of(len(shown), 3 if right < 1.4 else 2)
    high = max(2.0, 0.155 * sum(wrapped(method).count("\n") + 1 for method in methods))
    figure, panels = grid(
        len(shown),
        columns,
        panel=(0, high),
        left=0.55,
        right=right,
        top=0.3,
        bottom=0.45,
        across=right + 0.5,
        down=0.6,
    )
    tables, curves, cut = [], dict[str, Curve](), False
    for i, (axes, measure) in enumerate(zip(panels, shown, strict=True)):
        axes.margins(x=0.02)
        curves = {
            method: curve_of(comparison.rounds.loc[comparison.rounds["method"] == method], measure)
            for method in methods
        }
        bounds = bounds_of(measure)
        ends = [end for method in methods if (end := draw(axes, curves[method], method, looked[method], bounds))]
        axes.set_title(f"{name_of(measure)}, {'lower' if measure in LOWER_IS_BETTER else 'higher'} is better")
        cut |= limit(axes, list(curves.values()), ends, bounds)
        if i >= len(shown) - columns:
            axes.set_xlabel("labeled images")
        ticks(axes, {count for each in curves.values() for count in each.mean["n_labeled"]}, 4)
        end_labels(axes, ends, SMALL)
        if (table := table_of(curves)) is not None:
            table.insert(0, "measure", measure)
            tables.append(table)
    caption = f"Means over seeds on the test part. {said(curves.values(), cut)}"
    explained = {
        "test/nll": "NLL: mean negative log likelihood in nats.",
        "test/ece": "ECE: expected calibration error, 15 bins.",
        "test/auroc": "AUROC: area under the ROC curve, one class against the rest, mean over classes.",
    }
    caption = " ".join([caption, *(explained[measure] for measure in shown if measure in explained)])
    listed = ", ".join(map(name_of, shown))
    alt = f"Small multiples: {listed} against labels for {', '.join(methods)}."
    return Drawing(name, title, caption, alt, figure, pd.concat(tables) if tables else None, folded)
