"""What the leaderboard says, in five sentences that its numbers make."""

from collections.abc import Sequence

import numpy as np
from leaderboard_tables import RANDOM, TARGETS, Cell, Standing

from al_lightning.words import counted, listed

SAME = 1e-9  # of sums of accuracies


def sentences(table: Sequence[Standing], cells: Sequence[Cell]) -> list[str]:
    """Who wins early, who late, on what, where nobody beats random, and what the differences are worth.

    Args:
        table: of :func:`leaderboard_tables.standings`.
        cells: that it is of.
    """
    rivals = rivals_of(table)
    if not rivals:
        return ["There are no runs of `random` beside those of others yet: nothing can be compared with it."]
    return [
        f"**Early**, with a third of the labels, {_ahead(rivals, 'early')}.",
        f"**Late**, with all of them, {_ahead(rivals, 'final')}.",
        f"**On what**: by AUBC, {_winners(cells)}.",
        f"**Where nobody beats random**: {_nobody(cells)}.",
        f"**What it is worth**: {_worth(rivals, cells)}.",
    ]


def rivals_of(table: Sequence[Standing]) -> list[Standing]:
    """Those that can be compared with random in all cells that it has."""
    return [each for each in table if each.everywhere and each.strategy != RANDOM and each.gains["aubc"].n]


def best(rivals: Sequence[Standing], measure: str, n: int) -> list[str]:
    """The n strategies with the highest gain, and those that equal the last of them."""
    in_order = sorted(rivals, key=lambda each: -each.gains[measure].mean)
    least = min((each.gains[measure].mean for each in in_order[:n]), default=np.nan)
    return [each.strategy for each in in_order if each.gains[measure].mean >= least - SAME]


def points(value: float) -> str:
    """A difference of accuracies in points, with its sign."""
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def code(names: Sequence[str]) -> str:
    """Names as code, listed."""
    return listed([f"`{name}`" for name in names])


def _ahead(rivals: Sequence[Standing], measure: str) -> str:
    standing = {each.strategy: each for each in rivals}
    first = best(rivals, measure, 1)
    leader = standing[first[0]]
    gain, over = leader.gains[measure], f"in mean over {_over(leader)}"
    if gain.mean <= SAME:
        return f"nobody is ahead of random {over}; closest to it: {code(first)} ({points(gain.mean)})"
    ends = f"{points(gain.mean - gain.half_width)} to {points(gain.mean + gain.half_width)}"
    sure = "one seed: no interval" if np.isnan(gain.half_width) else f"95% interval {ends}"
    text = (
        f"{code(first)} {'is' if len(first) == 1 else 'are'} farthest ahead of random: {points(gain.mean)} points of "
    )
    text += f"accuracy {over} ({sure})"
    then = [name for name in best(rivals, measure, len(first) + 2) if name not in first]
    named = listed([f"`{name}` ({points(standing[name].gains[measure].mean)})" for name in then])
    return f"{text}; then {named}" if then else text


def _over(standing: Standing) -> str:
    cells = counted(standing.cells, "cell")
    return cells if standing.seeds == 1 else f"{cells} and {standing.seeds} seeds"


def _winners(cells: Sequence[Cell]) -> str:
    won: dict[str, list[str]] = {}
    for cell in cells:
        if RANDOM in cell.rows:
            for row in cell.ranked:
                if row.aubc >= cell.ranked[0].aubc - SAME:
                    won.setdefault(row.strategy, []).append(cell.name)
    in_order = sorted(won.items(), key=lambda each: -len(each[1]))
    return "; ".join(f"`{name}` is first in {listed(names)}" for name, names in in_order)


def _nobody(cells: Sequence[Cell]) -> str:
    """Cells without an interval above 0, and how many intervals there are in all."""
    told = [cell for cell in cells if cell.compared]
    rows = [row for cell in told for row in cell.compared]
    if not rows:
        return "not known: with one seed there is no interval that could say so"
    none = [cell.name for cell in told if all(row.side < 1 for row in cell.compared)]
    above, below = (sum(row.side == side for row in rows) for side in (1, -1))
    held = sum(row.side == 1 and row.p_holm < 0.05 for row in rows)
    text = listed(none) if none else "nowhere"
    return (
        f"{text}, by a 95% interval of AUBC that excludes 0; of {counted(len(rows), 'interval')}, {above} lie above "
        f"random, where chance alone would make about {0.025 * len(rows):.0f}, and {below} below; when Holm's method "
        f"adjusts for their number, {held} of those above are left"
    )


def _worth(rivals: Sequence[Standing], cells: Sequence[Cell]) -> str:
    """The best one's gain in accuracy and in labels, beside what lies between the first and between seeds."""
    leader = next(each for each in rivals if each.strategy in best(rivals, "aubc", 1))
    name, gains = leader.strategy, sorted((each.gains["aubc"].mean for each in rivals), reverse=True)
    text = f"the AUBC of `{name}` differs from random's by {points(gains[0])} points in mean over {_over(leader)}"
    shares = [
        cell.rows[name].labels_last / cell.rows[RANDOM].labels_last
        for cell in cells
        if {name, RANDOM} <= cell.rows.keys() and np.isfinite(cell.rows[RANDOM].labels_last)
    ]
    if shares:
        share = float(np.median(shares))
        needs = f"{share:.0%} of" if np.isfinite(share) else "more than all of"
        text += f", and to {TARGETS[-1]:.1%} of random's accuracy at the end it takes {needs} the labels that random "
        text += f"takes (median over {counted(len(shares), 'cell')})"
    if len(gains) >= 5:
        text += f"; the fifth is {points(gains[0] - gains[4]).removeprefix('+')} points behind it"
    variances = [row.sd**2 for cell in cells for row in cell.ranked if row.n > 1]
    if variances:
        spread = 100 * float(np.mean(variances)) ** 0.5
        text += f"; the seed alone moves the AUBC of a run by a standard deviation of {spread:.1f} points"
    return text
