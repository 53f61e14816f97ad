"""A file that says which class an image is of: a table (CSV, TSV) or JSON lines, Hugging Face's `metadata.csv` too."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from posixpath import normpath
from typing import Any

from al_lightning.data.names import normal
from al_lightning.errors import ConfigError, DataError

NO_CLASS = ""  # the class of an image that nobody has named
FILE_COLUMNS = ("file_name", "file", "filename", "path", "image", "id")
LABEL_COLUMNS = ("label", "class", "class_name", "category")


def find(base: Path, parts: Sequence[str], given: str) -> list[Path]:
    """The file that is named, or the one of that name in each part, as Hugging Face's `imagefolder` has it.

    Args:
        base: the root of the images.
        parts: folders of training and test part, relative to it.
        given: a path, absolute or relative to the root or to each part.

    Raises:
        ConfigError: there is none.
    """
    path = Path(given).expanduser()
    in_parts = [base / part / path for part in parts]
    for files in ([base / path], in_parts):
        if all(file.is_file() for file in files):
            return files
    lacking = [file for file in in_parts if not file.is_file()]
    where = lacking[0] if len(lacking) < len(in_parts) else base / path
    raise ConfigError(f"dataset.labels={given}: there is no file {where}")


def read(base: Path, files: Sequence[Path]) -> dict[str, str]:
    """The classes that files give to images.

    Args:
        base: the root of the images, resolved.
        files: of :func:`find`. What one names is relative to its own folder where that is in the root, else to the
            root.

    Returns:
        The class of every path relative to the root, both in NFC; `NO_CLASS` where the file has none.

    Raises:
        DataError: a file cannot be read or is not of that form, names something out of the root, or gives an image two
            classes.
    """
    found: dict[str, str] = {}
    for file in files:
        n_before = len(found)
        parent = file.resolve().parent
        folder = normal(parent.relative_to(base).as_posix()) if parent.is_relative_to(base) else "."
        for number, row in _rows(file):
            where = f"{file}: line {number}"
            path = _path(base, folder, column(row, FILE_COLUMNS, where), where)
            label = column(row, LABEL_COLUMNS, where)
            before = found.setdefault(path, label)
            if label and before and label != before:
                raise DataError(f"{where}: {path} has the label {label!r}, and {before!r} in a line above")
            found[path] = before or label
        if len(found) == n_before:
            raise DataError(f"{file}: names no image; of a table the first line names the columns: file_name,label")
    return found


def text_of(file: Path) -> str:
    """What is in a file.

    Raises:
        DataError: it cannot be read, or is not in UTF-8.
    """
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not in UTF-8; save it so: {error}") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a file by the names of its columns in lower case, with their lines, from 1."""
    text = text_of(file)
    try:
        if file.suffix.lower() in (".jsonl", ".ndjson", ".json"):
            lines = enumerate(text.split("\n"), 1)  # other ends of lines may be in a text
            rows = ((number, parsed(line, number)) for number, line in lines if line.strip())
        else:
            separator = delimiter(text)
            table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
            filled = (row for row in table if any(cell.strip() for cell in row) and row[0][:4] != "sep=")  # Excel's
            header = next(filled, [])
            rows = ((table.line_num, as_dict(header, row, table.line_num)) for row in filled)
        for number, row in rows:
            if not isinstance(row, dict):
                raise DataError(f"{file}: line {number}: is no object of file and label")
            yield number, {key.strip().lower(): value for key, value in row.items()}
    except (ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error


def as_dict(header: Sequence[str], row: Sequence[str], number: int) -> dict[str, str]:
    """A row by the names of its columns, in lower case.

    Raises:
        ValueError: it has another number of fields, or a column comes twice.
    """
    names = [each.strip().lower() for each in header]
    if len({*names}) < len(names):
        raise ValueError(f"a column comes twice: {','.join(header)}")
    if len(row) != len(header):
        raise ValueError(f"line {number} has {len(row)} fields, and the first line {len(header)}: {','.join(row)}")
    return dict(zip(header, row, strict=True))


def parsed(line: str, number: int) -> Any:
    """A line of JSON lines.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    return {LABEL_COLUMNS[-1]: None, **row} if isinstance(row, dict) else row  # one that says nothing has no label


def delimiter(text: str) -> str:
    """What separates the names of the columns: spreadsheets of some countries write `;`."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=header.count)


def column(row: Mapping[str, Any], names: Sequence[str], where: str) -> str:
    """What a row has in the first of some columns that is there, in NFC.

    Raises:
        DataError: none is there, or it holds no name.
    """
    name = next((each for each in names if each in row), None)
    if name is None:
        raise DataError(f"{where}: has none of the columns {', '.join(names)}; it has: {', '.join(row) or 'none'}")
    value = row[name]
    if isinstance(value, (list, dict, bool, float)):
        raise DataError(f"{where}: {name} is {value!r}; it has to be one name")
    return normal("" if value is None else str(value).strip())


def _path(base: Path, folder: str, given: str, where: str) -> str:
    """What a row names, relative to the root."""
    if Path(given).is_absolute():
        real = Path(given).parent.resolve() / Path(given).name
        inside = normal(real.relative_to(base).as_posix()) if real.is_relative_to(base) else ".."
    else:
        inside = normpath(f"{folder}/{given}")
    if not given or inside.split("/")[0] == "..":
        raise DataError(f"{where}: {given or 'nothing'} is no file in {base}")
    return inside
