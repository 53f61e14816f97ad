"""Labels as a CSV table, a row an image."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from al_lightning.disk import write as write_file
from al_lightning.exchange.labels import Labels

FILE = "labels.csv"
COLUMNS = ("file", "digest", "class", "annotators", "at", "state", "flagged")


def write(labels: Labels, out: Path) -> list[str]:
    """Write `labels.csv`: every image, those without an answer too.

    `annotators` are separated by `;`, and quoted as in a table where a name has one; `at` is when the last of them
    answered.

    Args:
        labels: of a project or a run.
        out: an empty folder.

    Returns:
        What to print.
    """
    rows = [
        (
            each.path,
            each.digest,
            each.label or "",
            joined(each.annotators),
            max((answer.at for answer in each.agreeing), default=""),
            each.state,
            "yes" if each.flag else "",
        )
        for each in labels.images
    ]
    write_file(out / FILE, to_csv(COLUMNS, rows))
    return [f"{FILE}: {len(rows):,} images, {sum(each.label is not None for each in labels.images):,} with a label"]


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A table in UTF-8; all is quoted, since an unquoted carriage return or leading space is lost."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")  # names from elsewhere may be no Unicode


def joined(names: Sequence[str]) -> str:
    """Names in one cell."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="").writerow(names)
    return text.getvalue() if names else ""


def separated(cell: str) -> list[str]:
    """The names that :func:`joined` has put into a cell."""
    names = next(csv.reader([cell], delimiter=";"), [])
    return [name.strip() for name in names if name.strip()]
