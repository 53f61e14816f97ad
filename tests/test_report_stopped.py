"""Stopping rules, random images beside the chosen ones and balanced initial sets are said beside the headline."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import Command
from report_runs import one, table

from al_lightning.errors import DataError
from al_lightning.report import load
from al_lightning.report.__main__ import main as report
from al_lightning.report.cautions import cautions
from al_lightning.report.compare import compare
from al_lightning.report.details import read

RISING = {10: 0.5, 20: 0.6, 30: 0.7}


def said(rounds: pd.DataFrame) -> list[str]:
    comparison = one(rounds)
    return cautions(comparison, read(comparison))


def test_the_rule_that_ended_a_run_and_those_that_would_have_are_named_with_their_reasons() -> None:
    rounds = table({"random": {0: RISING}, "margin": {0: RISING}})
    assert said(rounds) == []
    rounds["stop/reason"] = pd.Series(pd.NA, rounds.index, dtype="string")
    rounds["stop/act"] = pd.Series(pd.NA, rounds.index, dtype="string")
    assert said(rounds) == []
    rounds.loc[4, "stop/reason"] = "money:2: 2 spent, another query would make it 3"
    rounds.loc[5, "stop/reason"] = "money:2: 3 spent, another query would make it 4; labels:35:act: 30 labels paid for"
    rounds.loc[5, "stop/act"] = "labels:35:act"
    assert said(rounds) == [
        "money:2 would have stopped margin seed 0 at 20 labels (2 spent, another query would make it 3).",
        "labels:35:act stopped margin seed 0 at 30 labels (30 labels paid for).",
    ]


def test_of_many_runs_the_first_are_named() -> None:
    rounds = table({"margin": dict.fromkeys(range(6), RISING)})
    rounds["stop/reason"] = [text for i in range(6) for text in (None, f"stable:0.9: a kappa of 0.9{i}", None)]
    assert said(rounds) == [
        "stable:0.9 would have stopped margin seed 0 at 20 labels, margin seed 1 at 20 labels, margin seed 2 at 20 "
        "labels and 3 more (margin seed 0 at 20 labels: a kappa of 0.90)."
    ]


@pytest.mark.parametrize("seeds", [2, 6])
def test_the_last_verdict_of_every_run_is_said_and_of_many_how_often_each(seeds: int) -> None:
    rounds = table({"margin": dict.fromkeys(range(seeds), RISING), "random": {0: RISING}})
    last = ["better", "undecided", "worse", "better", "better", "undecided"][:seeds]
    rounds["control/verdict"] = [*(text for v in last for text in ("undecided", "worse", v)), None, None, None]
    rounds["control/lower"], rounds["control/upper"] = 0.012, 0.05
    listed = "margin seed 0 better (+1.2 to +5.0 points); margin seed 1 undecided (+1.2 to +5.0 points)"
    counted = "margin 3 better, 1 worse, 2 undecided"
    assert said(rounds) == [
        "Heads on chosen labels against heads on equally many random ones (al.control): "
        f"{listed if seeds == 2 else counted}. Of each run by itself, at 95%, over the rounds so far."
    ]


def test_a_report_of_runs_with_all_of_them(
    command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str], one_figure: None
) -> None:
    for initial in ("balanced", "random"):
        arguments = ("embedding=pixels", "model=linear", "al.initial_size=20", "al.query_size=20", "al.val_size=40")
        rules = "al.stop=[labels:100:act,accuracy:0.1]"
        study = (f"study={initial}", f"al.initial={initial}")
        assert command(*arguments, rules, *study, "al.control=0.3", "al.rounds=4").code in (0, None)
    place = tmp_path / "cwd" / "multirun_outputs"
    ends = {
        name: cautions(comparison, read(comparison))
        for name in ("balanced", "random")
        for comparison in compare(load(place / name))
    }
    balanced = "The initial set was balanced by labels that nobody paid for (al.initial=balanced)."
    assert ends["balanced"][0] == balanced and balanced not in ends["random"]
    for cautions_ in ends.values():
        assert [text.split(" margin seed 0")[0] for text in cautions_ if text != balanced] == [
            "accuracy:0.1 would have stopped",
            "labels:100:act stopped",
            "Heads on chosen labels against heads on equally many random ones (al.control):",
        ]
        assert (
            "labels:100:act stopped margin seed 0 at 60 labels (100 labels paid for, another query would make it 120)."
            in (cautions_)
        )
    assert report([str(place / "balanced")]) == 0
    assert f"caution: {balanced}" in capfd.readouterr().out
    assert "labels:100:act stopped margin seed 0" in (place / "balanced" / "report" / "report.html").read_text()


def test_text_among_the_columns_is_no_damage_and_steers_no_terminal(command: Command, tmp_path: Path) -> None:
    arguments = ("embedding=pixels", "model=linear", "al.initial_size=20", "al.query_size=20", "al.rounds=1")
    assert command(*arguments, "al.stop=[labels:30]").code in (0, None)
    (file,) = (tmp_path / "cwd").rglob("rounds.csv")
    file.write_text(file.read_text().replace("labels:30", "labels:\x1b[31m30"))
    rounds = load(tmp_path / "cwd")
    assert rounds.attrs["notes"] == () and rounds["stop/reason"].iloc[0].startswith("labels:?[31m30: 20 labels")


def test_a_run_that_a_rule_ended_before_anything_was_trained_is_named_so(command: Command, tmp_path: Path) -> None:
    ended = command("embedding=pixels", "model=linear", "al.initial_size=0", "al.stop=[labels:5:act]")
    assert ended.code in (0, None) and "finished: no labels, and nothing was trained" in ended.out
    with pytest.raises(DataError, match="it ended before anything was trained, so there is nothing to compare"):
        load(tmp_path / "cwd" / "multirun_outputs")
