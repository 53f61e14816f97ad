"""How often the anytime verdict is wrong, and after how many control images it decides. By simulation.

Every difference is 1, 0 or -1: both heads are right or both wrong, or one of them. The verdict is looked at after every
round of 20 control images. Then, the lower bound of an accuracy, looked at in every round on the same labels.
Rewrites its section of RESULTS.md.

    python benchmarks/anytime.py
"""

import argparse
import contextlib
import io

import numpy as np
import numpy.typing as npt
from results import write_section
from scipy import stats

from al_lightning.stopping.anytime import ALPHA, accuracy_lower_bound, anytime

IMAGES = 20  # a round
NULL_ROUNDS, ROUNDS = 50, 100
POOL, QUERY = 6000, 100  # of which IMAGES are random, and the others leave the pool too
LABELS, TARGET = 500, 0.9  # of the validation set, and where the accuracy stays just below
Floats = npt.NDArray[np.floating]


def simulated(agree: float, means: Floats, runs: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Differences `[runs, images]` of heads that agree so often, and what each is expected to be."""
    u = rng.random((runs, len(means)))
    better = (1 - agree + means) / 2
    return (u < better) * 1.0 - ((u >= better) & (u < 1 - agree)), np.broadcast_to(means, u.shape)


def from_a_pool(agree: float, runs: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The same, drawn without replacement from a pool in which better and worse are equally many."""
    pool = np.zeros(POOL)
    pool[: round(POOL * (1 - agree))] = np.resize([1.0, -1.0], round(POOL * (1 - agree)))
    drawn = rng.permuted(np.tile(pool, (runs, 1)), axis=1)  # chosen images are as good as random ones here
    left = (drawn.sum(1, keepdims=True) - drawn.cumsum(1) + drawn) / np.arange(POOL, 0, -1)
    control = np.arange(POOL) % QUERY >= QUERY - IMAGES
    control[NULL_ROUNDS * QUERY :] = False
    return drawn[:, control], left[:, control]


def judged(values: Floats, means: Floats) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The verdicts `[runs, rounds]` as 1, 0 or -1; which are false; and where the bounds miss the running average."""
    found = [anytime(list(run.reshape(-1, IMAGES))) for run in values]
    lower, upper = (np.array([[getattr(each, end) for each in run] for run in found]) for end in ("lower", "upper"))
    said = np.array([[{"better": 1.0, "undecided": 0.0, "worse": -1.0}[each.verdict] for each in run] for run in found])
    average = means.cumsum(1)[:, IMAGES - 1 :: IMAGES] / (IMAGES * np.arange(1, said.shape[1] + 1))
    average[np.abs(average) < 1e-12] = 0  # rounding of sums
    return said, (said != 0) & (said * average <= 0), (average < lower) | (average > upper)


def false_verdicts(runs: int, rng: np.random.Generator) -> None:
    print(
        f"{runs:,} sequences a row, {NULL_ROUNDS} rounds of {IMAGES}, level {ALPHA:.0%}. False: against the sign of the"
    )
    print("running average, or any verdict where it is 0.\n")
    print("| true difference | heads agree | ever a false verdict | ever any verdict | bounds ever miss |")
    print("|---|---:|---:|---:|---:|")
    n = NULL_ROUNDS * IMAGES
    alternating = np.repeat(np.resize([-0.1, 0.1], NULL_ROUNDS), IMAGES)
    rising = np.repeat(np.linspace(-0.05, 0.05, NULL_ROUNDS), IMAGES)
    settings = [
        ("0", 0.7, simulated(0.7, np.zeros(n), runs, rng)),
        ("0", 0.9, simulated(0.9, np.zeros(n), runs, rng)),
        ("-10 and +10 points in turn", 0.8, simulated(0.8, alternating, runs, rng)),
        ("rises from -5 to +5 points", 0.8, simulated(0.8, rising, runs, rng)),
        (f"0 in a pool of {POOL:,} that runs out", 0.8, from_a_pool(0.8, runs, rng)),
    ]
    for name, agree, (values, means) in settings:
        said, false, missed = judged(values, means)
        shares = [f"{each.any(1).mean():.1%}" for each in (false, said != 0, missed)]
        print(f"| {name} | {agree:.0%} | {' | '.join(shares)} |", flush=True)


def decisions(runs: int, rng: np.random.Generator) -> None:
    print(
        f"\n{runs:,} sequences a row, up to {ROUNDS} rounds of {IMAGES}. Decided: the first verdict has been given.\n"
    )
    print(
        "| true difference | heads agree | decided by 500 images | by 1,000 | by 2,000 | images, median | ever worse |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for agree in (0.7, 0.9):
        for points in (1, 3, 5):
            said, _, _ = judged(*simulated(agree, np.full(ROUNDS * IMAGES, points / 100), runs, rng))
            is_said = said != 0
            shares = [f"{is_said[:, : n // IMAGES].any(1).mean():.0%}" for n in (500, 1000, 2000)]
            first = np.where(is_said.any(1), (is_said.argmax(1) + 1) * IMAGES, np.inf)
            median = np.quantile(first, 0.5, method="lower")
            row = [
                *shares,
                f"{median:,.0f}" if np.isfinite(median) else "over 2,000",
                f"{(said < 0).any(1).mean():.1%}",
            ]
            print(f"| {points} | {agree:.0%} | {' | '.join(row)} |", flush=True)


def repeated_looks(runs: int, rng: np.random.Generator) -> None:
    accuracy = TARGET - 0.001
    print(
        f"\n{runs:,} runs a row of {NULL_ROUNDS} models with a true accuracy of {accuracy:.1%}, looked at on the same"
    )
    print(f"{LABELS} labels: how often the lower bound ever reaches {TARGET:.0%}, at which the run would stop.\n")
    levels = [f"{ALPHA:.0%}, one look", f"{ALPHA:.0%}, every look", f"`al.stop`: {ALPHA:.0%} / (t (t + 1)) at look t"]
    print(f"| kept from model to model | {' | '.join(levels)} |")
    print("|---:|---:|---:|---:|")
    looks = np.arange(1, NULL_ROUNDS + 1)

    def enough(alpha: float) -> int:
        """The fewest correct labels whose bound reaches the target."""
        return next(k for k in range(LABELS + 2) if k > LABELS or accuracy_lower_bound(k, LABELS, alpha) >= TARGET)

    plain, careful_at = enough(ALPHA), np.array([enough(ALPHA / (t * (t + 1))) for t in looks])
    for kept in (1.0, 0.9, 0.5):  # share of the variance that is the image's, not the model's
        correct = np.empty((runs, NULL_ROUNDS), dtype=int)
        for run in correct:
            own = np.sqrt(1 - kept) * rng.standard_normal((NULL_ROUNDS, LABELS))
            run[:] = (np.sqrt(kept) * rng.standard_normal(LABELS) + own < stats.norm.ppf(accuracy)).sum(1)
        stops, careful = correct >= plain, correct >= careful_at
        shares = [stops[:, 0].mean(), stops.any(1).mean(), careful.any(1).mean()]
        print(f"| {kept:.0%} | {' | '.join(f'{each:.1%}' for each in shares)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000, help="sequences a row")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for table in (false_verdicts, decisions, repeated_looks):
            table(given.runs, np.random.default_rng(given.seed))
    write_section("An anytime verdict", "By `python benchmarks/anytime.py`, a simulation.", "", said.getvalue())
