"""Stopping rules: what each of them sees at the end of a round, and whether that is enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_lightning.config.plan import Plan
from al_lightning.config.stop_rules import StopRule
from al_lightning.stopping.anytime import ALPHA, accuracy_lower_bound

WINDOW = 3  # rounds over which an agreement is averaged
LEAST = 4  # measured rounds that a learning curve takes


@dataclass(frozen=True)
class Situation:
    """A run at the end of a round.

    Attributes:
        rows: of `rounds.csv` so far, this round's included, with `stop/stable` where there is such a rule.
        plan: of the run.
        price: of a label.
        n_val: labels for validation.
    """

    rows: Sequence[Mapping[str, Any]]
    plan: Plan
    price: float
    n_val: int


def look(rules: Sequence[StopRule], now: Situation) -> dict[str, Any]:
    """Columns of `rounds.csv`: `stop/NAME`, what a rule sees; `stop/reason`; `stop/act`, the one that ends the run."""
    columns: dict[str, Any] = {}
    reasons, acting = [], ""
    for rule in rules:
        value, reached, said = _SEEN[rule.name](rule.value, now)
        columns[f"stop/{rule.name}"] = float(f"{value:.6g}") if isinstance(value, float) else value
        if reached:
            reasons.append(f"{rule.text}: {said}")
            acting = acting or (rule.text if rule.acts else "")
    return columns | ({"stop/reason": "; ".join(reasons), "stop/act": acting} if rules else {})


def kappa(before: Sequence[int], now: Sequence[int]) -> float:
    """Cohen's kappa of the predictions of two models for the same images; 1 where both give one and the same class."""
    a, b = np.asarray(before), np.asarray(now)
    classes = np.union1d(a, b)
    chance = sum((a == each).mean() * (b == each).mean() for each in classes)
    return 1.0 if chance == 1 else float(((a == b).mean() - chance) / (1 - chance))


def expected_gain(n_labeled: Sequence[float], accuracy: Sequence[float], more: int) -> float | None:
    """By how much a learning curve rises with so many more labels; None of less than :data:`LEAST` points.

    error(n) = a + b n^-c with a, b >= 0 by least squares, c from a grid: Figueroa et al. 2012, "Predicting sample size
    required for classification performance", equation 1.

    Args:
        n_labeled: labels by round.
        accuracy: on labels that nothing was trained on.
        more: labels.
    """
    from scipy.optimize import nnls

    if len(n_labeled) < LEAST:
        return None
    n, error = np.asarray(n_labeled, dtype=float), 1 - np.asarray(accuracy, dtype=float)
    fits = []
    for c in np.linspace(0.05, 2, 40):
        (a, b), residual = nnls(np.stack([np.ones_like(n), (n / n[0]) ** -c], 1), error)
        last, then = ((a + b * (size / n[0]) ** -c) for size in (n[-1], n[-1] + more))
        fits.append((residual, float(last - then)))
    return min(fits)[1]


Seen = tuple[float | None, bool, str]  # a value, whether it is enough, and why


def _labels(limit: float, now: Situation) -> Seen:
    paid = now.rows[-1]["n_paid"]
    then = paid + now.plan.query_size
    return paid, then > limit, f"{paid} labels paid for, another query would make it {then}"


def _money(limit: float, now: Situation) -> Seen:
    paid = now.rows[-1]["n_paid"]
    # To 12 digits: ten cents, 30 times, are no more than 3.
    spent, then = (float(f"{now.price * n:.12g}") for n in (paid, paid + now.plan.query_size))
    return spent, then > limit, f"{spent:.12g} spent, another query would make it {then:.12g}"


def _accuracy(target: float, now: Situation) -> Seen:
    if (seen := now.rows[-1].get("val/acc")) is None:
        return None, False, ""
    # The same labels are looked at every round. The shares 1/2, 1/6, 1/12, ... of the level add up to 1, however many
    # rounds there are: what a round says does not change when a run is given more of them.
    look_ = now.rows[-1]["round"] + 1
    bound = accuracy_lower_bound(round(seen * now.n_val), now.n_val, ALPHA / (look_ * (look_ + 1)))
    return bound, bound >= target, f"validation accuracy {seen:.4f}, at least {bound:.4f} with 95% confidence"


def _stable(least: float, now: Situation) -> Seen:
    """Bloodgood and Vijay-Shanker 2009, "A Method for Stopping Active Learning Based on Stabilizing Predictions"."""
    seen = [row.get("stop/stable") for row in now.rows[-WINDOW:]]
    known = [value for value in seen if value is not None]
    if len(known) < WINDOW:
        return seen[-1], False, ""
    mean = sum(known) / WINDOW
    return seen[-1], mean >= least, f"successive models agree by a kappa of {mean:.4f} in mean over {WINDOW} rounds"


def _gain(worth: float, now: Situation) -> Seen:
    measured = [row for row in now.rows if row.get("val/acc") is not None]
    labels, accuracy = ([row[name] for row in measured] for name in ("n_labeled", "val/acc"))
    if (gain := expected_gain(labels, accuracy, now.plan.query_size)) is None:
        return None, False, ""
    earned, cost = 100 * gain * worth, now.plan.query_size * now.price
    said = f"the next query is expected to add {100 * gain:.2f} points, worth {earned:g}, and costs {cost:g}"
    return gain, earned < cost, said


_SEEN = {"labels": _labels, "money": _money, "accuracy": _accuracy, "stable": _stable, "gain": _gain}
