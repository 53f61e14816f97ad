"""Labels that are likely wrong, by what heads say that were fitted without them."""

import numpy as np
import torch

from al_lightning.live.refit import Learned
from al_lightning.models.convex import ConvexClassifier, out_of_sample
from al_lightning.streams import Stream, generator

LEAST = 20  # labels: with fewer nothing can be said


def doubtful(learned: Learned, seed: int) -> list[tuple[int, int, int, float]]:
    """Labels that confident learning takes for errors.

    Source: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", as
    cleanlab has it, on out-of-sample probabilities of five folds.

    Args:
        learned: of a refit.
        seed: of the folds.

    Returns:
        Position in the pool, class, suggested class, and how likely the label is right, from 0 to 1; the least first.
    """
    model, positions = learned.model, learned.pool.trained_on
    if not isinstance(model, ConvexClassifier) or model.weight_decay is None or len(positions) < LEAST:
        return []
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels = learned.pool.labels[positions]
    present = labels.unique()
    if len(present) < 2:
        return []
    compact = torch.searchsorted(present, labels)
    features = model.normalized(learned.pool.images[positions])
    rng = generator(seed, Stream.FOLDS, learned.pool.round)
    predicted = (
        out_of_sample(features, compact, len(present), model.weight_decay, rng).softmax(1).double().cpu().numpy()
    )
    given = compact.numpy()
    is_issue = find_label_issues(given, predicted, n_jobs=1)
    scores = get_label_quality_scores(given, predicted)
    order = np.flatnonzero(is_issue)[np.argsort(scores[is_issue], kind="stable")]
    suggested = present[torch.from_numpy(predicted.argmax(1))]
    return [(int(positions[at]), int(labels[at]), int(suggested[at]), float(scores[at])) for at in order]
