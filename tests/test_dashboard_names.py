"""Names of studies, data sets and strategies that mean something to W&B, to its library, or to Markdown."""

from pathlib import Path

import pytest
from dashboard_runs import WANDB, filters, ids, needs_extra, shown, specification, uploaded, verdict, write_study
from run_writer import write_run

pytestmark = pytest.mark.usefixtures("no_network")


@needs_extra
@pytest.mark.parametrize(
    "name", ["a=b", "x<y>=z", 'it\'s "quoted" \\ [x]', "Ziffern-ü", "😀 $ ^ +", "within_last 5 days"]
)
def test_odd_names_come_through(tmp_path: Path, name: str) -> None:
    runs = write_study(tmp_path / name, dataset__name=f"d|{name}")
    write_run(tmp_path / name, "", [0.5, 0.6], dataset__name="other", **WANDB)
    conditions = filters(specification(tmp_path / name))
    of_study = [condition for condition in conditions[0] if condition["key"]["name"] == "group"]
    assert [condition["value"] for condition in of_study] == [[name]]
    assert shown(conditions[0], uploaded(*runs)) == ids(*runs)


@needs_extra
def test_names_are_text_in_the_verdict(tmp_path: Path) -> None:
    for strategy in ("random", "<script>|x"):
        write_run(tmp_path / "study", "", [0.5, 0.6], strategy__name=strategy, **WANDB)
    rows, _ = verdict(specification(tmp_path / "study"))
    assert rows[2][0] == r"&lt;script&gt;\|x"


@needs_extra
def test_long_names_of_studies_are_cut_in_the_title(tmp_path: Path) -> None:
    folders = [tmp_path / f"{letter * 60}" for letter in "abc"]
    for folder in folders:
        write_study(folder)
    written = specification(*folders)
    assert len(written["report"]["displayName"]) == len(written["workspaces"][0]["displayName"]) == 128
