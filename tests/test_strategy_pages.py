"""A page a strategy: its docstring has what the page needs, and the pages in docs/strategies are up to date."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import strategy_pages
from leaderboard_runs import load
from leaderboard_tables import cells_of
from strategy_pages import SECTIONS, all_pages, needs, read, written

from al_lightning.config import schema
from al_lightning.errors import ConfigError

ROOT = Path(__file__).parents[1]
NAMES = schema.options("strategy")


@pytest.mark.parametrize("name", NAMES)
def test_a_docstring_has_all_sections(name: str) -> None:
    page = read(name)
    assert [title for title in SECTIONS if not page.sections.get(title)] == []
    assert page.about.endswith(".") and page.asks_for[0].isupper()


def test_what_a_page_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "conf_dir", lambda: tmp_path)
    file = tmp_path / "strategy" / "plain.yaml"
    file.parent.mkdir()
    file.write_text("name: plain\n_target_: al_lightning.strategy.margin\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"plain\.yaml: a comment in its first line"):
        read("plain")
    file.write_text("# Nothing\nname: plain\n_target_: al_lightning.strategy.top\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"select\.py, top: its docstring lacks Formula:, Source:, Cost:, Use when:"):
        read("plain")


def test_the_pages_are_those_that_are_made() -> None:
    """If not: python benchmarks/strategy_pages.py."""
    made = all_pages(ROOT / "docs" / "leaderboard" / "runs.csv")
    there = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "docs" / "strategies").glob("*.md")}
    assert sorted(there) == sorted(made)
    assert [name for name, text in made.items() if there[name] != text] == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("random", "nothing"),
        ("margin", "a model"),
        ("coreset", "a model"),
        ("typiclust", "an embedding or a model"),
        ("drop_query", "a model"),  # which need not have been trained with dropout
        ("bald", "dropout samples or a committee"),
        ("batchbald", "dropout samples or a committee"),
        ("alfa_mix", "a model and labels"),
    ],
)
def test_what_one_needs_is_found_by_trying(name: str, wanted: str) -> None:
    assert needs(read(name).node) == wanted


def test_one_that_no_pool_is_enough_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needs(read("ceiling").node) == "labels that nobody has"

    def refused(*_: object) -> None:
        raise ConfigError("strategy=mine: it needs all labels")

    monkeypatch.setattr(strategy_pages, "_made", lambda _: refused)
    assert needs({}) == "labels that nobody has"


def test_a_page_has_the_settings_and_the_rows_of_the_leaderboard(tmp_path: Path) -> None:
    rows = [
        "setting,query_size,strategy,seed,aubc,final,curve,choose,seconds,failed_fits",
        *(f"digits,5,random,{seed},0.5{seed},0.6,0.4 0.6,0.1,3,0" for seed in (0, 1)),
        *(f"digits,5,bald,{seed},0.6{2 * seed},0.7,0.4 0.7,0.1,3,0" for seed in (0, 1)),
        *(f'digits,5,"bald, power",{seed},0.4{seed},0.5,0.4 0.5,0.1,3,0' for seed in (0, 1)),
        "MNIST,20,random,0,0.5,0.6,0.4 0.6,0.1,3,0",
    ]
    (tmp_path / "runs.csv").write_text("\n".join(rows), encoding="utf-8")
    cells = cells_of(load(tmp_path / "runs.csv"))
    page = written(read("bald"), cells)
    assert "| digits | 5 | bald | 1 of 3 | 2 | 0.6100 ± 0.0141 | +0.1050 (+0.0415 to +0.1685) | 0.700 |" in page
    assert "| digits | 5 | bald, power | 3 of 3 | 2 | 0.4050 ± 0.0071 | −0.1000 (−0.1000 to −0.1000) | 0.500 |" in page
    assert "| MNIST" not in page and "| digits | 5 | random" not in page
    assert "| `strategy.score.mc_samples` | `al.mc_samples` | samples: by dropout, or of model.members |" in page
    assert "| `strategy.noise` | `null` | draw by the scores instead: power, softmax or softrank of them |" in page
    assert "On the leaderboard" not in written(read("margin"), cells)


def test_prose_shows_its_signs() -> None:
    assert strategy_pages._prose("p(y* | x_1) of `a_b`, see :func:`al_lightning.strategy.margin`") == (
        r"p(y\* | x\_1) of `a_b`, see `margin`"
    )
