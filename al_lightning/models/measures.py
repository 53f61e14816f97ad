"""What is measured in a round."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_recall,
    multilabel_auroc,
)

MEASURES = ("acc", "balanced_acc", "f1", "auroc", "nll", "ece")
N_BINS = 15  # of the confidence, as in Guo et al. 2017


def measure(logits: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Measure predictions, on the device that they are on.

    Args:
        logits: `float [N, K]`.
        labels: `int64 [N]`, in `range(K)`.

    Returns:
        Scalars by name: `acc`; `balanced_acc`, mean recall of the classes that occur; `f1`, mean over the classes
        that occur or are predicted; `auroc`, one-vs-rest, mean over the classes that occur, nan for a single one;
        `nll`, mean negative log likelihood in nats; `ece`, expected calibration error with 15 bins (a, b] of equal
        width, L1 (Guo et al. 2017, eq. 3). The confusion matrix `int64 [K, K]`, rows are true classes. And what a
        reliability diagram shows, `float64 [15, 3]`: images, sum of their confidences, and correct ones in every bin
        of the confidence.
    """
    n_classes = logits.shape[1]
    probabilities = logits.softmax(1)
    occurs = torch.bincount(labels, minlength=n_classes) > 0
    reliability = _reliability(probabilities, labels)
    _, confidence, correct = reliability.unbind(1)
    scalars = {
        "acc": multiclass_accuracy(logits, labels, n_classes, average="micro"),
        "balanced_acc": multiclass_recall(logits, labels, n_classes, average="none")[occurs].mean(),
        "f1": multiclass_f1_score(logits, labels, n_classes, average="macro"),
        "auroc": _auroc(probabilities, labels, occurs),
        "nll": cross_entropy(logits, labels),
        "ece": ((confidence - correct).abs().sum() / len(labels)).to(logits.dtype),
    }
    return scalars, multiclass_confusion_matrix(logits, labels, n_classes), reliability


def _auroc(probabilities: Tensor, labels: Tensor, occurs: Tensor) -> Tensor:
    n_occurring = int(occurs.sum())
    if n_occurring < 2:
        return probabilities.new_tensor(float("nan"))
    one_vs_rest = one_hot(labels, len(occurs))[:, occurs]  # of a class without images torchmetrics would complain
    return multilabel_auroc(probabilities[:, occurs], one_vs_rest, n_occurring, average="macro")


def _reliability(probabilities: Tensor, labels: Tensor) -> Tensor:
    confidence, predicted = probabilities.max(1)
    # Correctly rounded, as a confidence of exactly 3/15 is. Bins are (a, b], so 3/15 belongs into the third.
    inner = (torch.arange(1, N_BINS, dtype=torch.float64) / N_BINS).to(confidence)
    member = one_hot(torch.bucketize(confidence, inner), N_BINS).double()
    each = torch.stack([torch.ones_like(confidence), confidence, (predicted == labels).to(confidence)], 1)
    return member.T @ each.double()
