"""The verdict on a setting as Markdown, for a W&B report."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_lightning.report.compare import Comparison


def markdown(comparison: "Comparison") -> str:
    """A row a method: area under the budget curve, labels to each target, verdict; then a sentence a method."""
    targets = list(comparison.targets)
    head = ["method", "seeds", "AUBC", *(f"labels to {100 * target:g}%" for target in targets), "verdict"]
    verdicts = comparison.verdicts.set_index("method")
    areas = comparison.aubc.set_index("method")
    reached = comparison.labels_to.set_index(["method", "target"])["text"]
    rows = []
    for method in comparison.methods:
        area = areas.loc[method] if method in areas.index else None
        rows.append(
            [
                method,
                "0" if area is None else f"{area['seeds']}",
                "no run took part" if area is None else _interval(area["whole"], area["whole_half_width"]),
                *(reached.get((method, target), "") for target in targets),
                verdicts["verdict"].get(method, "reference" if method == comparison.reference else ""),
            ]
        )
    table = "\n".join(f"| {' | '.join(map(_text, row))} |" for row in [head, ["---"] * len(head), *rows])
    said = [*comparison.verdicts["sentence"], *comparison.notes]
    return "\n\n".join([table, "\n".join(f"- {_text(sentence)}" for sentence in said)]).strip()


def _interval(mean: float, half_width: float) -> str:
    return f"{mean:.4f}" if half_width != half_width else f"{mean:.4f} ± {half_width:.4f}"


def _text(value: object) -> str:
    """Text of one line in which nothing is Markdown or HTML."""
    text = " ".join(str(value).split())
    return text if set(text) == {"-"} else re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", text)
