"""The labels of a project: every image, what it is, and who said so."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from al_lightning.errors import DataError
from al_lightning.people.answers import SETTLING, Answers
from al_lightning.people.records import FLAG, SKIP, UNSURE, Event
from al_lightning.people.store import STORE, Store

SETTINGS = "settings.json"  # of a project


@dataclass(frozen=True)
class Answer:
    """What somebody said of an image.

    Attributes:
        id: ascending in time, of one store.
        by: name of the annotator.
        kind: `label`, `skip`, `unsure` or `flag`.
        label: name of the class; None for all but `label`.
        at: when, in ISO 8601, UTC.
        seconds: that it took; None: nobody knows.
        decides: whether it is the review that counts, whatever others said.
    """

    id: int
    by: str
    kind: str
    label: str | None
    at: str
    seconds: float | None = None
    decides: bool = False


@dataclass(frozen=True)
class Image:
    """An image and what is known of it.

    Attributes:
        digest: BLAKE2b of its file, 128 bits, in hex; empty: unknown.
        path: relative to the root; of several the first that is there; empty: none is known.
        state: `open`, `labeled`, `skip`, `unsure` or `disputed`.
        label: name of its class; None where it has none.
        answers: that count, in the order in which they came: the last one of each annotator, the one that decides, and
            the flag that it has.
    """

    digest: str
    path: str
    state: str
    label: str | None
    answers: Sequence[Answer]

    @property
    def flag(self) -> Answer | None:
        """The flag that it has."""
        return next((each for each in self.answers if each.kind == FLAG), None)

    @property
    def agreeing(self) -> list[Answer]:
        """The answers that made it what it is: those that say the same, or all of a disputed one."""
        answers = [each for each in self.answers if each.kind != FLAG]
        if self.label is not None:
            return [each for each in answers if each.label == self.label]
        return [each for each in answers if each.kind == self.state] if self.state in (SKIP, UNSURE) else answers

    @property
    def annotators(self) -> list[str]:
        """Who is behind that, each once."""
        return list(dict.fromkeys(each.by for each in self.agreeing))


@dataclass(frozen=True)
class Labels:
    """All images of a project or a run.

    Attributes:
        root: folder of the images; None where they are no files.
        classes: names in the order of the class indices.
        images: in the order of their paths.
    """

    root: Path | None
    classes: Sequence[str]
    images: Sequence[Image]


def root_of(project: Path) -> Path:
    """The folder of a project's images.

    Raises:
        DataError: its settings do not say.
    """
    try:
        return project / json.loads((project / SETTINGS).read_text("utf-8"))["root"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{project / SETTINGS}: does not say where the images are: {error}") from error


def of_project(project: Path) -> Labels:
    """Read the labels of a project.

    Raises:
        DataError: a file of it cannot be read.
    """
    root, store = root_of(project), Store(project / STORE)
    try:
        classes, people, files, events = store.classes(), store.annotators(), store.files(), store.events()
        items = store.items()
    except sqlite3.Error as error:
        raise DataError(f"{store.path}: cannot be read: {error}") from error
    finally:
        store.close()
    answers = Answers()
    answers.add(events)
    paths: dict[int, str] = {}
    for path, file in sorted(files.items(), key=lambda each: (not each[1].is_there, each[0])):
        paths.setdefault(file.item, path)

    def image(item: int, digest: str) -> Image:
        counting = [
            Answer(
                each.id,
                people[each.annotator],
                each.kind,
                None if each.label is None else classes[each.label],
                each.at,
                each.seconds,
                decides,
            )
            for each, decides in _counting(answers, item)
        ]
        label = answers.labels.get(item)
        return Image(
            digest,
            paths.get(item, ""),
            answers.state(item),
            None if label is None else classes[label],
            counting,
        )

    images = [image(item, digest) for item, digest in items.items()]
    return Labels(root, [*classes.values()], sorted(images, key=lambda each: (each.path, each.digest)))


def _counting(answers: Answers, item: int) -> list[tuple[Event, bool]]:
    """The events of an image that make its state, in their order, and whether each is the review that counts."""
    decides = {each.id for each in answers.deciding(item) if each.source in SETTLING}
    kept = {each.id for each in answers.of(item).values()} | decides
    if item in answers.flagged:
        kept.add([each.id for each in answers.events(item) if each.kind == FLAG][-1])
    return [(each, each.id in decides) for each in answers.events(item) if each.id in kept]
