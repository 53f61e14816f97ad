"""The measures of the test part that a comparison can go by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A column of `rounds.csv` that says how good a model is.

    Attributes:
        column: its name.
        title: what people call it.
        lower_is_better: whether less of it is better; it then begins at 0 and has no end, else it is from 0 to 1.
        in_percent: whether people say it in percent.
    """

    column: str
    title: str
    lower_is_better: bool = False
    in_percent: bool = False

    def text(self, value: float) -> str:
        """A value as people say it: an accuracy of 0.995 is 99.5%."""
        return f"{100 * value:.6g}%" if self.in_percent else f"{value:.6g}"


MEASURES = {
    "acc": Measure("test/acc", "accuracy", in_percent=True),
    "balanced_acc": Measure("test/balanced_acc", "balanced accuracy", in_percent=True),
    "f1": Measure("test/f1", "F1"),
    "auroc": Measure("test/auroc", "AUROC"),
    "nll": Measure("test/nll", "negative log likelihood", lower_is_better=True),
}
BY_COLUMN = {measure.column: measure for measure in MEASURES.values()}
