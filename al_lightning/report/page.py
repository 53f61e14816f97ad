"""The report as one page that needs nothing else: figures, tables and pictures are in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from al_lightning.report.asked import read
from al_lightning.report.compare import RULES, Comparison
from al_lightning.report.figures import FIGURES
from al_lightning.report.figures.files import Shown, save, slug, write
from al_lightning.report.figures.style import styled
from al_lightning.report.gallery import CAPTION, Gallery, galleries
from al_lightning.report.page_tables import Table, runs_table, tables

# What is said in place of a figure whose data no run has.
MISSING = {
    "confusion": "No confusion matrix: no run folder has rounds/NNN/confusion.csv.",
    "reliability": "No reliability diagram: no run folder has rounds/NNN/reliability.csv.",
    "class-balance": "No classes of the queried images: no query, or no labels of classes that summary.json names.",
    "overlap": "No overlap of the queries: it takes two methods that have asked, and a seed that both have.",
    "scores": "No scores: no run folder has rounds/NNN/scores.csv; random has no scores.",
    "pool-map": "No map of the pool: no query, or no run folder has pool.npz.",
}


@dataclass(frozen=True)
class Section:
    """A setting on the page."""

    anchor: str
    comparison: Comparison
    tables: Sequence[Table]
    figures: dict[str, Shown]
    missing: dict[str, str]
    galleries: Sequence[Gallery]
    ran: Table
    notes: Sequence[str]


def write_page(comparisons: Sequence[Comparison], notes: Sequence[str], out: Path) -> Path:
    """Write `report.html`, and its figures to `figures/`.

    Args:
        comparisons: a section each.
        notes: sentences on the reading of the runs.
        out: folder of the report; it is made where it is missing.

    Returns:
        The page.
    """
    taken: set[str] = set()
    sections = [_section(comparison, slug(comparison.setting, taken), out / "figures") for comparison in comparisons]
    states = [run for section in sections for run in _states(section.comparison)]
    environment = Environment(
        loader=PackageLoader("al_lightning.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.html").render(
        title=f"Active learning: {', '.join(_studies(comparisons))}",
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        states=[(state, states.count(state)) for state in ("finished", "running", "stopped", "failed")],
        sections=sections,
        notes=notes,
        rules=RULES,
        gallery_caption=CAPTION,
    )
    page = out / "report.html"
    write(page, html.encode(errors="replace"))  # a file name need not be text
    return page


def _section(comparison: Comparison, anchor: str, folder: Path) -> Section:
    asked = read(comparison)
    figures, missing = {}, {}
    with styled():
        for name, draw in FIGURES.items():
            drawing = draw(comparison, asked)
            if drawing is not None:
                figures[name] = save(drawing, folder, anchor)
            elif comparison.methods and name in MISSING:
                missing[name] = MISSING[name]
    return Section(
        anchor=anchor,
        comparison=comparison,
        tables=tables(comparison),
        figures=figures,
        missing=missing,
        galleries=galleries(asked),
        ran=runs_table(comparison, asked.summaries),
        notes=(*comparison.notes, *asked.notes),
    )


def _states(comparison: Comparison) -> list[str]:
    return [
        str(state)
        for table in (comparison.rounds, comparison.one_shot)
        for state in table.drop_duplicates("folder")["state"]
    ]


def _studies(comparisons: Sequence[Comparison]) -> list[str]:
    return sorted({str(study) for c in comparisons for table in (c.rounds, c.one_shot) for study in table["study"]})
