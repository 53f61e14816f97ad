"""A table as Rich, Markdown, LaTeX and CSV; as HTML it is a macro of `page.html`."""

from collections.abc import Sequence

import rich.table

from al_lightning.report.table import Cell, Table

_MARKDOWN = str.maketrans(
    {**{sign: f"\\{sign}" for sign in "\\|`*_[]"}, "\n": " ", "\r": " ", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
)
_LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"}
    | {"±": r"$\pm$", "−": "$-$", "≥": r"$\geq$", "<": "$<$", ">": "$>$", "\n": " ", "\r": " "}
)


def terminal(table: Table) -> rich.table.Table:
    """For Rich's console, without its title."""
    shown = rich.table.Table(box=None, padding=(0, 2, 0, 0))
    for number, column in enumerate(table.columns):
        justify = "left" if number < table.left else "right"
        shown.add_column(column, justify=justify, vertical="bottom", overflow="fold")
    for row in table.rows:
        shown.add_row(*(cell.text for cell in row))
    return shown


def markdown(table: Table) -> str:
    """In Markdown, signs with a meaning in it or in HTML escaped; notes below."""
    lines = [
        _line(table.columns),
        "|" + "|".join("---" if i < table.left else "---:" for i in range(len(table.columns))) + "|",
        *(_line([cell.text for cell in row]) for row in table.rows),
        *(f"\n{note.translate(_MARKDOWN)}" for note in table.notes),
    ]
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A `tabular` that needs no package, with its title and notes as comments."""
    columns = "l" * table.left + "r" * (len(table.columns) - table.left)
    lines = [
        *(f"% {' '.join(text.split())}" for text in (table.title, *table.notes)),
        f"\\begin{{tabular}}{{{columns}}}",
        "\\hline",
        _row([Cell(column) for column in table.columns]),
        "\\hline",
        *(_row(row) for row in table.rows),
        "\\hline",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def csv(table: Table) -> str:
    """The data with all digits."""
    return table.data.to_csv(index=False, lineterminator="\n")


FILES = {"csv": csv, "md": markdown, "tex": latex}


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.translate(_MARKDOWN) for text in texts) + " |"


def _row(cells: Sequence[Cell]) -> str:
    return " & ".join(cell.text.translate(_LATEX) for cell in cells) + r" \\"
