"""The ledger: every answer of the oracle as an event, in the order in which they came. The only truth about labels."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from al_lightning.contract import ContractError, described
from al_lightning.oracle import SKIP, UNSURE, Answer, Question

if TYPE_CHECKING:
    from torch import Tensor

TRAIN, VALIDATION, CONTROL = "train", "val", "control"  # what labels are for; control: to train on, drawn at random
GIVEN = "given"  # who answered for an image whose label was known before


@dataclass(frozen=True)
class Event:
    """An answer in the ledger.

    Attributes:
        index: position in the data set.
        id: of the image.
        answer: a class index, `skip` or `unsure`.
        round: whose query it answers; -1 for the initial set.
        by: who answered.
        at: when, in ISO 8601.
        source: its id where the oracle keeps it; empty where it keeps none.
    """

    index: int
    id: str
    answer: int | str
    round: int
    by: str
    at: str
    source: str = ""

    def line(self) -> bytes:
        """The event as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


def read(data: bytes) -> tuple[list[Event], str]:
    """The events of a ledger, up to the first line that is none.

    Returns:
        The events, and what is wrong with the line after them: nothing where there is none, or where it is the last one
        and has no end, because its process was killed while it wrote.
    """
    events: list[Event] = []
    for line in data.split(b"\n")[:-1]:
        try:
            events.append(Event(**json.loads(line)))
        except (ValueError, TypeError) as error:
            return events, f"line {len(events) + 1} is no answer: {error}"
    return events, ""


@dataclass(frozen=True)
class Queried:
    """What an image was asked for.

    Attributes:
        round: of the query; -1 for the initial set.
        id: of the image.
        use: `train` or `val`.
    """

    round: int
    id: str
    use: str


def queried(query: Iterable[Mapping[str, Any]]) -> dict[int, Queried]:
    """The images of a query, by position in the data set."""
    return {row["index"]: Queried(row["round"], row["id"], row.get("use") or TRAIN) for row in query}


def new_events(
    answers: Sequence[Answer], question: Question, images: Mapping[int, Queried], before: Sequence[Event]
) -> list[Event]:
    """The events that answers add to a ledger.

    Args:
        answers: of the oracle.
        question: that it was asked.
        images: all that the run has asked for.
        before: the events that there are.

    Returns:
        An event for every image of the question that was answered; and for one that had an answer, where this is
        another one of the oracle's (its `source`): a correction.

    Raises:
        ContractError: an answer is to an image that nobody asked for, comes twice, is no class of the data set, or
            cannot be written down.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    open_, classes = set(question.indices), question.classes
    made: dict[int, Event] = {}
    known: set[tuple[int, str]] | None = None  # an oracle that sends only what is new costs no look at all of them
    for each in answers:
        if not isinstance(each, Answer):
            raise ContractError(f"it answered with {described(each)}, not an Answer")
        if type(each.index) is not int or not all(isinstance(text, str) for text in (each.by, each.at, each.source)):
            raise ContractError(f"it answered with {each!r}; an index is an int, and by, at and source are text")
        is_class = type(each.answer) is int and 0 <= each.answer < len(classes)
        if not is_class and each.answer not in (SKIP, UNSURE):
            raise ContractError(
                f"it answered {each.answer!r} for image {each.index}; {len(classes)} classes have 0 to "
                f"{len(classes) - 1}, other answers are {SKIP} and {UNSURE}"
            )
        if each.index not in images or each.index in made:
            how = "twice" if each.index in made else "and nobody asked for it"
            raise ContractError(f"it answered for image {each.index}, {how}")
        if each.index not in open_:
            if not each.source:
                raise ContractError(f"it answered for image {each.index} again; a correction has a source of its own")
            known = {(event.index, event.source) for event in before} if known is None else known
            if (each.index, each.source) in known:
                continue
        image = images[each.index]
        made[each.index] = Event(each.index, image.id, each.answer, image.round, each.by, each.at or now, each.source)
    return list(made.values())


def unanswered(query: Iterable[Mapping[str, Any]], answered: Set[int], classes: Sequence[str]) -> Question | None:
    """The question that is left of a query, less the images that are answered; None where nothing is."""
    rows = [row for row in query if row["index"] not in answered]
    if not rows:
        return None
    return Question(rows[0]["round"], [row["index"] for row in rows], [row["id"] for row in rows], classes)


def gone(query: Iterable[Mapping[str, Any]], answered: Set[int], lost: Set[int]) -> list[Event]:
    """Events that skip the images of a query that have no answer and are no longer there."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows = [row for row in query if row["index"] in lost and row["index"] not in answered]
    return [Event(row["index"], row["id"], SKIP, row["round"], "gone", now) for row in rows]


def given(query: Iterable[Mapping[str, Any]], answered: Set[int], known: "Tensor", labels: "Tensor") -> list[Event]:
    """Events that answer for the images of a query whose labels are given.

    Args:
        query: its rows.
        answered: images that have an answer.
        known: `bool [N]`, images whose labels are given.
        labels: `int64 [N]`.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows = [row for row in query if known[row["index"]] and row["index"] not in answered]
    return [Event(row["index"], row["id"], int(labels[row["index"]]), row["round"], GIVEN, now) for row in rows]


def with_answers(
    query: Sequence[Mapping[str, Any]], last: Mapping[int, Event], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows of a query with the answers that there are: `label` and `label_name`, empty where there is none.

    Args:
        query: its rows.
        last: the last event of every image.
        classes: names.
    """
    rows = []
    for row in query:
        answer = last[row["index"]].answer if row["index"] in last else ""
        named = classes[answer] if isinstance(answer, int) else answer
        rows.append({**row, "label": answer if isinstance(answer, int) else "", "label_name": named})
    return rows
