"""What is measured in a round."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_recall,
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
        `nll`, mean negative log likelihood in nats; `ece`, expected calibration error with 15 equal bins, L1 (Guo et
        al. 2017, eq. 3). The confusion matrix `int64 [K, K]`, rows are true classes. And what a reliability diagram
        shows, `float64 [15, 3]`: images, sum of their confidences, and correct ones in every bin of the confidence.
    """
    n_classes = logits.shape[1]
    # A confidence that rounds to 1 belongs into the last bin; torchmetrics would open another one for it.
    probabilities = logits.softmax(1).clamp(max=1 - torch.finfo(logits.dtype).eps)
    occurs = torch.bincount(labels, minlength=n_classes) > 0
    scalars = {
        "acc": multiclass_accuracy(logits, labels, n_classes, average="micro"),
        "balanced_acc": multiclass_recall(logits, labels, n_classes, average="none")[occurs].mean(),
        "f1": multiclass_f1_score(logits, labels, n_classes, average="macro"),
        "auroc": multiclass_auroc(logits, labels, n_classes, average="none")[occurs].mean()
        if occurs.sum() > 1
        else logits.new_tensor(float("nan")),
        "nll": cross_entropy(logits, labels),
        "ece": multiclass_calibration_error(probabilities, labels, n_classes, n_bins=N_BINS, norm="l1"),
    }
    return scalars, multiclass_confusion_matrix(logits, labels, n_classes), _reliability(probabilities, labels)


def _reliability(probabilities: Tensor, labels: Tensor) -> Tensor:
    confidence, predicted = probabilities.max(1)
    edges = torch.linspace(0, 1, N_BINS + 1, dtype=confidence.dtype, device=confidence.device)
    member = one_hot(torch.bucketize(confidence, edges[1:-1], right=True), N_BINS).double()
    each = torch.stack([torch.ones_like(confidence), confidence, (predicted == labels).to(confidence)], 1)
    return member.T @ each.double()
