"""The verdict on a setting as a Markdown table, for a W&B report."""

import math

import pandas as pd

from al_lightning.report.compare import Comparison
from al_lightning.report.tables import markdown


def verdict_table(comparison: Comparison) -> str:
    """A row a method: area under the budget curve, labels to each target and those saved, verdict."""
    shares = [f"{100 * target:g}%" for target in comparison.targets]
    head = ["method", "seeds", "AUBC", *(f"labels to {share}" for share in shares)]
    head += [*(f"saved at {share}" for share in shares), "verdict"]
    areas = comparison.aubc.set_index("method").to_dict("index")
    reached, saved = (
        dict(zip(zip(table["method"], table["target"], strict=True), table["text"], strict=True))
        for table in (comparison.labels_to, comparison.saved)
    )
    verdicts = dict(zip(comparison.verdicts["method"], comparison.verdicts["verdict"], strict=True))
    rows = [
        [
            method,
            int(areas[method]["seeds"]),
            _interval(areas[method]["whole"], areas[method]["whole_half_width"]),
            *(reached[method, target] for target in comparison.targets),
            *(saved.get((method, target), "") for target in comparison.targets),
            verdicts.get(method, "reference" if method == comparison.reference else ""),
        ]
        for method in comparison.methods
    ]
    return markdown(pd.DataFrame(rows, columns=pd.Index(head)))


def _interval(mean: float, half_width: float) -> str:
    if math.isnan(mean):
        return "–"  # none of its runs took part; the notes say why
    return f"{mean:.4f}" if math.isnan(half_width) else f"{mean:.4f} ± {half_width:.4f}"
