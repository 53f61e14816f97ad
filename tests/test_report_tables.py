"""The comparison as files and on the terminal: every table is there, and no name is taken for markup."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from report_runs import table

from al_lightning.report.compare import RULES, Comparison, compare
from al_lightning.report.tables import markdown, write_tables
from al_lightning.report.verdict import print_verdict

EVIL = "a|b <script> [bold red]x[/] :smile: *"


@pytest.fixture
def comparisons() -> list[Comparison]:
    curves = {
        "random": {0: {10: 0.5, 20: 0.6}, 1: {10: 0.5, 20: 0.7}},
        EVIL: {0: {10: 0.6, 20: 0.8}, 1: {10: 0.5, 20: 0.9}},
    }
    plain = table({"random": {0: {100: 0.9}}}, folder="plain", one_shot=True)
    other = table({"random": {0: {100: 0.9}}}, folder="other", setting="mnist", one_shot=True)
    return compare(pd.concat([table(curves), plain, other]), (0.6, 0.95), 1000.5)


def test_every_table_is_written_as_csv_and_as_markdown(comparisons: list[Comparison], tmp_path: Path) -> None:
    files = write_tables(comparisons, tmp_path / "report" / "tables")
    names = ["aubc", "labels_to", "saved", "pairs", "verdicts", "penalty", "curve", "one_shot", "notes", "rules"]
    assert [file.name for file in files] == [f"{name}.{kind}" for name in names for kind in ("csv", "md")]
    read = {name: pd.read_csv(tmp_path / "report" / "tables" / f"{name}.csv") for name in names}
    for name in ("aubc", "labels_to", "saved", "pairs", "verdicts"):
        assert read[name].columns.to_list() == ["setting", *getattr(comparisons[0], name).columns]
        assert len(read[name]) == len(getattr(comparisons[0], name))
    assert read["aubc"].values.tolist() == [["digits", *row] for row in comparisons[0].aubc.values.tolist()]
    assert read["penalty"].values.tolist() == [["digits", "random", EVIL, 0], ["digits", EVIL, "random", 1]]
    points = read["curve"].set_index(["measure", "method", "n_labeled"])
    assert points.loc[("test/acc", "random", 20)].to_list() == [
        *("digits", pytest.approx(0.65), pytest.approx(12.706205 * 0.05), 2),
    ]
    assert len(points) == 2 * 2 * 2, "two measures, methods and label counts"
    assert read["one_shot"][["setting", "measure", "n_labeled", "mean", "n"]].values.tolist() == [
        *(["digits", "test/acc", 100, 0.9, 1], ["digits", "test/ece", 100, 0.1, 1]),
        *(["mnist", "test/acc", 100, 0.9, 1], ["mnist", "test/ece", 100, 0.1, 1]),
    ]
    assert read["rules"]["text"].to_list() == list(RULES)
    with files[0].open(newline="") as file:
        assert len({len(row) for row in csv.reader(file)}) == 1


def test_markdown_rounds_and_escapes(comparisons: list[Comparison]) -> None:
    rows = pd.DataFrame(
        {
            "a|b": ["x|y\n<script>", "\\&`*_["],
            "value": [0.123456, float("nan")],
            "size": [1234.56, 1e-5],
            "n": [3, 4],
            "more": pd.Series([None, 40], dtype=object),
        }
    )
    assert markdown(rows) == (
        "| a\\|b | value | size | n | more |\n"
        "|---|---:|---:|---:|---|\n"
        "| x\\|y &lt;script&gt; | 0.1235 | 1235 | 3 |  |\n"
        "| \\\\&amp;\\`\\*\\_\\[ |  | 1e-05 | 4 | 40 |\n"
    )


def test_the_terminal_shows_it_all_within_120_columns(
    comparisons: list[Comparison], capsys: pytest.CaptureFixture[str]
) -> None:
    print_verdict(comparisons, ["study/x: left out: damaged."])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 120
    assert out.startswith("note: study/x: left out: damaged.\n\ndigits\nnote: AUBC from 10 to 20 labels")
    for text in (EVIL, "0.5750 ± 0.3177", "> 20 (0 of 2 reached)", "unknown", "+0.1250", "-0.1927 to 0.4427", "mnist"):
        assert text in out
    assert " ".join(comparisons[0].verdicts["sentence"].iloc[0].split()) in " ".join(out.split())
    assert f"1. {RULES[0][:100]}" in out


def test_many_methods_and_targets_stay_within_120_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = table(
        {f"{'long' * 10} k={i}": {0: {10: 0.5, 20: 0.6}} for i in range(9)} | {"random": {0: {10: 0.5, 20: 0.6}}}
    )
    print_verdict(compare(rounds, [i / 20 for i in range(20)], 12.5))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 120
    assert "those with random, of 45 in tables/pairs.csv" in out
