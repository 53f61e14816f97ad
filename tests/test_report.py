"""From run folders to a table, against figures computed by hand."""

import math
from pathlib import Path

import pandas as pd
import pytest

from al_lightning.errors import DataError
from al_lightning.report import load
from al_lightning.report.__main__ import main
from al_lightning.report.statistics import areas, curve, interval, paired


def write_run(study: Path, strategy: str, seed: int, accuracy: list[float], clusters: int = 12) -> None:
    folder = study / f"digits-cnn-{strategy}-s{seed}-{clusters:08x}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        f"study: {study.name}\nseed: {seed}\ndataset: {{name: digits}}\nmodel: {{name: cnn}}\n"
        f"strategy: {{name: {strategy}, score: {{n_clusters: {clusters}}}}}\nal: {{rounds: {len(accuracy) - 1}}}\n"
    )
    rows = [{"round": i, "n_labeled": 20 * (i + 1), "test/acc": value} for i, value in enumerate(accuracy)]
    pd.DataFrame(rows).to_csv(folder / "rounds.csv", index=False)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    study = tmp_path / "study"
    write_run(study, "random", 0, [0.5, 0.6, 0.7])
    write_run(study, "random", 1, [0.5, 0.7, 0.7])
    write_run(study, "margin", 0, [0.5, 0.8, 0.9])
    write_run(study, "margin", 1, [0.5, 0.8])  # still running
    return study


def test_a_row_a_round_with_who_it_belongs_to(study: Path) -> None:
    rounds = load(study)
    assert len(rounds) == 11
    assert list(rounds.columns[:8]) == [
        *("folder", "study", "dataset", "model", "strategy", "variant", "seed", "finished")
    ]
    assert set(rounds["variant"]) == {""}
    assert load(study / "digits-cnn-margin-s1-0000000c")["n_labeled"].tolist() == [20, 40]


def test_runs_that_differ_in_a_setting_are_variants(tmp_path: Path) -> None:
    write_run(tmp_path / "k", "kmeans", 0, [0.5], clusters=10)
    write_run(tmp_path / "k", "kmeans", 1, [0.5], clusters=25)
    assert load(tmp_path).groupby("seed")["variant"].first().tolist() == [" n_clusters=10", " n_clusters=25"]


def test_curves_areas_and_differences_by_hand(study: Path) -> None:
    rounds = load(study)
    random, margin = (rounds.query(f"strategy == '{name}'") for name in ("random", "margin"))
    points = curve(random).set_index("n_labeled")
    assert points.loc[40, "mean"] == pytest.approx(0.65)
    assert points.loc[40, "half_width"] == pytest.approx(12.706205 * 0.05)  # t(0.975, 1) x standard error
    assert curve(margin).set_index("n_labeled").loc[60, "n"] == 1
    assert areas(random).to_dict() == pytest.approx({0: 0.6, 1: 0.65})  # trapezoids over 20 to 60 labels
    difference = paired(areas(margin), areas(random))
    assert difference is not None
    assert difference.mean == pytest.approx(((0.75 - 0.6) + (0.65 - 0.65)) / 2)
    assert difference.half_width == pytest.approx(12.706205 * 0.075)


def test_one_seed_has_no_interval() -> None:
    alone = interval([0.5])
    assert (alone.mean, alone.n) == (0.5, 1)
    assert math.isnan(alone.half_width)
    assert str(alone) == "0.5000"


def test_the_command_prints_the_curves_and_saves_a_picture(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study)]) == 0
    out = capsys.readouterr().out
    assert "random (2)" in out
    assert "0.6500 ± 0.6353" in out
    assert "AUBC margin (1): 0.7500, by seed 0.1500 over random" in out, "the run that still runs has no area yet"
    assert (study / "curves.png").stat().st_size > 10_000


def test_a_folder_without_runs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        load(tmp_path)
    assert main([str(tmp_path)]) == 1
    assert "no run with a committed round" in capsys.readouterr().err
