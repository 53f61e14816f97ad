"""What is said of each setting, before it is printed, written or put on a page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from al_lightning.report.cautions import cautions
from al_lightning.report.compare import Comparison
from al_lightning.report.details import Details, read
from al_lightning.report.figures.files import slug, write
from al_lightning.report.render import FILES
from al_lightning.report.settle import settle
from al_lightning.report.table import Table
from al_lightning.report.tables import tables

FOLDER = "tables"


@dataclass(frozen=True)
class Section:
    """A setting.

    Attributes:
        anchor: its name in addresses and names of files.
        comparison: of its runs.
        details: what they have left besides their rounds.
        cautions: sentences that belong beside the headline.
        settle: the command that would settle what is open, and how long it takes; empty where nothing is.
        tables: the answer first.
    """

    anchor: str
    comparison: Comparison
    details: Details
    cautions: Sequence[str]
    settle: Sequence[str]
    tables: Sequence[Table]

    @property
    def notes(self) -> tuple[str, ...]:
        """How the rules applied here, and what could not be read."""
        return (*self.comparison.notes, *self.details.notes)


def sections(comparisons: Sequence[Comparison]) -> list[Section]:
    """A section a comparison; reads what the runs have left besides their rounds."""
    taken: set[str] = set()
    return [_section(comparison, slug(comparison.setting, taken)) for comparison in comparisons]


def write_tables(made: Sequence[Section], out: Path) -> list[Path]:
    """Write every table as `tables/<anchor>-<name>.csv`, `.md` and `.tex`; the CSV has a first column `setting`.

    Args:
        made: see :func:`sections`.
        out: folder of the report; it is made where it is missing.

    Returns:
        The files.

    Raises:
        OSError: they cannot be written.
    """
    files = []
    for section in made:
        for table in section.tables:
            for suffix, render in FILES.items():
                files.append(out / FOLDER / f"{section.anchor}-{table.name}.{suffix}")
                write(files[-1], render(table).encode(errors="replace"))
    return files


def _section(comparison: Comparison, anchor: str) -> Section:
    details = read(comparison)
    return Section(
        anchor=anchor,
        comparison=comparison,
        details=details,
        cautions=cautions(comparison, details),
        settle=settle(comparison),
        tables=[_with_setting(table, comparison.setting) for table in tables(comparison, details.summaries)],
    )


def _with_setting(table: Table, setting: str) -> Table:
    """Files of several settings can be read as one."""
    return replace(table, data=pd.concat([pd.Series(setting, table.data.index, name="setting"), table.data], axis=1))
