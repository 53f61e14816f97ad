"""What a store holds, row by row."""

from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import normalize

from al_lightning.data.cache_folder import File

LABEL, SKIP, UNSURE, FLAG, UNFLAG, UNDO = "label", "skip", "unsure", "flag", "unflag", "undo"
LIVE = "live"  # asker of the queries of the learner that works beside people
IMPORTED = "import-"  # how the actions begin that a file brought
LONGEST = {"class": 60, "annotator": 40}  # characters of a name


@dataclass(frozen=True)
class Event:
    """Something that somebody did.

    Attributes:
        id: ascending in time.
        at: when, in ISO 8601, UTC.
        annotator: who.
        kind: `label`, `skip`, `unsure`, `flag`, `unflag` or `undo`.
        item: of which image; None for `undo`.
        label: the class; None for all but `label`.
        seconds: from when the image was shown; None: nobody knows.
        action: the events of one key press have it in common.
        source: where it was done: `page`, `grid`, `doubtful`, `review`, `map`, or `import` of a file.
        target: the action that is undone.
    """

    id: int
    at: str
    annotator: int
    kind: str
    item: int | None
    label: int | None
    seconds: float | None
    action: str
    source: str
    target: str | None


@dataclass(frozen=True)
class Given:
    """What is said of an image: a kind of :class:`Event` and, for `label`, the class."""

    item: int
    kind: str
    label: int | None = None


@dataclass(frozen=True)
class Query:
    """Images that were asked for, and what is known of who asked.

    Attributes:
        id: ascending in time.
        at: when.
        asker: `live`, or the run folder.
        round: of the run; None for `live`.
        strategy: that chose.
        seed: of its random choices.
        event: the last one that the model was fitted to.
        n_labeled: labels that it was fitted to.
        seconds: that the fit and the choice took; None: unknown.
    """

    id: int
    at: str
    asker: str
    round: int | None
    strategy: str
    seed: int
    event: int
    n_labeled: int
    seconds: float | None


@dataclass(frozen=True)
class Draw:
    """An image drawn uniformly from those without an answer that nobody has open, and what the model made of it then.

    Attributes:
        id: ascending in time.
        at: when.
        item: the image.
        query: whose model predicted; None: there was none.
        n_labeled: labels that the model was fitted to; likewise.
        predicted: a class; likewise.
        probability: of it; likewise.
    """

    id: int
    at: str
    item: int
    query: int | None
    n_labeled: int | None
    predicted: int | None
    probability: float | None


@dataclass(frozen=True)
class FileState:
    """A file as the store has it: of which image, what the file system said of it, and whether it is there still."""

    item: int
    file: File
    is_there: bool


def tidy(name: str) -> str:
    """A name of a class or an annotator as the store compares it: in NFC, without spaces around."""
    return normalize("NFC", name).strip()


def twin(name: str, names: Iterable[str]) -> str | None:
    """The one of some names that differs from a name in upper and lower case only; None where itself is there, too."""
    names, name = [*names], tidy(name)
    return None if name in names else next((each for each in names if each.casefold() == name.casefold()), None)
