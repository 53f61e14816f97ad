"""How accurate the model in use is, by images drawn at random, and whether that is enough. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from al_lightning.people.records import LABEL, Draw, Event
from al_lightning.stopping.anytime import ALPHA, anytime

SLOPE = 0.5  # of the accuracy by what a model claims
BLOCK = 20  # draws of a point of the curve
MORE = 100  # labels that a gain is expected of
START = 100  # labels; the confidence sequences start at none, at these, and at their doublings
_POWERS, _FLOORS, _ERRORS = np.linspace(0, 2, 41), np.array([0, 0.25, 0.5, 0.75]), np.linspace(0.0125, 0.9875, 40)
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Trials:
    """Draws that were predicted before anybody saw them, and labeled since.

    Attributes:
        n_labeled: labels that the model was fitted to, `int [J]`.
        probability: that it gave to the class it predicted, `float [J]`.
        correct: whether people said that class, `bool [J]`.
        label: the class that people said, `int [J]`.
    """

    n_labeled: npt.NDArray[np.integer]
    probability: Floats
    correct: npt.NDArray[np.bool_]
    label: npt.NDArray[np.integer]

    def where(self, mask: npt.NDArray[np.bool_]) -> "Trials":
        """Some of them; of a mask `bool [J]`."""
        return Trials(self.n_labeled[mask], self.probability[mask], self.correct[mask], self.label[mask])


@dataclass(frozen=True)
class Share:
    """A share of images on which a model is right.

    Attributes:
        accuracy: from 0 to 1.
        low: end of its 95% interval.
        high: likewise.
        n: draws that it comes from.
    """

    accuracy: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Point(Share):
    """A point of the curve, of models that were fitted to `n_labeled` labels on average."""

    n_labeled: float


@dataclass(frozen=True)
class Expected:
    """What further labels are expected to bring.

    Attributes:
        labels: how many.
        gain: in accuracy, 0.01 is a percentage point.
        low: end of its 95% credible interval.
        high: likewise.
        money: that they cost.
        minutes: that they take; None: nobody knows how long a label takes.
    """

    labels: int
    gain: float
    low: float
    high: float
    money: float
    minutes: float | None


@dataclass(frozen=True)
class Since:
    """What is known of models since so many labels, however often one looks.

    Attributes:
        start: labels.
        n: draws since.
        mean: share of them that was predicted correctly.
        low: end of the confidence sequence of the models' mean accuracy.
        high: likewise.
    """

    start: int
    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Enough:
    """Whether a stopping rule says enough, and why it does or does not: a sentence without its period."""

    said: bool
    why: str


def trials(draws: Iterable[Draw], labels: Mapping[int, int]) -> Trials:
    """The draws that count.

    Args:
        draws: in their order.
        labels: class by image, of those that have one. A draw that was skipped does not count: the accuracy is that on
            images that people can name.
    """
    counted = [draw for draw in draws if draw.predicted is not None and draw.item in labels]
    label = np.array([labels[draw.item] for draw in counted], np.int64)
    return Trials(
        np.array([draw.n_labeled for draw in counted], np.int64),
        np.array([draw.probability for draw in counted], np.float64),
        np.array([draw.predicted for draw in counted], np.int64) == label,
        label,
    )


def accuracy(known: Trials, probability: npt.ArrayLike, n_labeled: int) -> Share | None:
    """Accuracy of the model in use on the images that are unlabeled now.

    Formula: sum_j w_j c_j + (sum_i p_i / U - sum_j w_j p_j) / 2, cut to [0, 1]: the share of draws that were right, and
        half of what the model claims more of the unlabeled images than was claimed of the draws: half, because a claim
        is part truth, part mood of a fit. A draw of a model of n_j labels has w_j proportional to n_j^2, and none where
        n_j is below half of today's labels. The interval is Clopper's and Pearson's of that share of m images, 1 / m =
        sum_j w_j^2 + 1 / U: draws are worth 1 / sum_j w_j^2 (Kish), and what is estimated is the mean of the U images.
    Source: the difference estimator of survey sampling (Cassel, Särndal and Wretman 1976, "Some results on generalized
        difference estimation and generalized regression estimation for finite populations"), with a slope as in
        prediction-powered inference (Angelopoulos, Duchi and Zrnic 2023, "PPI++"); Kish 1965, "Survey Sampling";
        Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
        estimated from survey data", for Clopper and Pearson 1934 at an effective size.
    Assumes: that accuracy and claims change little while labels double; benchmarks/labeling.py measures the bias.

    Args:
        known: by :func:`trials`.
        probability: of the model in use, of the class it predicts, for every unlabeled image, `[U]`.
        n_labeled: labels that it was fitted to.

    Returns:
        None where no image is left, or no draw counts. Of a few draws the interval is wide.
    """
    claimed = np.asarray(probability, dtype=float)
    now, weights = _recent(known, n_labeled)
    if not len(claimed) or not len(weights):
        return None
    estimate = weights @ now.correct + SLOPE * (claimed.mean() - weights @ now.probability)
    return _share(estimate, float(1 / (weights @ weights + 1 / len(claimed))), len(weights))


def per_class(known: Trials, n_labeled: int) -> dict[int, Share]:
    """By the class that people said: the share that the models of these draws knew (recall), of the same draws.

    Args:
        known: by :func:`trials`.
        n_labeled: labels of the model in use.
    """
    now, weights = _recent(known, n_labeled)
    found = {}
    for label in np.unique(now.label).tolist():
        mask = now.label == label
        own = weights[mask] / weights[mask].sum()
        found[label] = _share(own @ now.correct[mask], 1 / (own @ own), len(own))
    return found


def curve(known: Trials) -> list[Point]:
    """Accuracy of earlier models on what was unlabeled then: a point for each :data:`BLOCK` draws, in their order."""
    points = []
    for start in range(0, len(known.correct) - BLOCK + 1, BLOCK):
        block = slice(start, start + BLOCK)
        share = _share(known.correct[block].mean(), BLOCK, BLOCK)
        points.append(Point(share.accuracy, share.low, share.high, BLOCK, float(known.n_labeled[block].mean())))
    return points


def expected(known: Trials, n_labeled: int, *, price: float, seconds: float | None) -> Expected | None:
    """What the next :data:`MORE` labels are expected to bring.

    error(n) = e (f + (1 - f) (n / n_labeled)^-c): Figueroa et al. 2012, "Predicting sample size required for
    classification performance". All of e, f and c on a grid are equally likely before the draws of :func:`accuracy`,
    each of which is right or wrong by that chance; the gain is its mean afterwards, between its quantiles. Labels of
    another kind than those since half of today's (from the strategy to the grid, say) may bring something else.

    Args:
        known: by :func:`trials`.
        n_labeled: labels of the model in use.
        price: of a label.
        seconds: that a label takes, by :func:`seconds_a_label`.

    Returns:
        None where no draw counts.
    """
    now, _ = _recent(known, n_labeled)
    if not len(now.correct):
        return None
    error, floor, power = (each.ravel()[:, None] for each in np.meshgrid(_ERRORS, _FLOORS, _POWERS))
    sizes, which = np.unique(now.n_labeled, return_inverse=True)
    n, right = np.bincount(which), np.bincount(which, now.correct)
    chance = np.minimum(error * (floor + (1 - floor) * (sizes / n_labeled) ** -power), 1 - 1e-6)
    likelihood = np.log(chance) @ (n - right) + np.log1p(-chance) @ right
    gain = (error * (1 - floor) * (1 - (1 + MORE / n_labeled) ** -power))[:, 0]
    order = np.argsort(gain)
    weight = np.exp(likelihood - likelihood.max())[order]
    share = weight.cumsum() / weight.sum()
    low, high = gain[order][np.searchsorted(share, [ALPHA / 2, 1 - ALPHA / 2])]
    mean = float(weight @ gain[order] / weight.sum())
    minutes = None if seconds is None else MORE * seconds / 60
    return Expected(MORE, mean, float(low), float(high), MORE * price, minutes)


def seconds_a_label(events: Iterable[Event]) -> float | None:
    """Median over labels of the seconds that one took, those of an action divided among its labels; None: no label."""
    actions: dict[str, list[float]] = {}
    for event in events:
        if event.kind == LABEL and event.seconds is not None:
            actions.setdefault(event.action, []).append(event.seconds)
    each = [max(seconds) / len(seconds) for seconds in actions.values() for _ in seconds]
    return float(np.median(each)) if each else None


def sequences(known: Trials) -> list[Since]:
    """What the draws since several starts say of the mean accuracy of the models that predicted them.

    Claim: with probability 0.95, every one of these intervals, after every draw, has the mean accuracy of the models
    that predicted the draws since its start, each on what was unlabeled then. The k-th start, from 0, has 0.05 / ((k +
    1) (k + 2)) of the error, all together 0.05; it is a number of labels, known before a draw is made. Later starts
    are there because models of few labels would weigh on the mean for ever.
    """
    found: list[Since] = []
    start = k = 0
    while len(since := known.correct[known.n_labeled >= start]):
        (last,) = anytime([2.0 * since - 1], ALPHA / ((k + 1) * (k + 2)))
        found.append(Since(start, len(since), float(since.mean()), (1 + last.lower) / 2, (1 + last.upper) / 2))
        start, k = START * 2**k, k + 1
    return found


def enough(known: Trials, gain: Expected | None, *, target: float | None, worth: float | None) -> Enough | None:
    """Whether to stop: a target is reached, or further labels cost more than they are expected to be worth.

    Args:
        known: by :func:`trials`.
        gain: by :func:`expected`.
        target: accuracy to be reached: one of :func:`sequences` is above it, hence it was exceeded on average since
            then, and is now unless models have become worse or images harder.
        worth: of a percentage point of accuracy, in the currency of the price.

    Returns:
        None where there is no rule.
    """
    verdicts = []
    if target is not None:
        verdicts.append(_reached(sequences(known), target))
    if worth is not None and gain is not None:
        earned = 100 * gain.gain * worth
        why = (
            f"the next {gain.labels} labels are expected to add {100 * gain.gain:.1f} points of accuracy "
            f"({100 * gain.low:.1f} to {100 * gain.high:.1f}), worth {earned:.2f}, and cost {gain.money:.2f}"
        )
        verdicts.append(Enough(earned < gain.money, why))
    return next((each for each in verdicts if each.said), verdicts[0] if verdicts else None)


def _reached(known: Sequence[Since], target: float) -> Enough:
    if not known:
        return Enough(
            False, f"no image drawn at random has been answered yet, to hold against a target of {target:.1%}"
        )
    best = max(known, key=lambda each: each.low)
    since = f"since {best.start} labels" if best.start else "so far"
    why = f"accuracy is {best.mean:.1%} on average {since}, at least {best.low:.1%} with 95% confidence however often"
    return Enough(best.low >= target, f"{why} one looks; the target is {target:.1%}")


def _recent(known: Trials, n_labeled: int) -> tuple[Trials, Floats]:
    """The draws of models with at least half of so many labels, and their weights, which sum to 1."""
    now = known.where(2 * known.n_labeled >= n_labeled)
    weights = now.n_labeled.astype(float) ** 2
    return now, weights / weights.sum()


def _share(share: float, size: float, n: int) -> Share:
    from statsmodels.stats.proportion import proportion_confint  # takes a second, which a start has not

    share = float(np.clip(share, 0, 1))
    low, high = np.asarray(proportion_confint(share * size, size, ALPHA, method="beta"), dtype=float).tolist()
    return Share(share, low, high, n)
