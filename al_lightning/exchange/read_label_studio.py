"""Tasks of Label Studio, as it exports them and as we do, annotation by annotation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from al_lightning.data.label_file import FILE_COLUMNS
from al_lightning.errors import DataError
from al_lightning.exchange.label_studio import CLASS, MARK
from al_lightning.exchange.said import MALFORMED, Problem, Said
from al_lightning.people.records import FLAG, LABEL, SKIP, UNSURE


class _MalformedError(ValueError):
    """What is wrong with a task or an annotation."""


def read(file: Path, annotator: str) -> Iterator[Said | Problem]:
    """What a file with a list of tasks says.

    A cancelled annotation is a skip. An annotator is who our own export names, else `completed_by`: its address where
    the file has it, else `Label Studio user 3`. Of our own export `ground_truth` decides; elsewhere it says little, as
    Label Studio sets it for all that is imported without it.

    Args:
        file: JSON.
        annotator: who gave an annotation that does not say.

    Raises:
        DataError: the file cannot be read, or is no list.
    """
    try:
        tasks = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    if not isinstance(tasks, list):
        raise DataError(f"{file}: is no list of tasks; export it from Label Studio as JSON")
    for number, task in enumerate(tasks, 1):
        where, names = f"task {number}", ()
        try:
            data = _get(task, "data", dict)
            texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
            digest = texts.pop("digest", "")
            names = tuple(dict.fromkeys(texts[key] for key in (*FILE_COLUMNS, *texts) if key in texts))
            annotations = _get(task, "annotations" if "annotations" in task else "completions", list)
        except _MalformedError as error:
            yield Problem(where, "", MALFORMED, f"{error}; export it from Label Studio as JSON, not as JSON-MIN")
            continue
        meta = task.get("meta")
        ours = meta.get("annotators") if isinstance(meta, dict) else None
        for place, annotation in enumerate(annotations, 1):
            row = where if len(annotations) == 1 else f"{where}, annotation {place}"
            try:
                result = _get(annotation, "result", list)
                own = _own(annotation, ours)
                for kind, label in _answers(annotation, result):
                    decides = own is not None and kind != FLAG and annotation.get("ground_truth") is True
                    by = own or _completed_by(annotation) or annotator
                    yield Said(row, digest, names, by, kind, label, _seconds(annotation), decides)
            except _MalformedError as error:
                yield Problem(row, digest or next(iter(names), ""), MALFORMED, str(error))


def _get(value: Any, key: str, kind: type) -> Any:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        raise _MalformedError(f"it has no {'list' if kind is list else 'object'} {key}")
    return found


def _own(annotation: Mapping[str, Any], ours: Any) -> str | None:
    """Who made an annotation that we exported: Label Studio keeps our id as `import_id`, and has one of its own."""
    id_ = annotation["import_id"] if "import_id" in annotation else annotation.get("id")
    name = ours.get(str(id_)) if isinstance(ours, dict) else None
    return name if isinstance(name, str) else None


def _completed_by(annotation: Mapping[str, Any]) -> str:
    """Who made an annotation in Label Studio; empty where it does not say."""
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    return by if isinstance(by, str) else f"Label Studio user {by}" if by is not None else ""


def _answers(annotation: Mapping[str, Any], result: Sequence[Any]) -> Iterator[tuple[str, str | None]]:
    """Kinds and classes of what an annotation says.

    Raises:
        _MalformedError: this is not one class, a skip or a mark.
    """
    choices: dict[str, list[str]] = {}
    for each in result:
        if not isinstance(each, dict) or each.get("type") != "choices":
            continue  # a box, a relation, ...
        values = _get(_get(each, "value", dict), "choices", list)
        if not all(isinstance(value, str) for value in values):
            raise _MalformedError(f"its choices are {values!r}; they have to be names")
        choices.setdefault(str(each.get("from_name")), []).extend(values)
    marks = choices.pop(MARK) if {*choices.get(MARK, [])} <= {UNSURE, FLAG} and MARK in choices else []
    given = [name for values in ([choices[CLASS]] if CLASS in choices else choices.values()) for name in values]
    if annotation.get("was_cancelled") or annotation.get("skipped"):
        yield SKIP, None
    elif len(given) > 1 or (given and UNSURE in marks):
        raise _MalformedError(f"it says {', '.join(map(repr, [*given, *marks]))}; an image has one class")
    elif given:
        yield LABEL, given[0]
    elif UNSURE in marks:
        yield UNSURE, None
    elif not marks:
        raise _MalformedError("it says nothing: it has no choice, and was not cancelled")
    if FLAG in marks:
        yield FLAG, None


def _seconds(annotation: Mapping[str, Any]) -> float | None:
    found = annotation.get("lead_time")
    return float(found) if isinstance(found, (int, float)) and 0 <= found < 1e9 else None
