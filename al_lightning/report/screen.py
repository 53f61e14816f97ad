"""The report on the terminal, at most 120 columns wide."""

import codecs
import sys
from collections.abc import Iterable, Sequence
from io import TextIOWrapper

from rich.console import Console

from al_lightning.report.render import terminal
from al_lightning.report.sections import Section

WIDTH = 120
# For a terminal whose encoding lacks them.
_ASCII = {"±": "+/-", "−": "-", "≥": ">=", "…": "...", "×": "x"}


class _Console(Console):
    """Rich's, but for a reader that is gone (`| head`): Rich would end the process with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Leave it to the caller."""
        raise BrokenPipeError


def print_report(sections: Sequence[Section], notes: Iterable[str] = ()) -> None:
    """Print of every setting the answer, what speaks against it, and its first tables.

    Args:
        sections: see :func:`al_lightning.report.sections.sections`.
        notes: on reading the runs: `attrs["notes"]` of what :func:`al_lightning.report.load` gives.
    """
    # Names of methods and folders may hold brackets and colons: nothing is markup.
    console = _Console(markup=False, emoji=False, highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    for note in notes:
        console.print(f"note: {note}")
    for section in sections:
        _print(section, console)


def speak_any_encoding() -> None:
    """Let standard output spell what its encoding lacks, instead of failing."""
    codecs.register_error("spelled", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="spelled")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def _print(section: Section, console: Console) -> None:
    console.print(f"\n{section.comparison.setting}", style="bold")
    console.print(section.comparison.headline)
    for caution in section.cautions:
        console.print(f"caution: {caution}")
    for table in (table for table in section.tables if not table.folded):
        if table.name != "verdict":
            console.print(f"\n{table.title}", style="italic")
        for note in table.notes:  # those of the verdict explain what the headline says
            console.print(note)
        console.print(terminal(table))
    console.print()
    for note in section.notes:
        console.print(f"note: {note}")
    if section.settle:
        console.print(section.settle[0])
    for command in section.settle[1:]:
        console.print(f"  {command}", soft_wrap=True)  # to be copied
