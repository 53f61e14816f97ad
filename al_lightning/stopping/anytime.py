"""Verdicts that hold however often they are looked at. Pure functions of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

ALPHA = 0.05
# Equal shares of the mixture, and as many of the opposite sign: the best bet is about the mean difference divided by
# the share of images on which the two disagree. Chosen before any data is seen, as the proof requires.
BETS = (0.05, 0.1, 0.2, 0.4, 0.8)
_HALVINGS = 40  # of [-1, 1]: the bounds are exact to 2e-12, and err to the outside


@dataclass(frozen=True)
class Anytime:
    """What is known at the end of a round.

    Attributes:
        n: images so far.
        mean: of their differences; nan where there are none.
        lower: end of the confidence sequence, -1 where nothing is known.
        upper: end of the confidence sequence, 1 where nothing is known.
    """

    n: int
    mean: float
    lower: float
    upper: float

    @property
    def verdict(self) -> Literal["better", "worse", "undecided"]:
        """On the running average so far; a later one may differ, where the true difference changes."""
        return "better" if self.lower > 0 else "worse" if self.upper < 0 else "undecided"


def anytime(rounds: Sequence[npt.ArrayLike], alpha: float = ALPHA) -> list[Anytime]:
    """Confidence sequence of a mean difference that may change from image to image, at the end of every round.

    Claim: with probability at least 1 - alpha, m_t lies within the bounds after every t at once: at most a share alpha
    of all sequences ever says better while m_t <= 0, or worse while m_t >= 0. m_t = (mu_1 + ... + mu_t) / t, and mu_i
    is what x_i is expected to be, given all that was known just before image i was drawn: heads, pool, earlier images.
    No model, no equal variances, no constant mu_i, and no number of rounds fixed in advance is assumed.

    Of two heads, x_i = (chosen head is right) - (random head is right). Both have to be fixed before image i is drawn,
    and it has to be drawn uniformly from the unlabeled images. Drawing without replacement is covered: mu_i is the mean
    over the pool that is left, without the chosen images and the random ones before i. So "better" says that heads
    fitted on chosen labels were right more often than those on equally many random ones, on average over the rounds so
    far and over the images left in them. It is no claim on other data, on the images that were chosen, on a single
    round, on later rounds, or on the model that is fitted to all labels.

    Formula: the bounds are the ends of the interval of all m in [-1, 1] with
        mean over b of  prod_i (1 + b x_i) / (1 + b m)^t  <  1 / alpha,   b in BETS and -BETS.
        For a constant b, prod_i (1 + b x_i) / (1 + b mu_i) is a nonnegative martingale that begins at 1, and so is its
        mean over b: by Ville's inequality it ever reaches 1 / alpha with probability alpha at most. As log(1 + b mu) is
        concave in mu, prod_i (1 + b mu_i) <= (1 + b m_t)^t: the left side above, at m = m_t, is never larger than
        that mean. For x in {-1, 0, 1} and m = 0 this is a sign test on the images on which the heads disagree.
    Source: Ville 1939 for the inequality; Robbins 1970, "Statistical methods related to the law of the iterated
        logarithm", for the mixture; Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
        betting", for the bets, there with a constant mean; Choe and Ramdas 2024, "Comparing sequential forecasters",
        for the running average as what is compared, there with an empirical Bernstein sequence (Howard et al. 2021,
        "Time-uniform, nonparametric, nonasymptotic confidence sequences", theorem 4), which is wider here. The step to
        a changing mean is the concavity above; compare Mineiro 2022, "A lower confidence sequence for the changing mean
        of non-negative right heavy-tailed observations with bounded mean".

    Args:
        rounds: the differences of a round's images, in [-1, 1], a vector a round; it may be empty.
        alpha: level, above 0 and below 1.

    Returns:
        As many as there are rounds. Neither the order of the images nor their division into rounds matters to what is
        known after them.

    Raises:
        ValueError: a difference is nan or outside of [-1, 1].
    """
    vectors = [np.asarray(each, dtype=float) for each in rounds]
    if not vectors:
        return []
    values = np.concatenate(vectors)
    if not (np.abs(values) <= 1).all():
        raise ValueError("Differences lie between -1 and 1.")
    ends = np.cumsum([len(each) for each in vectors])
    bets = np.concatenate([BETS, np.negative(BETS)])
    sums, log_wealth = (
        np.concatenate([np.zeros((1, each.shape[1])), each.cumsum(0)])[ends]
        for each in (values[:, None], np.log1p(values[:, None] * bets))
    )
    mean = sums[:, 0] / np.maximum(ends, 1)
    # The mean is always inside, by concavity once more, and the inside is an interval, the left side being convex in m.
    outer, inner = np.stack([-np.ones_like(mean), np.ones_like(mean)]), np.stack([mean, mean])
    threshold = np.log(len(bets) / alpha)
    for _ in range(_HALVINGS):
        middle = (outer + inner) / 2
        evidence = np.logaddexp.reduce(log_wealth - ends[:, None] * np.log1p(middle[..., None] * bets), axis=-1)
        is_out = evidence >= threshold
        outer, inner = np.where(is_out, middle, outer), np.where(is_out, inner, middle)
    table = zip(ends, np.where(ends > 0, mean, np.nan), *outer, strict=True)
    return [Anytime(int(n), float(mean), float(lower), float(upper)) for n, mean, lower, upper in table]


def accuracy_lower_bound(correct: int, n: int, alpha: float = ALPHA) -> float:
    """One-sided lower bound of an accuracy, exact at any n (Clopper and Pearson 1934); 0 without labels.

    It covers one model, one look, and labels drawn uniformly from the images of interest that neither trained the model
    nor chose anything of it: then the true accuracy is below the bound with probability alpha at most. The same labels
    looked at for T models do not become new ones: the chance that some bound is too high grows with T. `alpha / T`
    covers all T looks, whatever their dependence, hence also a stop at the first that is high enough; so do other
    levels that add up to alpha. It does not cover labels that also set when training ends, nor images of another kind.

    Args:
        correct: labels that the model predicts, from 0 to n.
        n: labels.
        alpha: level of this look.
    """
    return float(stats.beta.ppf(alpha, correct, n - correct + 1)) if correct else 0.0
