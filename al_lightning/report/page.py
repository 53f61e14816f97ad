"""The report as one page that needs nothing else: figures, tables and pictures are in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from al_lightning.report.compare import Comparison
from al_lightning.report.figures import FIGURES
from al_lightning.report.figures.files import Shown, save, write
from al_lightning.report.figures.style import styled
from al_lightning.report.gallery import CAPTION, Gallery, galleries
from al_lightning.report.render import FILES
from al_lightning.report.rules import RULES
from al_lightning.report.sections import FOLDER, Section

# What is said in place of a figure whose data no run has.
MISSING = {
    "confusion": "No confusion matrix: no run folder has rounds/NNN/confusion.csv.",
    "reliability": "No reliability diagram: no run folder has rounds/NNN/reliability.csv.",
    "class-balance": "No classes of the queried images: no query, or no labels of classes that summary.json names.",
    "overlap": "No overlap of the queries: it takes two methods that have queried, and a seed that both have.",
    "scores": "No scores: no run folder has rounds/NNN/scores.csv; random has no scores.",
    "pool-map": "No map of the pool: no query, or no run folder has pool.npz.",
}


@dataclass(frozen=True)
class Drawn:
    """The figures of a section."""

    section: Section
    figures: dict[str, Shown]
    missing: dict[str, str]
    galleries: Sequence[Gallery]


def write_page(sections: Sequence[Section], notes: Sequence[str], out: Path) -> Path:
    """Write `report.html`, and its figures to `figures/`.

    Args:
        sections: see :func:`al_lightning.report.sections.sections`.
        notes: sentences on the reading of the runs.
        out: folder of the report; it is made where it is missing.

    Returns:
        The page.
    """
    drawn = [_drawn(section, out / "figures") for section in sections]
    states = [run for section in sections for run in _states(section.comparison)]
    environment = Environment(
        loader=PackageLoader("al_lightning.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.html").render(
        title=f"Active learning: {', '.join(_studies(sections))}",
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        states=[(state, states.count(state)) for state in ("finished", "running", "stopped", "failed")],
        drawn=drawn,
        notes=notes,
        rules=RULES,
        folder=FOLDER,
        suffixes=tuple(FILES),
        gallery_caption=CAPTION,
    )
    page = out / "report.html"
    write(page, html.encode(errors="replace"))  # a file name need not be text
    return page


def _drawn(section: Section, folder: Path) -> Drawn:
    figures, missing = {}, {}
    with styled():
        for name, draw in FIGURES.items():
            drawing = draw(section.comparison, section.details)
            if drawing is not None:
                figures[name] = save(drawing, folder, section.anchor)
            elif section.comparison.methods and name in MISSING:
                missing[name] = MISSING[name]
    return Drawn(section, figures, missing, galleries(section.details))


def _states(comparison: Comparison) -> list[str]:
    return [
        str(state)
        for table in (comparison.rounds, comparison.one_shot)
        for state in table.drop_duplicates("folder")["state"]
    ]


def _studies(sections: Sequence[Section]) -> list[str]:
    tables = [table for section in sections for table in (section.comparison.rounds, section.comparison.one_shot)]
    return sorted({str(study) for table in tables for study in table["study"]})
