"""What a file of labels says, row by row."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """An answer in a file.

    Attributes:
        row: where it is in the file, for people.
        digest: of the image; empty where the file has none.
        names: paths, addresses or file names of the image, the surest first.
        by: who gave it.
        kind: `label`, `skip`, `unsure` or `flag`.
        label: name of the class; None for all but `label`.
        seconds: that it took; None: nobody knows.
        decides: whether it counts whatever others said.
    """

    row: str
    digest: str
    names: tuple[str, ...]
    by: str
    kind: str
    label: str | None = None
    seconds: float | None = None
    decides: bool = False

    @property
    def id(self) -> str:
        """How the file calls the image."""
        return self.digest or next(iter(self.names), "")

    @property
    def shown(self) -> str:
        """The answer, for people."""
        return repr(self.label) if self.label is not None else self.kind


@dataclass(frozen=True)
class Problem:
    """What was not taken in: where it is in the file, how this calls the image, the kind of problem, and why."""

    row: str
    id: str
    what: str
    why: str


MALFORMED, UNKNOWN_IMAGE, AMBIGUOUS, UNKNOWN_CLASS = "malformed", "unknown image", "ambiguous name", "unknown class"
BAD_NAME, CONFLICT = "impossible name", "conflict"
