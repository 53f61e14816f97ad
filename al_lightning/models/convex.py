"""Logistic regression on an embedding, fitted to convergence by L-BFGS."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from al_lightning.models.classifier import Classifier
from al_lightning.ranks import dealt

GRID = tuple(10 ** (exponent / 2) for exponent in range(2, -11, -1))  # weight decays, the strongest first: 10 to 1e-5
FOLDS = 5
ROUGH = 1e-3  # tolerance of the fits that only choose the weight decay
SAMPLED_LR, SAMPLED_BATCH = 0.2, 64  # of fits under dropout, the rate times the root of D: docs/results.md


@dataclass(frozen=True)
class Lbfgs:
    """How the head is fitted: `optimizer=lbfgs`.

    Attributes:
        weight_decay: l, where half of l times the squares of all weights is added to the mean cross entropy; the biases
            are free. `auto`: the one of :data:`GRID` with the lowest cross entropy in cross-validation on the labeled
            images, chosen anew when their number has doubled.
        max_iterations: of L-BFGS at most.
        tolerance: the fit has converged when no derivative is larger.
    """

    weight_decay: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    max_iterations: Annotated[int, Field(ge=1)] = 1000
    tolerance: Annotated[float, Field(gt=0)] = 1e-5


class ConvexClassifier(Classifier):
    """Fits its head, without dropout, in one step of Lightning's that has all labeled images.

    Dropout acts in samples only, which stand for the posterior of a model that was trained under it (Gal and Ghahramani
    2016): they are taken from a second head, fitted under dropout when the first sample is asked for.

    Args:
        rng: draws the folds that choose the weight decay.
        solver: how it is fitted.
        weight_decay: that was chosen before; None: it is to be chosen.
        resampled: whether it is fitted to as many labeled images drawn with replacement.
        others: as :class:`Classifier`.

    Attributes:
        weight_decay: that it was fitted with.
        iterations: that it took.
    """

    def __init__(
        self,
        *args: Any,
        rng: np.random.Generator,
        solver: Lbfgs,
        weight_decay: float | None = None,
        resampled: bool = False,
        **others: Any,
    ) -> None:
        super().__init__(*args, **others)
        self.automatic_optimization = False
        self.weight_decay, self.iterations = weight_decay, 0
        self._rng, self._solver, self._resampled = rng, solver, resampled
        self._fitted_to: tuple[Tensor, Tensor] | None = None

    @cached_property
    def _under_dropout(self) -> nn.Linear:
        assert self._fitted_to is not None
        return fit_under_dropout(*self._fitted_to, self.head.out_features, self.dropout.p, self._rng)

    @property
    def sampled(self) -> list[tuple[float, nn.Linear]]:
        """The dropout and the second head; of a model that has not been fitted, the first one."""
        return self.dropped if self._fitted_to is None else [(self.dropout.p, self._under_dropout)]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:  # type: ignore[override]
        """The whole fit."""
        images, labels = batch
        if self._resampled:
            drawn = torch.from_numpy(self._rng.integers(len(labels), size=len(labels))).to(labels.device)
            images, labels = images[drawn], labels[drawn]
        features = self.backbone(self.normalized(images)).double()
        n_classes = self.head.out_features
        if self.weight_decay is None:
            auto = self._solver.weight_decay == "auto"
            self.weight_decay = (
                choose_weight_decay(features, labels, n_classes, self._rng, self._each)
                if auto
                else float(self._solver.weight_decay)
            )
        fitted = fit(
            features, labels, n_classes, self.weight_decay, self._solver.tolerance, self._solver.max_iterations
        )
        self.iterations, self.converged = fitted.iterations, fitted.converged
        self._fitted_to = features.float(), labels
        with torch.no_grad():
            self.head.weight.copy_(fitted.weight)
            self.head.bias.copy_(fitted.bias)
            self._loss += cross_entropy(self.head(features.float()), labels)

    @property
    def _each(self) -> Callable[[Callable[[int], np.ndarray], Sequence[int]], Iterable[np.ndarray]]:
        """How the folds are gone through: ranks share them; the last fit is short, and each makes it itself."""
        return dealt if self.trainer.world_size > 1 else map

    def configure_optimizers(self) -> None:
        """None: L-BFGS is no optimizer of single batches."""

    def fit_columns(self) -> dict[str, Any]:
        """Further columns of `rounds.csv`."""
        return {"fit/weight_decay": self.weight_decay, "fit/steps": self.iterations}


@dataclass(frozen=True)
class Fitted:
    """A linear layer.

    Attributes:
        weight: `[K, D]`.
        bias: `[K]`.
        iterations: that it took.
        converged: whether no derivative is larger than the tolerance.
    """

    weight: Tensor
    bias: Tensor
    iterations: int
    converged: bool


def fit(
    features: Tensor,
    labels: Tensor,
    n_classes: int,
    weight_decay: float,
    tolerance: float,
    max_iterations: int,
    start: Fitted | None = None,
) -> Fitted:
    """Minimize mean cross entropy + weight_decay / 2 x the sum of squared weights.

    That is scikit-learn's `LogisticRegression(C=1 / (n * weight_decay))`, and with twice that C for two classes.

    Args:
        features: `float [n, D]`.
        labels: `int64 [n]`, in `range(K)`.
        n_classes: K.
        weight_decay: at least 0.
        tolerance: on the largest derivative.
        max_iterations: at most.
        start: where to begin; None: at 0.
    """
    n, d = features.shape
    # The weights are combinations of the rows: of fewer rows than features, coordinates in their span are enough.
    basis = torch.linalg.qr(features.T).Q if n < d else None
    rows = features if basis is None else features @ basis
    shape = (n_classes, rows.shape[1])
    weight, bias = rows.new_zeros(shape), rows.new_zeros(n_classes)
    if start is not None:
        weight, bias = start.weight.to(rows) if basis is None else start.weight.to(rows) @ basis, start.bias.to(rows)
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=max_iterations,
        max_eval=2 * max_iterations,
        tolerance_grad=tolerance,
        tolerance_change=0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(rows @ weight.T + bias, labels) + weight_decay / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
        loss()
    assert weight.grad is not None and bias.grad is not None
    largest = max(float(weight.grad.abs().max()), float(bias.grad.abs().max()))
    found = weight.detach() if basis is None else weight.detach() @ basis.T
    return Fitted(found, bias.detach(), optimizer.state[weight]["n_iter"], largest <= tolerance)


def fit_under_dropout(
    features: Tensor, labels: Tensor, n_classes: int, dropout: float, rng: np.random.Generator
) -> nn.Linear:
    """Minimize cross entropy under dropout of the features, by Adam: 50 epochs, and 150 steps at least.

    Args:
        features: `float32 [n, D]`.
        labels: `int64 [n]`.
        n_classes: K.
        dropout: probability of dropping a feature.
        rng: of the weights at the start, the batches, and what is dropped.
    """
    generator = torch.Generator(features.device).manual_seed(int(rng.integers(2**63)))
    n, d = features.shape
    n_batches = -(-n // SAMPLED_BATCH)
    n_epochs = max(50, -(-150 // n_batches))
    with torch.inference_mode(False), torch.enable_grad():
        head = nn.Linear(d, n_classes, device="meta").to_empty(device=features.device)
        for each in head.parameters():
            nn.init.uniform_(each, -(d**-0.5), d**-0.5, generator=generator)
        optimizer = torch.optim.Adam(head.parameters(), lr=SAMPLED_LR * d**-0.5, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs * n_batches)
        for _ in range(n_epochs):
            for batch in torch.randperm(n, generator=generator, device=features.device).chunk(n_batches):
                kept = torch.rand(len(batch), d, generator=generator, device=features.device) >= dropout
                optimizer.zero_grad()
                cross_entropy(head(features[batch] * kept / (1 - dropout)), labels[batch]).backward()
                optimizer.step()
                schedule.step()
    return head


def choose_weight_decay(
    features: Tensor,
    labels: Tensor,
    n_classes: int,
    rng: np.random.Generator,
    each: Callable[[Callable[[int], np.ndarray], Sequence[int]], Iterable[np.ndarray]] = map,
) -> float:
    """The weight decay of :data:`GRID` with the lowest cross entropy on images that were held out.

    Args:
        features: `float [n, D]`.
        labels: `int64 [n]`.
        n_classes: K.
        rng: draws the folds, in which the classes have their shares.
        each: goes through the folds.
    """
    rows, fold = features.float(), _folds(labels, rng)

    def losses(number: int) -> np.ndarray:
        train, held_out, start, found = fold != number, fold == number, None, []
        for weight_decay in GRID:
            start = fit(rows[train], labels[train], n_classes, weight_decay, ROUGH, 200, start)
            logits = rows[held_out] @ start.weight.T + start.bias
            found.append(float(cross_entropy(logits, labels[held_out], reduction="sum")))
        return np.array(found)

    return GRID[int(sum(each(losses, range(int(fold.max()) + 1)), np.zeros(len(GRID))).argmin())]


def out_of_sample(
    features: Tensor, labels: Tensor, n_classes: int, weight_decay: float, rng: np.random.Generator
) -> Tensor:
    """Logarithms of the class probabilities of every image by a head that was fitted without it, `float32 [n, K]`.

    Args:
        features: `float [n, D]`.
        labels: `int64 [n]`.
        n_classes: K.
        weight_decay: of the fits.
        rng: draws the folds, as in :func:`choose_weight_decay`.
    """
    rows, fold = features.float(), _folds(labels, rng)
    found = rows.new_empty(len(rows), n_classes)
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        head = fit(rows[~held_out], labels[~held_out], n_classes, weight_decay, ROUGH, 200)
        found[held_out] = (rows[held_out] @ head.weight.T + head.bias).log_softmax(1)
    return found


def _folds(labels: Tensor, rng: np.random.Generator) -> Tensor:
    """The fold of every image, `int64 [n]`: the classes have their shares in each."""
    order = torch.from_numpy(rng.permutation(len(labels))).to(labels.device)
    order = order[labels[order].argsort(stable=True)]
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(order), device=order.device) % min(FOLDS, len(labels))
    return fold
