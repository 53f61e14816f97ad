"""What keeps a comparison from meaning what it seems to say."""

import numpy as np

from al_lightning.report.compare import ACCURACY, Comparison
from al_lightning.report.details import Details
from al_lightning.report.measures import MEASURES
from al_lightning.runs.learning_curve import learns_nothing
from al_lightning.words import listed

FAILED_FITS = 0.05  # share of a method's fits from which on it is cautioned against
MISLEADING = 0.1  # between accuracy and balanced accuracy
_BALANCED = MEASURES["balanced_acc"].column


def cautions(comparison: Comparison, details: Details) -> list[str]:
    """Sentences that belong beside the headline; none where all is well.

    Args:
        comparison: of one setting.
        details: what its runs have left besides their rounds.
    """
    return [*_failed_fits(comparison), *_nothing_learned(comparison, details), *_misleading(comparison, details)]


def _failed_fits(comparison: Comparison) -> list[str]:
    rows = comparison.fits.loc[comparison.fits["failed"] >= np.maximum(1, FAILED_FITS * comparison.fits["fits"])]
    if rows.empty:
        return []
    which = [f"{row['method']} {row['failed']} of {row['fits']}" for row in rows.to_dict("records")]
    return [f"Fits failed: {', '.join(which)} did not learn their labeled images. A fit that failed is not a result."]


def _nothing_learned(comparison: Comparison, details: Details) -> list[str]:
    n_classes, runs, why = len(details.classes), [], ""
    if n_classes < 2 or comparison.rounds.empty:
        return []
    have = _BALANCED in comparison.rounds and comparison.rounds[_BALANCED].notna().to_numpy().all()
    column = _BALANCED if have else ACCURACY.column
    for _, rows in comparison.rounds.groupby("folder", sort=False):
        method, seed = rows["method"].iloc[0], rows["seed"].iloc[0]
        if size := details.test_size(method):
            rows = rows.sort_values("round")
            if reason := learns_nothing(rows["n_labeled"].to_list(), rows[column].to_list(), n_classes, size):
                runs.append(f"{method} seed {seed}")
                why = why or reason
    if not runs:
        return []
    shown = [*runs[:3], f"{len(runs) - 3} more"] if len(runs) > 4 else runs
    return [f"{listed(shown)} learned nothing ({runs[0]}: {why}). What is said of them is noise."]


def _misleading(comparison: Comparison, details: Details) -> list[str]:
    if comparison.measure != ACCURACY.column or _BALANCED not in comparison.rounds or comparison.rounds.empty:
        return []
    last = comparison.rounds.sort_values("n_labeled").groupby("folder").tail(1)
    plain, balanced = last[[ACCURACY.column, _BALANCED]].to_numpy(float).mean(0)
    if not plain - balanced >= MISLEADING:
        return []
    said = f"Accuracy misleads here: in the end it is {plain:.2f}, balanced over the classes {balanced:.2f}"
    if details.confusion:
        of_class = np.sum([matrix.sum(1) for matrix in details.confusion.values()], axis=0)
        name = details.classes[int(of_class.argmax())] if len(details.classes) == len(of_class) else "one class"
        said += f"; {of_class.max() / of_class.sum():.1%} of the test images are {name}"
    return [f"{said}. Use --measure balanced_acc."]
