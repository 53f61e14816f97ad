"""The measure at the end and its area against the number of clusters of k-means."""

import re

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, MaxNLocator

from al_lightning.report.compare import Comparison
from al_lightning.report.figures.labels import End, end_labels, labels_width
from al_lightning.report.figures.lines import ROUND
from al_lightning.report.figures.measures import capital, name_of
from al_lightning.report.figures.style import Drawing, Look, grid, looks
from al_lightning.report.statistics import interval

_K = re.compile(r"\bn_clusters=(\d+)")


def clusters(comparison: Comparison, measure: str = "test/acc") -> Drawing | None:
    """A measure at the end and its AUBC against k, where a strategy has run with several; None elsewhere."""
    families: dict[str, dict[int, str]] = {}
    for method in comparison.methods:
        if found := _K.search(method):
            family = " ".join((method[: found.start()] + method[found.end() :]).split())
            families.setdefault(family, {})[int(found[1])] = method
    families = {family: by_k for family, by_k in families.items() if len(by_k) > 1}
    if not families:
        return None
    area = comparison.aubc.set_index("method")
    at_end = {method: interval(_at(_of(comparison, method), comparison.end, measure)) for method in comparison.methods}
    panels = {
        f"{name_of(measure)} at {comparison.end:,.0f} labels": {m: (v.mean, v.half_width) for m, v in at_end.items()},
        "AUBC": {str(m): (row["whole"], row["whole_half_width"]) for m, row in area.iterrows()},
    }
    reference = comparison.reference
    names = [*families, *([reference] if reference else [])]
    right = labels_width(names)
    figure, both = grid(2, 2, panel=(0, 2.6), left=0.65, right=right, top=0.35, bottom=0.5, across=right + 0.6)
    looked = looks([reference or "", *families])
    drawn = []
    for axes, (title, values) in zip(both, panels.items(), strict=True):
        ends: list[End] = []
        for family, by_k in families.items():
            ks = [k for k in sorted(by_k) if by_k[k] in values]
            means, halves = (np.array([values[by_k[k]][i] for k in ks]) for i in (0, 1))
            drawn += [(title, family, *point) for point in zip(ks, means, halves, strict=True)]
            if ks:
                look = looked[family]
                axes.errorbar(ks, means, halves, color=look.color, marker=look.marker, markersize=4, capsize=3)
                ends.append(End(ks[-1], means[-1], family, look))
        if reference and reference in values:
            axes.axhline(values[reference][0], color=looked[reference].color, linewidth=1)
            ends.append(End(np.inf, values[reference][0], reference, Look(looked[reference].color, "-", "")))
        axes.set(xlabel="k, clusters", title=title)
        tried = sorted({k for by_k in families.values() for k in by_k})
        axes.xaxis.set_major_locator(FixedLocator(tried) if len(tried) <= 8 else MaxNLocator(8, integer=True))
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
        axes.grid()
        end_labels(axes, ends)
    spread = " with 95% t intervals over seeds" if len(set(comparison.rounds["seed"])) > 1 else ", one seed"
    caption = f"Means{spread}; line across: {reference}." if reference else f"Means{spread}."
    alt = f"{capital(name_of(measure))} and AUBC against the number of clusters for {', '.join(families)}."
    data = pd.DataFrame(drawn, columns=pd.Index(("panel", "strategy", "k", "mean", "half_width")))
    return Drawing("clusters", f"{capital(name_of(measure))} against k", caption, alt, figure, data)


def _of(comparison: Comparison, method: str) -> pd.DataFrame:
    return comparison.rounds.loc[comparison.rounds["method"] == method]


def _at(rows: pd.DataFrame, labels: float, measure: str) -> list[float]:
    known = rows.dropna(subset=[measure])
    runs = [run[["n_labeled", measure]].to_numpy(float).T for _, run in known.groupby("folder")]
    return [float(np.interp(labels, x, y)) for x, y in runs if x[0] <= labels <= x[-1]]
