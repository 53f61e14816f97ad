"""How the models predict in the end: confusion matrices and reliability diagrams."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm

from al_lightning.report.details import Details
from al_lightning.report.figures.labels import in_full, shortened, text_width, wrapped
from al_lightning.report.figures.style import (
    BLUES,
    GRAY,
    SMALL,
    WIDTH,
    Drawing,
    columns_of,
    draw_cells,
    grid,
    looks,
    text_on,
)

NAMED_CLASSES = 20  # more do not fit along the axes of a confusion matrix
NUMBERED_CLASSES = 12  # nor do more numbers in its cells


def confusion(details: Details, methods: Sequence[str]) -> Drawing | None:
    """A confusion matrix a method, summed over seeds, as shares of the true class; None where there is none."""
    found = {method: details.confusion[method] for method in methods if method in details.confusion}
    if not found:
        return None
    n_classes = max(len(matrix) for matrix in found.values())
    named = n_classes <= NAMED_CLASSES and len(details.classes) == n_classes
    names = [shortened(name) for name in details.classes] if named else []
    side = 0.25 + max((text_width(name, SMALL) for name in names), default=0.1)
    most = 4 if n_classes <= 10 or not named else 3
    columns = columns_of(len(found), most)
    across = 0.3
    size = (WIDTH - side - 0.25 - across * (most - 1)) / most
    titles = _titles(details, found)
    lines = max(title.count("\n") for title in titles)
    figure, panels = grid(
        len(found),
        columns,
        panel=(size, size),
        width=side + 0.25 + columns * (size + across) - across,
        left=side + 0.15,
        right=0.1,
        top=0.25 + 0.16 * lines,
        bottom=side + 0.25,
        across=across,
        down=0.5 + 0.16 * lines,
    )
    for i, (axes, matrix, title) in enumerate(zip(panels, found.values(), titles, strict=True)):
        shares = matrix / matrix.sum(1, keepdims=True).clip(1)
        # The root shows confusions of a few percent beside a diagonal near one.
        cells = BLUES(PowerNorm(0.5, 0, 1)(shares))
        draw_cells(axes, cells)
        axes.set_title(title)
        below, first = i + columns >= len(found), i % columns == 0
        axes.set_xticks(range(len(names)), names if below else [], rotation=90 * any(len(name) > 2 for name in names))
        axes.set_yticks(range(len(names)), names if first else [])
        if below:
            axes.set_xlabel("predicted")
        if first:
            axes.set_ylabel("true")
        if len(matrix) <= NUMBERED_CLASSES:
            for (row, column), share in np.ndenumerate(shares):
                if share >= 0.005:
                    color = text_on(cells[row, column])
                    axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=7)
    caption = "Rows are true classes; percent of a row, summed over seeds"
    caption += "." if n_classes <= NUMBERED_CLASSES else "; darker is more."
    if named:
        caption += in_full(details.classes)
    if not named:
        caption += f" {n_classes} classes, in the order of the data set: too many to name."
    alt = f"Confusion matrices of {', '.join(found)} on the test part."
    data = pd.concat([_long(method, matrix) for method, matrix in found.items()])
    return Drawing("confusion", "Confusion matrices", caption, alt, figure, data)


def reliability(details: Details, methods: Sequence[str]) -> Drawing | None:
    """Accuracy against confidence, a panel a method; None where no run has the bins."""
    found = {method: details.reliability[method] for method in methods if len(details.reliability.get(method, ()))}
    if not found:
        return None
    looked = looks(methods)
    columns, across = columns_of(len(found), 4), 0.35
    size = (WIDTH - 0.6 - 0.1 - across * 3) / 4
    lines = 1 + max(wrapped(method, 28).count("\n") for method in found)
    figure, panels = grid(
        len(found),
        columns,
        panel=(size, size),
        width=0.7 + columns * (size + across) - across,
        left=0.6,
        right=0.1,
        top=0.3 + 0.16 * lines,
        bottom=0.5,
        across=across,
        down=0.65 + 0.16 * lines,
    )
    for i, (axes, (method, bins)) in enumerate(zip(panels, found.items(), strict=True)):
        look = looked[method]
        axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
        axes.plot(bins["confidence"], bins["accuracy"], color=look.color, linewidth=1.2)
        share = bins["n"] / bins["n"].sum()
        axes.scatter(bins["confidence"], bins["accuracy"], s=6 + 110 * share, color=look.color, alpha=0.85, zorder=3)
        axes.set_title(f"{wrapped(method, 28)}\nECE {gap(bins):.3f}", fontweight="bold")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.grid()
        if i + columns >= len(found):
            axes.set_xlabel("confidence")
        if i % columns == 0:
            axes.set_ylabel("accuracy")
        else:
            axes.set_yticklabels([])
    caption = (
        "Each point is a bin of test images; its area is their share. Below the gray line the model is surer than it "
        "is right. Images of all seeds are binned together, so ECE here can be below the mean over seeds."
    )
    alt = f"Reliability diagrams of {', '.join(found)}: accuracy against confidence in 15 bins."
    data = pd.concat([bins.assign(method=method) for method, bins in found.items()])
    return Drawing("reliability", "Reliability", caption, alt, figure, data)


def gap(bins: pd.DataFrame) -> float:
    """Expected calibration error of the bins: |accuracy - confidence|, weighted by n (Guo et al. 2017, eq. 3)."""
    n, confidence, accuracy = (bins[name].to_numpy(float) for name in ("n", "confidence", "accuracy"))
    return float(np.average(np.abs(accuracy - confidence), weights=n))


def _long(method: str, matrix: np.ndarray) -> pd.DataFrame:
    true, predicted = np.indices(matrix.shape)
    return pd.DataFrame({"method": method, "true": true.ravel(), "predicted": predicted.ravel(), "n": matrix.ravel()})


def _titles(details: Details, found: Mapping[str, np.ndarray]) -> list[str]:
    """Each method with its seeds and labels, because runs in progress differ in both."""
    titles = []
    for method in found:
        runs = [run for run in details.last if run.method == method]
        low, high = min(run.n_labeled for run in runs), max(run.n_labeled for run in runs)
        labels = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        titles.append(f"{wrapped(method)}\n{labels} labels, {len(runs)} seed{'s' if len(runs) > 1 else ''}")
    return titles
