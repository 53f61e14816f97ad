"""What a user's own code is held against, and how its mistakes are told. Needs no PyTorch."""

import os
import traceback
from typing import Any

ALLOW_VARIABLE = "AL_LIGHTNING_ALLOW"


class ContractError(ValueError):
    """A value that is not what it has to be; the message says what it is and what it has to be."""


def own_packages() -> set[str]:
    """The packages that the user names in the environment: a configuration may call what is in them."""
    return {entry.strip() for entry in os.environ.get(ALLOW_VARIABLE, "").split(",")} - {""}


def expect(name: str, value: Any, wanted: str, dtypes: tuple[Any, ...], dims: int) -> None:
    """Refuse what is not a tensor of a kind.

    Args:
        name: of the value, for the message.
        value: anything.
        wanted: what it has to be, for the message.
        dtypes: of PyTorch, one of which it has to have.
        dims: how many dimensions it has to have.

    Raises:
        ContractError: it is something else.
    """
    if not any(getattr(value, "dtype", None) is dtype for dtype in dtypes) or value.ndim != dims:
        raise ContractError(f"{name} is {described(value)}; it has to be {wanted}")


def described(value: Any) -> str:
    """What a value is: `a float32 tensor [20, 10]`, else its type."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        name = "tensor" if name.startswith("torch.") else name
        return f"a {str(value.dtype).removeprefix('torch.')} {name} {list(value.shape)}"
    return f"a {name}"


def told(error: BaseException) -> str:
    """An error of a user's own code in one line: its type, what it says, and the user's file and line."""
    said = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    if not isinstance(error, ContractError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    place = _place(error)
    return f"{said} ({place})" if place else said


def _place(error: BaseException) -> str:
    """File and line where a user's own code was, or failed to be read; empty where it was not."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    own = own_packages()
    frames = [
        f"{frame.f_code.co_filename}, line {line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in own
    ]
    return frames[-1] if frames else ""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory: PyTorch has no type for it on a CPU."""
    told = ("out of memory", "allocate memory", "storage size")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in told)
    )
