"""Answers of a file into a store: each once, and none against an answer that is there."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from al_lightning.data.cache_folder import hashed
from al_lightning.exchange.find import Finder
from al_lightning.exchange.said import BAD_NAME, CONFLICT, UNKNOWN_CLASS, Problem, Said
from al_lightning.people.answers import Answers
from al_lightning.people.records import FLAG, IMPORTED, LABEL, UNFLAG, Event, Given, tidy, twin
from al_lightning.people.store import Store, UnknownError

IMPORT, REVIEW = "import", "review"  # sources of the events: what decided in the file decides here


@dataclass
class Outcome:
    """What became of the answers of a file.

    Attributes:
        added: that went in.
        known: that were there already.
        problems: what did not go in, in the order of the file.
    """

    added: int = 0
    known: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class _Before:
    """What a store says besides the answers that are in the file, too: a file that came in half is taken as a whole."""

    classes: dict[int, str]
    annotators: dict[str, int]
    answers: Answers
    unflagged: set[int]


def take_in(store: Store, root: Path, said: Iterable[Said | Problem], *, add_classes: bool) -> Outcome:
    """Add answers to a store. The same file a second time changes nothing, also where an answer of it was undone since.

    What the store has stays: another answer of the same annotator to the image is a conflict, and so is another class
    than the one that the image has. Several annotators of one file may disagree: the image is disputed then, as it was
    where the file comes from.

    Args:
        store: takes them.
        root: folder of its images.
        said: of a file, in its order.
        add_classes: whether classes that the store does not have are added; else they are problems.

    Raises:
        DataError: the file cannot be read.
    """
    said, outcome = [*said], Outcome()  # read before others have to wait
    seen: dict[tuple[int, str, bool], Said] = {}
    with store.together():
        finder, digests, events = Finder(store, root), store.items(), store.events()
        rows = [_found(each, finder, digests) for each in said]
        done = {each.action for each in events}
        before = _before(store, events, {row[2] for row in rows if isinstance(row, tuple)})
        for row in rows:
            if isinstance(row, Problem):
                outcome.problems.append(row)
                continue
            each, item, action = row
            first = seen.setdefault((item, tidy(each.by), each.decides), each) if each.kind != FLAG else each
            if _what(first) != _what(each):
                why = f"{each.by} says {each.shown} here, and {first.shown} at {first.row}"
            elif action in done or _is_known(before, each, item):
                outcome.known += 1
                continue
            else:
                why = _conflict(before, each, item)
            problem = Problem(each.row, each.id, CONFLICT, why) if why else _add(store, each, item, action, add_classes)
            if problem:
                outcome.problems.append(problem)
            else:
                outcome.added += 1
                done.add(action)
    return outcome


def _found(said: Said | Problem, finder: Finder, digests: Mapping[int, str]) -> Problem | tuple[Said, int, str]:
    """An answer, its image and the id of its action; or why it has none."""
    if isinstance(said, Problem):
        return said
    item = finder.find(said)
    return item if isinstance(item, Problem) else (said, item, _action(said, digests[item]))


def _what(said: Said) -> tuple[str, str]:
    """Kind and class of an answer."""
    return said.kind, tidy(said.label or "")


def _action(said: Said, digest: str) -> str:
    """The id of an answer, which follows from what it says."""
    content = [digest, tidy(said.by), *_what(said), said.decides]
    return f"{IMPORTED}{hashed(json.dumps(content).encode())}"


def _before(store: Store, events: list[Event], actions: set[str]) -> _Before:
    others, answers = [each for each in events if each.action not in actions], Answers()
    answers.add(others)
    unflagged = {each.item for each in others if each.kind == UNFLAG and each.item is not None} - answers.flagged
    return _Before(store.classes(), {name: id_ for id_, name in store.annotators().items()}, answers, unflagged)


def _is_known(before: _Before, said: Said, item: int) -> bool:
    if said.kind == FLAG:
        return item in before.answers.flagged
    return _own(before, said, item) == _what(said) and not said.decides


def _conflict(before: _Before, said: Said, item: int) -> str:
    """What the store has against an answer; empty where it has nothing."""
    if said.kind == FLAG:
        return "somebody has taken the flag away" if item in before.unflagged else ""
    own, label = _own(before, said, item), before.answers.labels.get(item)
    if own and not said.decides:
        return f"{said.by} says {said.shown} here, and {own[1] or own[0]!r} in the project"
    if label is None or before.classes[label] == _what(said)[1] or not (said.kind == LABEL or said.decides):
        return ""
    return f"{said.by} says {said.shown} here; in the project it is {before.classes[label]!r}"


def _own(before: _Before, said: Said, item: int) -> tuple[str, str] | None:
    """Kind and class of what the annotator has said of an image."""
    was = before.answers.of(item).get(before.annotators.get(tidy(said.by), -1))
    return was and (was.kind, "" if was.label is None else before.classes[was.label])


def _add(store: Store, said: Said, item: int, action: str, add_classes: bool) -> Problem | None:
    """Add an answer, or say why not."""
    if said.label is not None and tidy(said.label) not in (names := store.classes().values()):
        why = f"the project has no class {said.label!r}; "
        if other := twin(said.label, names):
            return Problem(said.row, said.id, UNKNOWN_CLASS, f"{why}it has {other!r}: write it so")
        if not add_classes:
            return Problem(said.row, said.id, UNKNOWN_CLASS, f"{why}--add-classes adds it")
    try:
        with store.together():  # neither a class nor an annotator of an answer that does not go in
            annotator = store.add_annotator(said.by)
            given = Given(item, said.kind, None if said.label is None else store.add_class(said.label))
            store.answer(annotator, action, [given], REVIEW if said.decides else IMPORT, said.seconds)
    except UnknownError as error:
        return Problem(said.row, said.id, BAD_NAME, str(error))
    return None
