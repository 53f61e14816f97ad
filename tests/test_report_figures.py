"""What is drawn of a study: lines or bands, ticks, marks, and which panels fold."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from report_runs import one, table
from studies import Run, study

from al_lightning.report import load, page
from al_lightning.report.__main__ import main
from al_lightning.report.compare import Comparison, compare
from al_lightning.report.figures import curves, files, measures, style
from al_lightning.report.figures.queries import NUMBERED_METHODS
from al_lightning.report.figures.style import styled, text_on


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with styled():
        yield


def compared(seeds: int, counts: tuple[int, ...] = (10, 20, 30)) -> Comparison:
    """Two methods whose accuracies, near 1, differ by seed."""
    points = {
        method: {s: {n: min(1.0, base + 0.02 * s + 0.01 * i) for i, n in enumerate(counts)} for s in range(seeds)}
        for method, base in (("random", 0.93), ("margin", 0.95))
    }
    return one(table(points))


def main_panel(comparison: Comparison, measure: str = "test/acc") -> Axes:
    return curves.learning_curves(comparison, None, measure).figure.axes[0]


def bands(axes: Axes) -> list[PolyCollection]:
    return [each for each in axes.collections if isinstance(each, PolyCollection)]


def edges(found: list[PolyCollection]) -> np.ndarray:
    """The measure along the edges of some bands."""
    return np.concatenate([np.asarray(path.vertices)[:, 1] for band in found for path in band.get_paths()])


def seed_lines(axes: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata(), float) for line in axes.lines if line.get_linewidth() < 1 and line.get_alpha()]


@pytest.mark.parametrize("seeds", [2, 4])
def test_below_five_seeds_the_seeds_are_lines(seeds: int) -> None:
    axes = main_panel(compared(seeds))
    assert bands(axes) == []
    assert len(seed_lines(axes)) == 2 * seeds
    assert [0.93, 0.94, 0.95] in [pytest.approx(line) for line in seed_lines(axes)]


def test_from_five_seeds_on_the_band_ends_at_one() -> None:
    comparison = compared(5)
    axes = main_panel(comparison)
    assert seed_lines(axes) == []
    assert len(bands(axes)) == 2
    margin = comparison.rounds.loc[comparison.rounds["method"] == "margin"]
    last = margin.loc[margin["n_labeled"] == 30, "test/acc"]
    assert last.mean() + 2.776 * last.std() / np.sqrt(5) > 1, "the interval of the data leaves the measure"
    assert edges(bands(axes)).max() == pytest.approx(1.0)


def test_a_band_of_nll_ends_at_zero_only() -> None:
    rows = compared(5).rounds.copy()
    rows["test/nll"] = rows["seed"] ** 2.0
    drawn = edges(bands(main_panel(one(rows), "test/nll")))
    assert drawn.min() == 0
    assert drawn.max() > 6, "the mean"


def test_one_seed_has_neither(caplog: pytest.LogCaptureFixture) -> None:
    drawing = curves.learning_curves(compared(1), None)
    assert bands(drawing.figure.axes[0]) == []
    assert seed_lines(drawing.figure.axes[0]) == []
    assert "One seed: no interval." in drawing.caption


def test_runs_that_trained_once_have_their_seeds_as_lines_too(tmp_path: Path) -> None:
    for size in (100, 500, 1500):
        study(tmp_path / "study", ["random"], range(3), Run(rounds=1, initial=size, pool=5000))
    (comparison,) = compare(load(tmp_path / "study"))
    drawing = curves.learning_curves(comparison, 5000)
    assert [len(line) for line in seed_lines(drawing.figure.axes[0])] == [3, 3, 3]
    assert "Thin lines are the seeds." in drawing.caption
    assert drawing.data is not None
    assert drawing.data["n_labeled"].tolist() == [100, 500, 1500]


def ticks_of(axes: Axes, minor: bool = False) -> list[float]:
    low, high = axes.get_xlim()
    return [float(tick) for tick in axes.get_xticks(minor=minor) if low <= tick <= high]


def test_few_rounds_are_the_ticks() -> None:
    assert ticks_of(main_panel(compared(2, (20, 60, 180, 540)))) == [20, 60, 180, 540]


def test_many_rounds_have_round_numbers_and_a_mark_each() -> None:
    counts = tuple(range(37, 2000, 60))
    figure = curves.learning_curves(compared(2, counts), None).figure
    axes = figure.axes[0]
    ticks = ticks_of(axes)
    assert {500, 1000, 1500} <= set(ticks)
    assert all(tick % 100 == 0 for tick in ticks), "round numbers"
    assert ticks_of(axes, minor=True) == list(counts)
    figure.draw_without_rendering()
    assert "1,000" in [label.get_text() for label in axes.get_xticklabels()]


def test_counts_that_lie_too_close_for_their_numbers_are_not_written_over_each_other() -> None:
    axes = main_panel(compared(2, (1000, 1001, 1002, 2000)))
    assert 1001 not in ticks_of(axes)


def test_a_failed_fit_is_a_ring_at_the_value_of_its_run() -> None:
    rows = compared(5).rounds.copy()
    rows["fit/ok"] = "true"
    flagged = (rows["method"] == "margin") & (rows["seed"] == 3) & (rows["n_labeled"] == 20)
    rows.loc[flagged, "fit/ok"] = "false"
    drawing = curves.learning_curves(one(rows), None)
    (rings,) = [each for each in drawing.figure.axes[0].collections if isinstance(each, PathCollection)]
    assert np.asarray(rings.get_offsets()).tolist() == [[20, pytest.approx(rows.loc[flagged, "test/acc"].iloc[0])]]
    assert len(np.asarray(rings.get_facecolor())) == 0, "hollow"
    assert "1 round of a run: the fit failed" in drawing.caption
    assert "fit failed" not in curves.learning_curves(compared(5), None).caption, "older runs do not say"


@pytest.mark.parametrize("said", [False, 0.0, "False", "false"])
def test_a_failed_fit_is_known_however_the_table_was_read(said: object) -> None:
    rows = compared(2).rounds.assign(**{"fit/ok": said})
    assert "Rings, 12 rounds of runs" in curves.learning_curves(one(rows), None).caption


def test_measures_that_repeat_accuracy_fold_and_others_are_shown() -> None:
    rows = compared(2).rounds.copy()
    rows["test/balanced_acc"], rows["test/f1"] = rows["test/acc"] - 0.004, rows["test/acc"] - 0.006
    rows["test/auroc"] = rows["test/acc"]
    comparison = one(rows)
    shown, folded = measures.others(comparison), measures.repeats(comparison)
    assert shown is not None
    assert folded is not None
    assert [axes.get_title(loc="left").split(",")[0] for axes in shown.figure.axes] == ["AUROC", "ECE"]
    assert [axes.get_title(loc="left").split(",")[0] for axes in folded.figure.axes] == ["balanced accuracy", "F1"]
    assert folded.folded == "Balanced accuracy and F1 follow accuracy: mean distance at most 0.006."
    assert not shown.folded


def test_one_method_that_neglects_a_class_unfolds_them() -> None:
    rows = compared(2).rounds.copy()
    rows["test/balanced_acc"] = rows["test/acc"] - np.where(rows["method"] == "margin", 0.02, 0.0)
    comparison = one(rows)
    shown = measures.others(comparison)
    assert measures.repeats(comparison) is None
    assert shown is not None
    assert "balanced accuracy" in shown.alt


def test_every_figure_is_there_in_three_forms_and_what_it_shows_as_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SETTINGS", style.SETTINGS)
    study(tmp_path / "study", ("random", "margin"), range(2), Run(rounds=4))
    assert main([str(tmp_path / "study")]) == 0
    folder = tmp_path / "study" / "report" / "figures"
    for file in folder.glob("*.svg"):
        assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert file.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert b"/FontFile2" in file.with_suffix(".pdf").read_bytes(), "a TrueType font"
    drawn = pd.read_csv(folder / "digits-learning-curves.csv")
    rounds = pd.read_csv(next((tmp_path / "study").glob("*margin-s1*")) / "rounds.csv")
    margin = drawn.loc[drawn["method"] == "margin"]
    assert margin["seed 1"].tolist() == pytest.approx(rounds["test/acc"].tolist())
    assert margin["mean"].tolist() == pytest.approx(margin[["seed 0", "seed 1"]].mean(axis=1).tolist())


def test_the_number_of_methods_does_not_multiply_canvases_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FIGURES", {name: page.FIGURES[name] for name in ("overlap", "pool-map")})
    names = ["random", *(f"own{i}" for i in range(NUMBERED_METHODS))]
    study(tmp_path / "study", names, range(2), Run(rounds=3))
    assert main([str(tmp_path / "study")]) == 0
    folder = tmp_path / "study" / "report" / "figures"
    assert (folder / "digits-pool-map.svg").read_text(encoding="utf-8").count("<image") <= 3, "and the scale's"
    overlap = (folder / "digits-overlap.svg").read_text(encoding="utf-8")
    assert overlap.count("<text") == 2 * len(names)
    assert (folder / "digits-overlap.csv").read_text(encoding="utf-8").count("\n") == len(names) + 1


def test_figures_are_drawn_whatever_backend_the_environment_names(tmp_path: Path) -> None:
    study(tmp_path / "study", ("random",), range(1), Run(rounds=2))
    environment = {**os.environ, "MPLBACKEND": "module://not_installed.backend_inline"}
    line = [sys.executable, "-m", "al_lightning.report", str(tmp_path / "study")]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study" / "report" / "figures" / "digits-learning-curves.png").exists()


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: np.ndarray) -> float:
    return float(np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def test_text_in_cells_can_be_read_on_a_light_and_a_dark_page() -> None:
    from al_lightning.report.figures.style import BLUES, ORANGE_OR_PURPLE

    inks = {"light": (1.0, 0.102), "dark": (0.09, 0.91)}  # page and text of page.css
    for cells in (BLUES, ORANGE_OR_PURPLE):
        for shade in cells(np.linspace(0, 1, 50)):
            for ground, ink in inks.values():
                over = shade[:3] * shade[3] + ground * (1 - shade[3])
                text = np.ones(3) if text_on(shade) == "white" else np.full(3, ink)
                assert contrast(over, text) > 4.1, (shade, ground)
