"""The verdict on a setting as Markdown, for a W&B report."""

import math
import re

from al_lightning.report.compare import Comparison


def markdown(comparison: Comparison) -> str:
    """A row a method: area under the budget curve, labels to each target and those saved, verdict; then sentences."""
    if not comparison.methods:
        return "These runs trained once and never queried: there are no strategies to compare."
    shares = [f"{100 * target:g}%" for target in comparison.targets]
    head = ["method", "seeds", "AUBC", *(f"labels to {share}" for share in shares)]
    head += [*(f"saved at {share}" for share in shares), "verdict"]
    areas = comparison.aubc.set_index("method").to_dict("index")
    reached, saved = (
        {
            (method, target): text
            for method, target, text in zip(table["method"], table["target"], table["text"], strict=True)
        }
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
    table = "\n".join(f"| {' | '.join(map(_text, row))} |" for row in [head, ["---"] * len(head), *rows])
    said = [*comparison.verdicts["sentence"], *comparison.notes]
    return "\n\n".join([table, "\n".join(f"- {_text(sentence)}" for sentence in said)]).strip()


def _interval(mean: float, half_width: float) -> str:
    if math.isnan(mean):
        return "–"  # none of its runs took part; the notes say why
    return f"{mean:.4f}" if math.isnan(half_width) else f"{mean:.4f} ± {half_width:.4f}"


def _text(value: object) -> str:
    """Text of one line in which nothing is Markdown or HTML."""
    text = " ".join(str(value).split())
    return text if set(text) == {"-"} else re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", text)
