"""Labels as tasks of Label Studio, and the labeling configuration that they fit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from al_lightning.disk import write as write_file
from al_lightning.exchange.labels import Answer, Image, Labels
from al_lightning.people.records import FLAG, LABEL, SKIP, UNSURE

TASKS, CONFIG = "tasks.json", "config.xml"
IMAGE, CLASS, MARK = "image", "class", "mark"  # names in the configuration


def write(labels: Labels, out: Path) -> list[str]:
    """Write `tasks.json`, a task an image, and `config.xml`.

    An annotation is what one annotator says of an image: a choice `class`, or `was_cancelled` for a skip; `unsure` and
    `flag` are choices of `mark`; `ground_truth` is the review that decides. Label Studio refuses a `completed_by` of
    somebody whom it does not know, so that the names are in the task's `meta`, by the annotation's id, which it keeps
    as `import_id`. Not carried: answers that were changed or undone, when an answer was given, and where.

    Args:
        labels: of a project or a run whose images are files.
        out: an empty folder.

    Returns:
        What to print.
    """
    assert labels.root is not None
    tasks = [_task(labels.root.name, each) for each in labels.images]
    write_file(out / TASKS, json.dumps(tasks, ensure_ascii=False, indent=1).encode() + b"\n")
    write_file(out / CONFIG, configuration(labels.classes).encode())
    annotations = sum(len(task["annotations"]) for task in tasks)
    return [
        f"{TASKS}: {len(tasks):,} tasks, {annotations:,} annotations; {CONFIG}: the labeling configuration",
        f"Label Studio finds the images with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={labels.root.parent} and {labels.root} as local storage",
    ]


def configuration(classes: Sequence[str]) -> str:
    """The labeling configuration for some classes, in XML."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=IMAGE, value=f"${IMAGE}")
    for name, choice, values in ((CLASS, "single", classes), (MARK, "multiple", (UNSURE, FLAG))):
        choices = ElementTree.SubElement(view, "Choices", name=name, toName=IMAGE, choice=choice)
        for value in values:
            ElementTree.SubElement(choices, "Choice", value=value)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _task(root: str, image: Image) -> dict[str, Any]:
    answers, flag = [each for each in image.answers if each.kind != FLAG], image.flag
    if flag and flag.by not in {each.by for each in answers}:
        answers.append(flag)
    flagged = next((each for each in answers if flag and each.by == flag.by), None)
    return {
        "data": {
            IMAGE: f"/data/local-files/?d={quote(f'{root}/{image.path}')}" if image.path else "",
            "digest": image.digest,
            "file": image.path,
        },
        "meta": {"annotators": {str(each.id): each.by for each in answers}},
        "annotations": [_annotation(each, each is flagged) for each in answers],
    }


def _annotation(answer: Answer, is_flagged: bool) -> dict[str, Any]:
    marks = [UNSURE] * (answer.kind == UNSURE) + [FLAG] * is_flagged
    chosen = {CLASS: [answer.label] if answer.kind == LABEL else [], MARK: marks}
    return {
        "id": answer.id,
        "result": [
            {"id": name, "from_name": name, "to_name": IMAGE, "type": "choices", "value": {"choices": values}}
            for name, values in chosen.items()
            if values
        ],
        "was_cancelled": answer.kind == SKIP,
        "ground_truth": answer.decides,  # where it is missing, Label Studio takes it to be true
        "lead_time": answer.seconds,
        "created_at": answer.at,
    }
