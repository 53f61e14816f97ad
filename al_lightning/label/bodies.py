"""What requests may say: checked in one place, refused in one sentence."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.exceptions import HTTPException

from al_lightning.people.records import LABEL, LONGEST, Given

MOST = 100  # images that are handed out at once
MOST_NAMED = 2000  # images that a page may name at once

Id = Annotated[int, Field(ge=1, lt=2**53)]
Action = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]


def _numbers(text: Any) -> Any:
    return [each for each in text.split(",") if each] if isinstance(text, str) else text


Ids = Annotated[list[Id], BeforeValidator(_numbers), Field(max_length=MOST_NAMED)]


class Nothing(BaseModel):
    """All that is needed is known; what is said besides does not matter."""


class Wanted(BaseModel):
    """How many images are wanted, by whom, and what the page has of them."""

    annotator: Id
    n: int = Field(12, ge=1, le=MOST)
    have: Ids = []


class Grid(Wanted):
    """Likewise, of a class; and what the page had and does not want again."""

    label: Id = Field(alias="class")
    past: Ids = []
    n: int = Field(24, ge=1, le=MOST)


class Region(BaseModel):
    """Images that were picked on the map."""

    annotator: Id
    items: Ids = Field(max_length=200)


class Listed(BaseModel):
    """How much of a list is wanted, and from where on."""

    n: int = Field(24, ge=1, le=MOST)
    before: Id | None = None


class Side(BaseModel):
    """Of a preview."""

    side: Annotated[Literal[1600, 320], BeforeValidator(int)]
    content: str | None = None


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Annotator(_Body):
    """A name."""

    name: Annotated[str, Field(max_length=LONGEST["annotator"])]


class ClassName(_Body):
    """A name."""

    name: Annotated[str, Field(max_length=LONGEST["class"])]


class Answer(_Body):
    """What is said of an image."""

    item: Id
    kind: Literal["label", "skip", "unsure", "flag", "unflag"]
    label: Id | None = Field(None, alias="class")

    @model_validator(mode="after")
    def _label_or_none(self) -> "Answer":
        if (self.label is not None) != (self.kind == LABEL):
            raise ValueError("a label names a class, and nothing else does")
        return self

    def given(self) -> Given:
        """For the store."""
        return Given(self.item, self.kind, self.label)


class Answers(_Body):
    """What one key press says."""

    annotator: Id
    action: Action
    seconds: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False)
    answers: list[Answer] = Field(min_length=1, max_length=MOST_NAMED)
    source: Literal["page", "grid", "doubtful", "review", "map"]


class Undo(_Body):
    """Which action is to be undone; None: the annotator's last one."""

    annotator: Id
    action: Action
    target: Action | None = None


Kind = TypeVar("Kind", bound=BaseModel)


def parsed(kind: type[Kind], given: Any) -> Kind:
    """What a request says.

    Args:
        kind: what is expected.
        given: parameters, or a body as bytes.

    Raises:
        HTTPException: 422, for something else.
    """
    try:
        return kind.model_validate_json(given) if isinstance(given, bytes) else kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the request"
        raise HTTPException(422, f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from error
