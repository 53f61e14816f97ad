"""Where the time went."""

import numpy as np
import pandas as pd

from al_lightning.report.compare import Comparison
from al_lightning.report.figures.labels import text_width, wrapped
from al_lightning.report.figures.style import COLORS, FILL, TEXT, Drawing, grid

# In order of a round; neighbors differ in lightness too.
PHASES: dict[str, str] = dict(zip(("fit", "score", "select", "test", "other"), (*COLORS[1:5], FILL), strict=True))


def phases(comparison: Comparison) -> Drawing | None:
    """Mean seconds of a round by phase, a bar a method; None where no time was taken."""
    present = [phase for phase in PHASES if f"seconds/{phase}" in comparison.rounds]
    if not comparison.methods or not present:
        return None
    columns = [f"seconds/{phase}" for phase in present]
    methods = comparison.rounds["method"]
    means = np.array([comparison.rounds.loc[methods == name, columns].mean().fillna(0) for name in comparison.methods])
    names = [wrapped(method) for method in comparison.methods]
    left = 0.25 + max(text_width(line) for name in names for line in name.split("\n"))
    row = max(0.3, 0.17 * max(name.count("\n") + 1 for name in names))
    figure, (axes,) = grid(1, 1, panel=(0, row * len(names)), left=left, right=0.9, top=0.4, bottom=0.5)
    starts = means.cumsum(1) - means
    for phase, start, mean in zip(present, starts.T, means.T, strict=True):
        axes.barh(range(len(names)), mean, left=start, height=0.62, color=PHASES[phase], label=phase)
    for i, total in enumerate(means.sum(1)):
        axes.annotate(f"{total:,.3g} s", (total, i), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(names)), names, fontsize=TEXT)
    axes.set(xlabel="seconds a round", ylim=(len(names) - 0.5, -0.5))
    axes.set_xlim(0, None)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(present), frameon=False, borderpad=0, handlelength=1)
    axes.tick_params(axis="y", length=0)
    caption = (
        "Mean over the rounds of all seeds; later rounds train on more labels, so methods with fewer rounds look "
        "faster. Other: data, commit, and the mirror of the round before."
    )
    alt = f"Seconds of a round by phase for {', '.join(comparison.methods)}."
    data = pd.DataFrame({"method": comparison.methods, **dict(zip(present, means.T, strict=True))})
    return Drawing("seconds", "Time", caption, alt, figure, data)
