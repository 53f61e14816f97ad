"""From the runs of the leaderboard to its numbers: a table a cell, and one over all of them.

A cell is a setting with a size of the query. Strategies are compared with random in a cell, seed by seed: runs of a
seed begin with the same labels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from leaderboard import settings
from leaderboard_runs import Run
from scipy.stats import rankdata

from al_lightning.report.statistics import Interval, Paired, holm, interval, paired_all
from al_lightning.report.targets import labels_table
from al_lightning.runs.learning_curve import labels_to

RANDOM = "random"
BOUNDS = ("ceiling",)  # take labels that nobody has: they are shown, and not ranked
TARGETS = (0.9, 0.975)  # shares of random's accuracy at the end


MEASURES: dict[str, Callable[[Run], float]] = {
    "aubc": lambda run: run.aubc,
    "early": lambda run: run.early,
    "final": lambda run: run.final,
}


@dataclass(frozen=True)
class Row:
    """A strategy in a cell.

    Attributes:
        strategy: its name.
        n: seeds.
        aubc: mean over seeds.
        sd: of the AUBC over seeds; nan for one seed.
        early: accuracy with a third of the labels.
        final: with all of them.
        gain: AUBC less random's, by seed.
        p_holm: of the gain, over all cells.
        labels: to the targets, in words.
        labels_last: to the last target, median over seeds; inf where it is not reached, nan without a target.
        choose: seconds of a choice.
    """

    strategy: str
    n: int
    aubc: float
    sd: float
    early: float
    final: float
    gain: Paired
    p_holm: float
    labels: tuple[str, ...]
    labels_last: float
    choose: float

    @property
    def side(self) -> int:
        """1 where it is above random by an interval that excludes 0, -1 below, 0 where that is open."""
        sure = abs(self.gain.difference) > self.gain.half_width
        return int(np.sign(self.gain.difference)) if sure else 0


@dataclass(frozen=True)
class Cell:
    """A setting with a size of the query.

    Attributes:
        setting: its name.
        query_size: labels a query, and of the initial set.
        n_labeled: labels by round.
        targets: accuracies whose labels are counted; none without runs of random.
        rows: by strategy, the highest AUBC first.
    """

    setting: str
    query_size: int
    n_labeled: tuple[int, ...]
    targets: tuple[float, ...]
    rows: dict[str, Row]

    @property
    def name(self) -> str:
        """As it is called in a sentence."""
        return f"{self.setting} ({self.query_size})"

    @property
    def ranked(self) -> list[Row]:
        """Those that could be used."""
        return [row for name, row in self.rows.items() if name not in BOUNDS]

    @property
    def compared(self) -> list[Row]:
        """Of these, those whose difference to random has an interval."""
        return [row for row in self.ranked if not np.isnan(row.gain.half_width)]


@dataclass(frozen=True)
class Standing:
    """A strategy over all cells.

    Attributes:
        strategy: its name.
        cells: in which the seeds that count have it.
        everywhere: whether these are all cells of random.
        seeds: that have the most cells; the others do not count.
        rank: share of the others that are ahead by AUBC, 0 for the first and 1 for the last, ties sharing a place; in
            mean over cells.
        gains: over random, by measure, in mean over cells.
        tested: cells with an interval of the difference in AUBC.
        above: of these, cells whose interval lies above 0.
        below: below 0.
        above_holm: of those above, cells with an adjusted p below 0.05.
        below_holm: likewise.
        choose: seconds of a choice in the slowest cell.
    """

    strategy: str
    cells: int
    everywhere: bool
    seeds: int
    rank: Interval
    gains: dict[str, Interval]
    tested: int
    above: int
    below: int
    above_holm: int
    below_holm: int
    choose: float


def cells_of(runs: Sequence[Run]) -> list[Cell]:
    """All cells that have runs, in the order of the settings."""
    order = [*dict.fromkeys([*settings(Path(), None, ""), *(run.setting for run in runs)])]
    keys = sorted({run.cell for run in runs}, key=lambda cell: (order.index(cell[0]), cell[1]))
    cells = [_cell([run for run in runs if run.cell == key]) for key in keys]
    adjusted = iter(holm([row.gain.p for cell in cells for row in cell.ranked]))
    for cell in cells:
        cell.rows.update({row.strategy: replace(row, p_holm=next(adjusted)) for row in cell.ranked})
    return cells


def standings(runs: Sequence[Run], cells: Sequence[Cell]) -> list[Standing]:
    """All that are ranked: those that are in all cells of random first, the best rank first."""
    random = {(run.cell, run.seed): run for run in runs if run.strategy == RANDOM}
    ranked = [run for run in runs if run.strategy not in BOUNDS]
    if random:  # no cell in which it is not there yet
        ranked = [run for run in ranked if (run.cell, run.seed) in random]
    ranks = _ranks(ranked)
    wanted = {run.cell for run in _whole([run for run in ranked if run.strategy == RANDOM])}
    found = []
    for name in dict.fromkeys(run.strategy for run in ranked):
        whole = _whole([run for run in ranked if run.strategy == name])
        there = {run.cell for run in whole}
        gains = {
            measure: _over_seeds((run.seed, of(run) - of(random[run.cell, run.seed])) for run in whole if random)
            for measure, of in MEASURES.items()
        }
        rank = _over_seeds((run.seed, ranks[run]) for run in whole if run in ranks)
        rows = [cell.rows[name] for cell in cells if name in cell.rows]
        sides, held = [row.side for row in rows], [row.side for row in rows if row.p_holm < 0.05]
        standing = Standing(
            strategy=name,
            cells=len(there),
            everywhere=there >= wanted,
            seeds=len({run.seed for run in whole}),
            rank=rank,
            gains=gains,
            tested=sum(not np.isnan(row.gain.half_width) for row in rows),
            above=sides.count(1),
            below=sides.count(-1),
            above_holm=held.count(1),
            below_holm=held.count(-1),
            choose=max(row.choose for row in rows),
        )
        found.append(standing)
    return sorted(found, key=lambda each: (not each.everywhere, np.nan_to_num(each.rank.mean, nan=2), each.strategy))


def _ranks(runs: Iterable[Run]) -> dict[Run, float]:
    """Share of the others of its cell and seed that are ahead; without others there is none."""
    together: dict[tuple[tuple[str, int], int], list[Run]] = {}
    for run in runs:
        together.setdefault((run.cell, run.seed), []).append(run)
    return {
        run: (place - 1) / (len(rivals) - 1)
        for rivals in together.values()
        for run, place in zip(rivals, rankdata([-run.aubc for run in rivals]).tolist(), strict=True)
        if len(rivals) > 1
    }


def _whole(runs: Sequence[Run]) -> list[Run]:
    """Of the runs of a strategy, those whose seed has as many cells as any, the same ones."""
    there = {seed: frozenset(run.cell for run in runs if run.seed == seed) for seed in {run.seed for run in runs}}
    most = max(there.values(), key=len, default=frozenset())
    return [run for run in runs if there[run.seed] == most]


def _over_seeds(values: Iterable[tuple[int, float]]) -> Interval:
    """Mean over seeds of the mean of each."""
    by_seed: dict[int, list[float]] = {}
    for seed, value in values:
        by_seed.setdefault(seed, []).append(value)
    return interval([float(np.mean(each)) for each in by_seed.values()])


def _cell(runs: Sequence[Run]) -> Cell:
    by_name: dict[str, dict[int, Run]] = {}
    for run in runs:
        by_name.setdefault(run.strategy, {})[run.seed] = run
    random = by_name.get(RANDOM, {})
    last = float(np.mean([run.final for run in random.values()])) if random else 0.0
    targets = tuple(share * last for share in TARGETS) if random else ()
    found = {
        (name, target): {
            run.seed: (labels_to(target, run.n_labeled, run.curve), float(run.n_labeled[-1])) for run in own.values()
        }
        for name, own in by_name.items()
        for target in targets
    }
    words = labels_table(found, [*by_name], targets)
    said = {(at["method"], at["target"]): at["text"].replace(" reached", "") for at in words.to_dict("records")}
    differences = [
        np.array([own[seed].aubc - random[seed].aubc for seed in sorted(own.keys() & random.keys())] * (name != RANDOM))
        for name, own in by_name.items()
    ]
    rows = []
    for (name, own), gain in zip(by_name.items(), paired_all(differences), strict=True):
        areas = [run.aubc for run in own.values()]
        crossed = [np.inf if at is None else at for at, _ in found[name, targets[-1]].values()] if targets else [np.nan]
        row = Row(
            strategy=name,
            n=len(own),
            aubc=float(np.mean(areas)),
            sd=float(np.std(areas, ddof=1)) if len(areas) > 1 else np.nan,
            early=float(np.mean([run.early for run in own.values()])),
            final=float(np.mean([run.final for run in own.values()])),
            gain=gain,
            p_holm=np.nan,
            labels=tuple(said[name, target] for target in targets),
            labels_last=float(np.median(crossed)),
            choose=float(np.median([run.choose for run in own.values()])),
        )
        rows.append(row)
    rows.sort(key=lambda row: (-row.aubc, row.strategy))
    return Cell(runs[0].setting, runs[0].query_size, runs[0].n_labeled, targets, {row.strategy: row for row in rows})
