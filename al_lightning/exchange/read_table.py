"""A table of labels (CSV, TSV) or JSON lines, row by row: one that is malformed does not keep out the others."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from al_lightning.data import label_file
from al_lightning.data.label_file import FILE_COLUMNS, LABEL_COLUMNS
from al_lightning.errors import DataError
from al_lightning.exchange.said import MALFORMED, Problem, Said
from al_lightning.exchange.table import separated
from al_lightning.people.answers import DISPUTED
from al_lightning.people.records import FLAG, LABEL, SKIP, UNSURE

Row = tuple[int, Mapping[str, Any] | ValueError]  # its line, and what is in it by column or is wrong with it
DIGEST = "digest"  # a column that names the image in place of a file
SHOWN = 100  # characters of a line that is no header


def read(file: Path, annotator: str) -> Iterator[Said | Problem]:
    """What a file says, with the columns of :mod:`al_lightning.data.label_file` and those of our own tables.

    Args:
        file: JSON lines by its suffix, else a table.
        annotator: who gave an answer that has no annotator.

    Raises:
        DataError: the file cannot be read, is empty, or its first line does not name the columns.
    """
    text = label_file.text_of(file)
    is_json = file.suffix.lower() in (".jsonl", ".ndjson", ".json")
    if not text.strip():
        first = '{"file_name": "a.jpg", "label": "cat"}' if is_json else "file_name,label"
        raise DataError(f"{file}: is empty; its first line has to be such as {first}")
    for number, row in _json_lines(text) if is_json else _table(file, text):
        where = f"line {number}"
        try:
            if isinstance(row, ValueError):
                raise row
            yield from _said(row, where, annotator)
        except (ValueError, DataError) as error:
            yield Problem(where, "", MALFORMED, str(error))


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = label_file.parsed(line, number)
                if not isinstance(row, dict):
                    raise ValueError(f"line {number} is no object of file and label")
                yield number, row
            except (ValueError, RecursionError) as error:
                yield number, ValueError(str(error))


def _table(file: Path, text: str) -> Iterator[Row]:
    delimiter = label_file.delimiter(text)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    header = None
    try:
        for row in table:
            if not any(cell.strip() for cell in row) or row[0][:4] == "sep=":  # Excel's
                continue
            if header is None:
                header = row
                _check_header(file, header)
                continue
            try:
                yield table.line_num, label_file.as_dict(header, row, table.line_num)
            except ValueError as error:
                yield table.line_num, error
    except csv.Error as error:
        if header is None:
            raise DataError(f"{file}: its first line cannot be read: {error}") from error
        yield table.line_num, ValueError(f"from here on nothing can be read: {error}")
    if header is None:
        _check_header(file, [])


def _check_header(file: Path, header: Sequence[str]) -> None:
    """Refuse a table whose columns nobody knows: else each of its rows would be a problem, and the first one lost.

    Raises:
        DataError: says what the first line has to be.
    """
    names = {each.strip().lower() for each in header}
    if names.isdisjoint((*FILE_COLUMNS, DIGEST)) or names.isdisjoint(LABEL_COLUMNS) or len(names) < len(header):
        raise DataError(
            f"{file}: its first line has to name the columns, each once, such as file_name,label: one of "
            f"{', '.join((*FILE_COLUMNS, DIGEST))}, and one of {', '.join(LABEL_COLUMNS)}; "
            f"it is: {','.join(header)[:SHOWN] or 'not there'}"
        )


def _said(row: Mapping[str, Any], where: str, annotator: str) -> Iterator[Said | Problem]:
    row = {key.strip().lower(): value for key, value in row.items()}
    texts = {key: str(value) for key, value in row.items() if type(value) in (str, int)}
    digest = texts.get(DIGEST, "").strip()
    if not digest:
        label_file.column(row, FILE_COLUMNS, where)
    names = [texts[column] for column in FILE_COLUMNS if texts.get(column)]
    label = label_file.column(row, LABEL_COLUMNS, where)
    state, flagged = texts.get("state", ""), texts.get("flagged", "")
    people = separated(texts.get("annotators", "")) or [texts.get("annotator") or annotator]
    shown = digest or next(iter(names), "")
    if label and state in (SKIP, UNSURE):
        yield Problem(where, shown, MALFORMED, f"it has the class {label!r}, and the state {state}")
        return
    if not label and state == DISPUTED:
        yield Problem(where, shown, DISPUTED, "annotators disagree, and a table does not say who said what")
        return
    kind = LABEL if label else state
    if kind in (LABEL, SKIP, UNSURE):
        for each in people:
            yield Said(where, digest, tuple(names), each, kind, label or None)
    if flagged:
        yield Said(where, digest, tuple(names), people[0], FLAG)
