"""The page of the leaderboard, docs/leaderboard.md, of its runs: all that it says is computed from these.

python benchmarks/leaderboard_page.py
"""

import argparse
import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from leaderboard import SAMPLE, Job, jobs, settings, strategies
from leaderboard_figure import draw
from leaderboard_runs import Run, load
from leaderboard_sentences import best, code, rivals_of, sentences
from leaderboard_tables import BOUNDS, RANDOM, TARGETS, Cell, Standing, cells_of, standings
from results import machine

from al_lightning.words import counted, duration, listed, plus_minus, signed

DOCS = Path(__file__).parents[1] / "docs"
HIGHLIGHTED = 4
SEEDS = range(5)
ABOUT = {
    "digits": "scikit-learn's 1,797 digits of 8 x 8 pixels, a fifth of them for testing; the pixels are the features",
    "MNIST": "60,000 images, tested on 10,000; features of EfficientNet-Lite0",
    "CIFAR-10": "50,000 images, tested on 10,000; features of EfficientNet-Lite0",
    "CIFAR-10, long tail": "the same, but of the first class 50 times the images of the last; the test part is even",
    "MNIST, 10% wrong labels": "MNIST, where one answer in ten names another class; the test labels are right",
}
Costs = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Surroundings:
    """What the runs do not say.

    Attributes:
        costs: of a choice of a large pool, `seconds, peak_mib, n_candidates, n_features, n` by strategy; may be empty.
        figure: how the page reaches it; empty: there is none.
        machine: that the runs were made on.
        processes: runs side by side.
    """

    costs: Costs
    figure: str
    machine: str
    processes: int


def page(runs: Sequence[Run], cells: Sequence[Cell], table: Sequence[Standing], around: Surroundings) -> str:
    """The page.

    Args:
        runs: at least one.
        cells: of the runs.
        table: likewise.
        around: what the runs do not say.
    """
    n_seeds, n_strategies = len({run.seed for run in runs}), len({run.strategy for run in runs})
    there = (
        f"{counted(len(runs), 'run')}: {n_strategies} strategies and variants, {counted(len(cells), 'cell')} (a data "
    )
    there += f"set with a size of the query), {counted(n_seeds, 'seed')}."
    parts = [
        "# Leaderboard",
        " ".join([there, *_missing(runs)]),
        "\n".join(f"{i}. {sentence}" for i, sentence in enumerate(sentences(table, cells), 1)),
    ]
    if around.figure:
        parts += [
            f"![Learning curves less random's, a panel a cell]({around.figure})",
            "Test accuracy less that of random with the same seed, in mean over seeds. In color those with the highest "
            "AUBC in mean over all cells; a curve far below leaves its panel.",
        ]
    parts += ["## All cells", *_overall(table, around.costs), "## Cell by cell", _how_to_read(n_seeds)]
    for cell in cells:
        parts += [f"### {cell.setting}, queries of {cell.query_size}", "\n".join(_cell(cell))]
    return "\n\n".join([*parts, "## What was run", *_about(runs, around)]) + "\n"


def _missing(runs: Sequence[Run]) -> Iterator[str]:
    """How many of the runs of `make leaderboard` are in, and which strategies lack some."""
    made = {(*run.cell, run.strategy, run.seed) for run in runs}
    wanted: list[Job] = [*jobs(settings(Path(), None, ""), [*strategies()], SEEDS)]
    left = [job for job in wanted if (job.setting, job.query_size, job.strategy, job.seed) not in made]
    if left:
        yield f"{len(wanted) - len(left):,} of the {len(wanted):,} runs of `make leaderboard` are in."
        nothing = [name for name in strategies() if name not in {run.strategy for run in runs}]
        some = [name for name in strategies() if name in {job.strategy for job in left} and name not in nothing]
        if nothing:
            yield f"There is nothing yet of {code(nothing)}."
        if some:
            rest = len(some) + len(nothing) == len(strategies())
            yield f"{('All others' if nothing else 'All') if rest else code(some)} lack some."
    if failed := sum(run.failed_fits > 0 for run in runs):
        yield f"In {counted(failed, 'run')} a fit has failed."


def _overall(table: Sequence[Standing], costs: Costs) -> Iterator[str]:
    heads = ["strategy", "cells", "seeds", "rank, %", "AUBC − random", "above random", "below", "seconds a choice"]
    of_all = next(iter(costs.values()), {})
    if of_all:
        heads += [f"seconds, {int(of_all['n_candidates']):,} × {int(of_all['n_features']):,}", "peak, MiB"]
    lines = []
    for each in table:
        values = [
            _link(each.strategy) + ("" if each.everywhere else " †"),
            each.cells,
            each.seeds,
            plus_minus(100 * each.rank.mean, 100 * each.rank.half_width, ".0f"),
            "" if each.strategy == RANDOM else difference(each.gains["aubc"].mean, each.gains["aubc"].half_width),
            f"{each.above} ({each.above_holm})" if each.tested else "",
            f"{each.below} ({each.below_holm})" if each.tested else "",
            f"{each.choose:.2g}" if each.choose < 10 else f"{each.choose:.0f}",
        ]
        if of_all:
            cost = costs.get(each.strategy, {})
            values += [cost.get("seconds", ""), cost.get("peak_mib", "")]
        lines.append(row_of(values))
    yield "\n".join([row_of(heads), row_of(["---"] + ["---:"] * (len(heads) - 1)), *lines])
    text = (
        "Rank: the share of the other strategies of a cell that have a higher AUBC, 0 for the first and 100 for the "
        "last, whatever their number; in mean over cells, ± half of a 95% t interval over seeds. AUBC − random: paired "
        "by seed, in mean over cells, with its 95% t interval over seeds. Above and below random: cells whose paired "
        "95% interval excludes 0; in parentheses those of them that are left when Holm's method adjusts for all "
        "comparisons of this page. Seconds a choice: to score and select, whatever else the machine did, "
        "median over rounds and seeds in the slowest cell"
    )
    if of_all:
        text += f"; and for a query of {of_all['n']} of a large pool, once, with the most memory of the process"
    yield f"{text}. Seeds with fewer cells than others do not count in this table."
    if not all(each.everywhere for each in table):
        yield (
            "† not in all cells: rank and difference are in mean over other cells than those of the rest, and can be "
            "compared cell by cell only, below. Committees and `bait` take the longest, and are run at the larger size "
            "of a query only."
        )


def _how_to_read(n_seeds: int) -> str:
    spread = "± is the standard deviation over seeds. " if n_seeds > 1 else ""
    targets = listed([f"{100 * target:g}%" for target in TARGETS])
    return (
        f"By AUBC. {spread}Difference to random: paired by seed, with its 95% t interval, not adjusted. Early: "
        f"accuracy with a third of the labels, interpolated. Labels to: {targets} of random's accuracy at the end, "
        "interpolated; ± half of a 95% t interval where all seeds reach it; else the median, or a bound of it, and how "
        "many reach it."
    )


def _cell(cell: Cell) -> Iterator[str]:
    labels = [f"labels to {target:.3f}" for target in cell.targets]
    heads = ["strategy", "n", "AUBC", "− random (95% interval)", "early", "at the end", *labels]
    yield row_of(heads)
    yield row_of(["---"] + ["---:"] * (len(heads) - 1))
    for name, row in cell.rows.items():
        values = [
            _link(name) + (" (a bound, not attainable)" if name in BOUNDS else ""),
            row.n,
            plus_minus(row.aubc, row.sd),
            difference(row.gain.difference, row.gain.half_width),
            f"{row.early:.3f}",
            f"{row.final:.3f}",
            *row.labels,
        ]
        yield row_of(values)


def _about(runs: Sequence[Run], around: Surroundings) -> Iterator[str]:
    lines = [row_of(["setting", "data and features", "initial set and query"]), row_of(["---"] * 3)]
    for name, text in ABOUT.items():
        sizes = sorted({run.query_size for run in runs if run.setting == name})
        lines += [row_of([name, text, listed([str(size) for size in sizes])])] if sizes else []
    yield "\n".join(lines)
    fits = [str(n) for n in sorted({len(run.curve) for run in runs})]
    yield (
        "A linear head is fitted to the features each round (`model=linear`), to all labels until it converges: "
        f"{listed(fits)} fits, a query after each but the last. The initial set is random, as large as a query, and "
        f"the same for all strategies of a seed. A strategy looks at {SAMPLE:,} unlabeled images (`al.pool_sample`), "
        "drawn anew each round; of digits, at all. Features: `tf_efficientnet_lite0`, trained on ImageNet, images "
        "scaled to 96 px. `NAME, power` is `strategy=NAME strategy.noise=power`; `NAME, 5 members` has samples of "
        "`model.members=5` in place of dropout."
    )
    yield "```bash\nmake leaderboard DATA=data IMAGES=cifar10-jpeg WEIGHTS=tf_efficientnet_lite0.safetensors\n```"
    yield (
        "`IMAGES` is CIFAR-10 as JPEG files in class folders, `WEIGHTS` are those of the network; without them, both "
        "are downloaded, CIFAR-10 as it is."
    )
    total = sum(run.seconds for run in runs)
    took = f"{duration(total)} of runs"
    if around.processes > 1:
        took += f", that is {duration(total / around.processes)} with {around.processes} side by side"
    yield (
        f"{took}, on {around.machine}; without the features, which are computed once, and without loading. It can be "
        "stopped and goes on: what is in [runs.csv](leaderboard/runs.csv) is not run again."
    )
    yield (
        "A new strategy gets in by its file in `conf/strategy/`: `make leaderboard` makes its runs only, and this page "
        "and [the page of the strategy](strategies/README.md) take them up."
    )


def difference(mean: float, half_width: float) -> str:
    """A difference of areas with the ends of its interval; empty where it is not known."""
    ends = "" if np.isnan(half_width) else f" ({signed(mean - half_width)} to {signed(mean + half_width)})"
    return signed(mean) + ends


def row_of(values: Sequence[object]) -> str:
    """A row of a table."""
    return f"| {' | '.join(map(str, values))} |"


def _link(name: str) -> str:
    """To the page of the strategy, which a variant has before its comma."""
    base, comma, rest = name.partition(", ")
    return f"[{base}](strategies/{base}.md){comma}{rest}"


def main() -> None:
    """Write the page and its figure."""
    parser = argparse.ArgumentParser(description="Write the page of the leaderboard and its figure.")
    parser.add_argument(
        "--runs", type=Path, default=DOCS / "leaderboard" / "runs.csv", help="the figure goes beside it"
    )
    parser.add_argument("--costs", type=Path, default=DOCS / "leaderboard" / "cost.csv", help="may be missing")
    parser.add_argument("--out", type=Path, default=DOCS / "leaderboard.md")
    parser.add_argument("--machine", default=machine(), help="that the runs were made on")
    parser.add_argument("--processes", type=int, default=2, help="runs side by side")
    args = parser.parse_args()
    runs = load(args.runs)
    if not runs:
        parser.exit(message=f"{args.runs} has no runs yet\n")
    costs: Costs = {}
    if args.costs.exists():
        with args.costs.open(newline="", encoding="utf-8") as lines:
            costs = {row["strategy"]: row for row in csv.DictReader(lines)}
    cells = cells_of(runs)
    table = standings(runs, cells)
    picture = args.runs.with_name("differences.png")
    draw(runs, cells, best(rivals_of(table), "aubc", HIGHLIGHTED), picture)
    shown = Path(os.path.relpath(picture, args.out.parent)).as_posix() if picture.exists() else ""
    text = page(runs, cells, table, Surroundings(costs, shown, args.machine, args.processes))
    args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
