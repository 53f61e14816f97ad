"""The leaderboard's page says what its runs say: who wins where, by how much, and what is not known."""

import csv
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from leaderboard_page import Surroundings, page
from leaderboard_runs import COLUMNS, load
from leaderboard_sentences import sentences
from leaderboard_tables import Cell, Standing, cells_of, standings

ROOT = Path(__file__).parents[1]
NOISE = (0.0, 0.004, -0.003, 0.006, -0.001)  # of seeds: of all runs of one alike
JITTER = (0.002, -0.001, 0.0, 0.001, -0.002)  # of the second and the last accuracy, of a run of its own
# By cell and strategy: how far the second and the last of four accuracies are above random's.
Gains = Mapping[tuple[str, int], Mapping[str, tuple[float, float]]]
Made = tuple[list[Cell], list[Standing], str]


def row(cell: tuple[str, int], name: str, seed: int, early: float, late: float) -> tuple[object, ...]:
    curve = np.array([0.4, 0.5 + early, 0.55, 0.6 + late]) + NOISE[seed]
    area = f"{np.trapezoid(curve) / 3:.6f}"
    return (*cell, name, seed, area, curve[-1], " ".join(f"{value:.4f}" for value in curve), 0.5, 10.0, 0)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Made]:
    """The tables, and the page as a line, of runs of some gains."""

    def make(
        gains: Gains,
        seeds: Sequence[int] = range(5),
        left_out: Sequence[tuple[int, str, int]] = (),
        jitter: Sequence[float] = JITTER,
    ) -> Made:
        rows = [
            row(cell, name, seed, *(gain and gain + jitter[(seed + i) % 5] for gain in both))
            for cell, strategies in gains.items()
            for i, (name, both) in enumerate(strategies.items())
            for seed in seeds
            if (cell[1], name, seed) not in left_out
        ]
        file = tmp_path / "runs.csv"
        with file.open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([COLUMNS, *rows])
        runs = load(file)
        cells = cells_of(runs)
        table = standings(runs, cells)
        return cells, table, page(runs, cells, table, Surroundings({}, "", "two cores", 2))

    return make


DIGITS, MNIST = ("digits", 5), ("MNIST", 20)
TWO: Gains = {
    DIGITS: {"random": (0, 0), "fast": (0.09, 0.01), "slow": (-0.03, 0.06), "bad": (-0.06, -0.06)},
    MNIST: {"random": (0, 0), "fast": (-0.03, -0.03), "slow": (-0.06, -0.02), "bad": (-0.09, -0.09)},
}


def test_it_says_who_wins_early_late_on_what_and_where_nobody_beats_random(made: Callable[..., Made]) -> None:
    cells, table, text = made(TWO)
    early, late, on, nobody, worth = sentences(table, cells)
    # A third of 4 queries lies a third of the way to the second accuracy: (9 - 3) / 2 / 3 points, and a jitter.
    assert "`fast` is farthest ahead of random: +1.0 points of accuracy in mean over 2 cells and 5 seeds" in early
    assert "then `slow` (−1.5) and `bad` (−2.5)" in early
    assert "`slow` is farthest ahead of random: +2.0 points" in late
    assert on == "**On what**: by AUBC, `fast` is first in digits (5); `random` is first in MNIST (20)."
    assert nobody.startswith("**Where nobody beats random**: MNIST (20), by")
    assert "of 6 intervals, 1 lie above random, where chance alone would make about 0, and 4 below" in nobody
    assert "`fast` differs from random's by +0.8 points" in worth
    assert all(sentence in text for sentence in (early, late, on, nobody, worth))
    by_name = {each.strategy: each for each in table}
    assert [(by_name[name].above, by_name[name].below) for name in ("fast", "slow")] == [(1, 1), (0, 1)]
    assert (by_name["bad"].above, by_name["bad"].below, by_name["bad"].tested) == (0, 2, 2)


def test_its_numbers_are_those_of_scipy(made: Callable[..., Made]) -> None:
    cells, table, _ = made(TWO)
    areas = {
        (cell, name): [
            np.trapezoid([0.4, 0.5 + early, 0.55, 0.6 + late]) / 3 + NOISE[seed]
            for seed in range(5)
            for early, late in [[gain and gain + JITTER[(seed + i) % 5] for gain in both]]
        ]
        for cell, strategies in TWO.items()
        for i, (name, both) in enumerate(strategies.items())
    }
    for cell, one in zip(TWO, cells, strict=True):
        for name in ("fast", "slow", "bad"):
            test = stats.ttest_rel(areas[cell, name], areas[cell, "random"])
            low, high = test.confidence_interval()
            gain = one.rows[name].gain
            assert (gain.difference - gain.half_width, gain.difference + gain.half_width) == pytest.approx(
                (low, high), abs=1e-6
            )
            assert gain.p == pytest.approx(test.pvalue, rel=1e-3)
    fast = next(each for each in table if each.strategy == "fast")
    by_seed = np.mean([np.subtract(areas[cell, "fast"], areas[cell, "random"]) for cell in TWO], axis=0)
    low, high = stats.ttest_1samp(by_seed, 0).confidence_interval()
    gain = fast.gains["aubc"]
    assert (gain.mean - gain.half_width, gain.mean + gain.half_width) == pytest.approx((low, high), abs=1e-6)
    # First of four on digits, second on MNIST, whatever the seed.
    assert (fast.rank.mean, fast.rank.half_width, fast.cells, fast.seeds) == (pytest.approx(1 / 6), 0, 2, 5)
    p = [one.rows[name].gain.p for one in cells for name in ("fast", "slow", "bad")]
    smallest = min((row for one in cells for row in one.compared), key=lambda row: row.gain.p)
    assert smallest.p_holm == pytest.approx(min(p) * 6)


def test_a_strategy_that_is_not_everywhere_is_first_only_where_it_is(made: Callable[..., Made]) -> None:
    gains = {DIGITS: TWO[DIGITS], MNIST: {**TWO[MNIST], "committee": (0.2, 0.2)}}
    cells, table, text = made(gains)
    early, _, on, nobody, _ = sentences(table, cells)
    assert "committee" not in early and "`committee` is first in MNIST (20)" in on
    assert "nowhere" in nobody
    assert [each.strategy for each in table][-1] == "committee", "though its rank is the best"
    assert "| [committee](strategies/committee.md) † | 1 | 5 | 0 ± 0 | +" in text and "† not in all cells" in text
    assert "† not in all cells" not in made(TWO)[2]


def test_a_seed_that_has_fewer_cells_does_not_count_over_all(made: Callable[..., Made]) -> None:
    names = ("random", "fast", "slow", "bad")
    cells, table, _ = made(TWO, left_out=[(20, name, 4) for name in names] + [(20, "bad", 3)])
    assert {each.strategy: each.seeds for each in table} == {"random": 4, "fast": 4, "slow": 4, "bad": 3}
    assert [one.rows["fast"].n for one in cells] == [5, 4]
    assert all(each.everywhere and each.cells == 2 for each in table)


def test_one_seed_has_no_interval(made: Callable[..., Made]) -> None:
    cells, table, text = made(TWO, seeds=[0])
    early, *_, nobody, _ = sentences(table, cells)
    assert "(one seed: no interval)" in early and "with one seed there is no interval" in nobody
    numbers = [line for line in text.splitlines() if line.startswith("| [")]
    assert len(numbers) == 12 and not any(sign in line for line in numbers for sign in ("±", " to +", "nan"))
    assert "8 runs" in text and "1 seed." in text


def test_those_that_are_equal_share_their_place(made: Callable[..., Made]) -> None:
    twins = {"random": (0, 0), "fast": (0.09, 0.01), "twin": (0.09, 0.01)}
    cells, table, _ = made({DIGITS: twins}, jitter=[0] * 5)
    early, late, on, *_ = sentences(table, cells)
    assert "`fast` and `twin` are farthest ahead" in early and "`fast` and `twin` are farthest ahead" in late
    assert "`fast` is first in digits (5); `twin` is first in digits (5)" in on
    assert {each.strategy: each.rank.mean for each in table} == {"fast": 0.25, "twin": 0.25, "random": 1.0}


def test_a_bound_is_shown_and_not_ranked(made: Callable[..., Made]) -> None:
    cells, table, text = made({DIGITS: {**TWO[DIGITS], "ceiling": (0.3, 0.3)}})
    assert "ceiling" not in " ".join(sentences(table, cells)) and len(table) == 4
    assert "| [ceiling](strategies/ceiling.md) (a bound, not attainable) | 5 | 0." in text
    assert next(each for each in table if each.strategy == "fast").rank.mean == 0


def test_without_random_nothing_is_compared(made: Callable[..., Made]) -> None:
    cells, table, text = made({DIGITS: {"fast": (0.1, 0.1), "slow": (0.05, 0.1)}})
    assert sentences(table, cells)[0] in text and len(sentences(table, cells)) == 1
    assert [each.strategy for each in table] == ["fast", "slow"] and "labels to" not in text


def test_runs_of_other_rounds_are_refused(made: Callable[..., Made], tmp_path: Path) -> None:
    made(TWO)
    text = (tmp_path / "runs.csv").read_text(encoding="utf-8")
    (tmp_path / "runs.csv").write_text(text.replace(" 0.5500 ", " ", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"different lengths in \[\('digits', 5\)\]"):
        load(tmp_path / "runs.csv")


@pytest.mark.leaderboard
def test_a_small_leaderboard_from_its_runs_to_its_page(tmp_path: Path) -> None:
    """Three strategies, two seeds, 12 runs; a second time there is nothing left to run."""

    def script(name: str, *arguments: object) -> str:
        line = [sys.executable, str(ROOT / "benchmarks" / name), *map(str, arguments)]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    table, text = tmp_path / "leaderboard" / "runs.csv", tmp_path / "leaderboard.md"
    chosen = ("--settings", "digits", "--strategies", "random", "margin", "badge", "--seeds", 0, 1, "--processes", 1)
    assert script("leaderboard.py", *chosen, "--out", table).startswith("12 runs to make, 0 are there\n")
    runs = load(table)
    assert len(runs) == 12 and all(run.seconds > 0.2 and run.failed_fits == 0 for run in runs)
    first = {(run.query_size, run.seed): run.curve[0] for run in runs}
    assert all(run.curve[0] == first[run.query_size, run.seed] for run in runs), "strategies of a seed begin alike"
    assert script("leaderboard.py", *chosen, "--out", table) == "0 runs to make, 12 are there\n"
    script("leaderboard_page.py", "--runs", table, "--costs", tmp_path / "none.csv", "--out", text)
    said = text.read_text(encoding="utf-8")
    assert "12 runs: 3 strategies and variants, 2 cells (a data set with a size of the query), 2 seeds." in said
    assert "(leaderboard/differences.png)" in said and (table.parent / "differences.png").stat().st_size > 10_000
    assert said.count("[badge](strategies/badge.md)") == 3 and "nan" not in said
