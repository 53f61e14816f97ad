"""The list of tables and its renderers: every table is in every form, and no name is taken for markup."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from report_runs import table
from run_writer import write_run

from al_lightning.report import load
from al_lightning.report.compare import compare
from al_lightning.report.render import FILES, latex, markdown
from al_lightning.report.screen import print_report
from al_lightning.report.sections import Section, sections, write_tables
from al_lightning.report.table import Cell, Table

EVIL = "a|b <script> [bold red]x[/] :smile: *"
TEX = EVIL.replace("|", r"\textbar{}").replace("<", "$<$").replace(">", "$>$")


@pytest.fixture
def made() -> Sequence[Section]:
    curves = {
        "random": {0: {10: 0.5, 20: 0.6}, 1: {10: 0.5, 20: 0.7}},
        EVIL: {0: {10: 0.6, 20: 0.8}, 1: {10: 0.5, 20: 0.9}},
    }
    plain = table({"random": {0: {100: 0.9}}}, folder="plain", one_shot=True)
    other = table({"random": {0: {100: 0.9}}}, folder="other", setting="mnist", one_shot=True)
    return sections(compare(pd.concat([table(curves), plain, other]), (0.6, 0.95), 1000.5))


def test_every_table_is_written_in_every_form(made: Sequence[Section], tmp_path: Path) -> None:
    names = ["verdict", "labels_to", "saved", "one_shot", "aubc", "pairs", "penalty", "curve", "ran"]
    assert [shown.name for shown in made[0].tables] == names
    assert [shown.name for shown in made[1].tables] == ["one_shot", "curve", "ran"], "there is nothing to compare"
    files = write_tables(made, tmp_path)
    assert {file.name for file in (tmp_path / "tables").iterdir()} == {
        *(f"digits-{name}.{kind}" for name in names for kind in FILES),
        *(f"mnist-{name}.{kind}" for name in ("one_shot", "curve", "ran") for kind in FILES),
    }
    read = {name: pd.read_csv(tmp_path / "tables" / f"digits-{name}.csv") for name in names}
    comparison = made[0].comparison
    for name in ("aubc", "labels_to", "saved", "pairs"):
        assert read[name].columns.to_list() == ["setting", *getattr(comparison, name).columns]
    assert read["aubc"].values.tolist() == [["digits", *row] for row in comparison.aubc.values.tolist()], "all digits"
    assert read["verdict"]["method"].to_list() == [EVIL, "random"], "best first"
    assert read["penalty"].values.tolist() == [["digits", "random", EVIL, 0], ["digits", EVIL, "random", 0]]
    points = read["curve"].set_index(["measure", "method", "n_labeled"])
    assert points.loc[("test/acc", "random", 20)].to_list() == [
        *("digits", pytest.approx(0.65), pytest.approx(12.706205 * 0.05), 2),
    ]
    assert len(points) == 2 * 2 * 2, "two measures, methods and label counts"
    assert read["one_shot"][["setting", "measure", "n_labeled", "mean", "n"]].values.tolist() == [
        *(["digits", "test/acc", 100, 0.9, 1], ["digits", "test/ece", 100, 0.1, 1]),
    ]
    for file in files:
        if file.suffix == ".csv":
            assert len({len(row) for row in csv.reader(io.StringIO(file.read_text(encoding="utf-8")))}) == 1


def test_the_first_table_answers(made: Sequence[Section]) -> None:
    verdict = made[0].tables[0]
    assert verdict.columns == [
        *("strategy", "verdict", "AUBC", "against random (95% interval)", "p", "labels to 60%", "seeds"),
    ]
    assert "95%" not in "".join(verdict.columns).replace("95% interval", ""), "a target that nobody reached"
    assert [[cell.text for cell in row] for row in verdict.rows] == [
        [EVIL, "not distinguishable", "0.7000 ± 0.0000", "+0.1250 (−0.1927 to +0.4427)", "0.13", "11 ± 16", "2"],
        ["random", "reference", "0.5750 ± 0.3177", "", "", "18 ± 32", "2"],
    ]
    bar = verdict.rows[0][3].bar
    assert bar is not None and bar.low < bar.zero < bar.middle < bar.high
    assert verdict.notes[0].startswith(
        "AUBC: area under the budget curve: mean accuracy on the test part from 10 to 20 labels, 0 to 1"
    )


def test_failed_fits_stand_beside_the_verdict_where_runs_say_them() -> None:
    rounds = table({"random": {0: {10: 0.5, 20: 0.6}}, "a": {0: {10: 0.5, 20: 0.6}, 1: {10: 0.5, 20: 0.7}}})
    (before,) = sections(compare(rounds))
    assert "failed fits" not in before.tables[0].columns
    rounds["fit/ok"] = pd.array([True, False, None, None, True, False], dtype="boolean")
    (section,) = sections(compare(rounds))
    of = {row[0].text: row[-1].text for row in section.tables[0].rows}
    assert section.tables[0].columns[-1] == "failed fits" and of == {"random": "1 of 2", "a": "1 of 2"}


SMALL = Table(
    name="small",
    title="50% of\nit",
    columns=("a|b", "value_1"),
    rows=[[Cell("x|y\n<script>"), Cell("0.1 ± 0.2")], [Cell("\\&`*_[~"), Cell("−5%")]],
    data=pd.DataFrame({"a": [1 / 3]}),
    notes=("p < 0.05.",),
)


def test_markdown_escapes() -> None:
    assert markdown(SMALL) == (
        "| a\\|b | value\\_1 |\n"
        "|---|---:|\n"
        "| x\\|y &lt;script&gt; | 0.1 ± 0.2 |\n"
        "| \\\\&amp;\\`\\*\\_\\[~ | −5% |\n"
        "\np &lt; 0.05.\n"
    )


def test_latex_escapes_and_needs_no_package() -> None:
    assert latex(SMALL) == (
        "% 50% of it\n% p < 0.05.\n"
        "\\begin{tabular}{lr}\n\\hline\n"
        "a\\textbar{}b & value\\_1 \\\\\n\\hline\n"
        "x\\textbar{}y $<$script$>$ & 0.1 $\\pm$ 0.2 \\\\\n"
        "\\textbackslash{}\\&`*\\_[\\textasciitilde{} & $-$5\\% \\\\\n"
        "\\hline\n\\end{tabular}\n"
    )


def test_the_terminal_shows_the_answer_within_120_columns(
    made: Sequence[Section], capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(made, ["study/x: left out: damaged."])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 120
    assert out.startswith("note: study/x: left out: damaged.\n\ndigits\na|b <script>")
    assert out.index("area under the budget curve") < out.index("0.5750 ± 0.3177"), "explained where it stands first"
    for text in (made[0].comparison.headline, "No run reached 95%.", "Trained once", "mnist"):
        assert text in " ".join(out.split())
    assert "Pairwise penalty" not in out and "left out of AUBC" not in out, "neither what is folded, nor rules"


def test_many_methods_and_targets_stay_within_120_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = table(
        {f"{'long' * 10} k={i}": {0: {10: 0.5, 20: 0.6}} for i in range(9)} | {"random": {0: {10: 0.5, 20: 0.6}}}
    )
    print_report(sections(compare(rounds, [i / 20 for i in range(20)], 12.5)))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


def test_what_ran_sums_the_seconds(tmp_path: Path) -> None:
    write_run(tmp_path / "study", "a", [0.5, 0.6])
    (section,) = sections(compare(load(tmp_path)))
    assert section.tables[-1].data[["seconds", "rounds", "folder"]].values.tolist() == [["3", "2 of 2", "a"]]
