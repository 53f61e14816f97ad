"""The command: where it writes, what it prints, by which measure, and that whoever reads it cannot end it."""

import io
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from studies import Run, study, write

from al_lightning.report import load
from al_lightning.report.__main__ import main
from al_lightning.report.rules import RULES

pytestmark = pytest.mark.usefixtures("one_figure")
COMMAND = [sys.executable, "-m", "al_lightning.report"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study(tmp_path / "study", ("random", "margin"), range(3), Run(rounds=4))
    return tmp_path / "study"


def test_a_report_on_a_part_leaves_the_study_s_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, other = sorted(load(folder)["folder"].unique())[:2]
    assert main([str(folder)]) == 0
    page = folder / "report" / "report.html"
    before = page.read_bytes()
    assert main([run]) == 0
    assert main([run, other]) == 0
    second = folder.parent / "second"
    write(second, Run())
    assert main([str(folder), str(second)]) == 0
    name = Path(run).name
    for part in (name, f"{name}-and-1-more", "study-and-1-more"):
        assert (folder / "report" / part / "report.html").exists()
    assert page.read_bytes() == before
    monkeypatch.chdir(run)
    (folder / "report" / name / "report.html").unlink()
    assert main(["."]) == 0, "named by where one stands"
    assert (folder / "report" / name / "report.html").exists()
    assert len(load(folder)["folder"].unique()) == 6, "a report is not a run"


def test_the_screen_says_where_it_wrote_and_no_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert f"page: {folder / 'report' / 'report.html'}" in out
    assert RULES[0] not in " ".join(out.split())
    assert RULES[0] in (folder / "report" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["--rules"])
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.splitlines() == [f"{i}. {rule}" for i, rule in enumerate(RULES, 1)]


def test_latex_is_all_that_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--latex"]) == 0
    out = capsys.readouterr().out
    assert out == (folder / "report" / "tables" / "digits-verdict.tex").read_text(encoding="utf-8")
    assert "\\begin{tabular}{ll" in out and "margin & " in out


@pytest.mark.parametrize("measure", ["balanced_acc", "f1", "auroc", "nll"])
def test_the_measure_drives_areas_targets_and_verdict(
    folder: Path, measure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "--measure", measure]) == 0
    table = pd.read_csv(folder / "report" / "tables" / "digits-verdict.csv")
    assert table["method"].to_list() == ["margin", "random"], "it is the better one by any measure"
    assert table["difference"].to_list()[0] * (-1 if measure == "nll" else 1) > 0
    rounds = load(folder)
    title = {"balanced_acc": "balanced accuracy", "f1": "F1", "auroc": "AUROC", "nll": "negative log likelihood"}[
        measure
    ]
    out = capsys.readouterr().out
    assert f"mean {title} on the test part" in " ".join(out.split())
    reached = pd.read_csv(folder / "report" / "tables" / "digits-labels_to.csv")
    values = rounds[f"test/{measure}"]
    assert reached["target"].between(values.min(), values.max()).all()


def test_a_measure_that_no_run_has_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in folder.glob("*/rounds.csv"):
        pd.read_csv(file).drop(columns=["test/f1", "test/nll"]).to_csv(file, index=False)
    assert main([str(folder), "--measure", "f1"]) == 1
    assert (
        "no run has test/f1 in its rounds.csv; choose --measure among acc, balanced_acc, auroc"
        in capsys.readouterr().err
    )


def test_runs_without_the_measure_are_left_out_and_named(folder: Path) -> None:
    without = sorted(folder.glob("*margin-s0*/rounds.csv"))[0]
    pd.read_csv(without).drop(columns=["test/f1"]).to_csv(without, index=False)
    assert main([str(folder), "--measure", "f1"]) == 0
    assert f"{without.parent}: left out: no test/f1." in (folder / "report" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_gets_words(folder: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = folder.rename(folder.with_name("Studie é 漢"))
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, file in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(file, encoding=encoding, errors="strict", write_through=True))
    assert main([str(moved)]) == 0
    assert written["stderr"].getvalue() == b""
    sign = {"ascii": b"0 +/- 0", "latin-1": "± ".encode("latin-1"), "utf-8": "± ".encode()}[encoding]
    assert sign.replace(b"0 ", b"").replace(b" 0", b"") in written["stdout"].getvalue()
    assert (moved / "report" / "report.html").exists()


def test_files_come_before_words_and_a_reader_may_leave(folder: Path) -> None:
    with subprocess.Popen([*COMMAND, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()  # as `| head` does
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert said == b""
    assert (folder / "report" / "report.html").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_behind_the_words_is_told(folder: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run([*COMMAND, folder], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == f"note: cannot print: No space left on device; page: {folder / 'report' / 'report.html'}\n"


def test_files_of_others_are_looked_past(folder: Path) -> None:
    load(folder).to_csv(folder / "rounds.csv", index=False)  # as the README shows
    load(folder).to_csv(folder.parent / "rounds.csv", index=False)
    for run in [path for path in folder.iterdir() if path.is_dir()]:
        for name in (".DS_Store", "._001", "rounds/.DS_Store", "rounds/._001", "rounds/.nfs000"):
            (run / name).write_bytes(b"\0")
    (folder / ".DS_Store").write_bytes(b"\0")
    for place in (folder, folder.parent):
        rounds = load(place)
        assert len(rounds["folder"].unique()) == 6 and rounds.attrs["notes"] == ()
        assert main([str(place)]) == 0
        assert (place / "report" / "report.html").exists()
