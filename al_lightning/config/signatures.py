"""The types of a target's arguments, read from its file: what imports PyTorch takes seconds to import."""

import ast
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from al_lightning.config import targets
from al_lightning.config.instantiate import check_type

NAMES = {**{name: getattr(typing, name) for name in ("Annotated", "Any", "Literal")}, "Field": Field}
NAMES |= {"Mapping": Mapping, "Sequence": Sequence}


def check(key: str, node: Mapping[str, Any]) -> None:
    """Hold the values of a node against the types that its target has for them, nested nodes too.

    What is not one of this package's own functions and classes is not checked, and neither is a type of another
    library: :func:`al_lightning.config.instantiate.instantiate` does so.

    Args:
        key: where the node is in the configuration, for messages.
        node: the resolved node.

    Raises:
        ConfigError: a value is of another type, or out of range.
    """
    types = hints(targets.located(str(node["_target_"])))
    for name, value in node.items():
        if isinstance(value, Mapping) and "_target_" in value:
            check(f"{key}.{name}", value)
        elif name in types:
            check_type(f"{key}.{name}", value, types[name])


def hints(target: str) -> dict[str, Any]:
    """Types by argument, of a function or of a dataclass of this package; of no argument elsewhere.

    Args:
        target: where it lies, as `module.name`.
    """
    module, _, name = target.rpartition(".")
    file = targets.file_of(module)
    if file is None:
        return {}
    body = ast.parse(file.read_bytes()).body
    found = next((each for each in body if getattr(each, "name", None) == name), None)
    written: dict[str, ast.expr | None] = {}
    if isinstance(found, ast.FunctionDef):
        written = {each.arg: each.annotation for each in (*found.args.args, *found.args.kwonlyargs)}
    elif isinstance(found, ast.ClassDef):
        fields = [each for each in found.body if isinstance(each, ast.AnnAssign)]
        written = {each.target.id: each.annotation for each in fields if isinstance(each.target, ast.Name)}
    types = {argument: _type(expression) for argument, expression in written.items() if expression}
    return {argument: hint for argument, hint in types.items() if hint is not Any}


def _type(expression: ast.expr) -> Any:
    """What an annotation says; anything, where it has a name that is defined elsewhere."""
    try:
        return eval(compile(ast.Expression(expression), "<annotation>", "eval"), dict(NAMES))
    except (NameError, AttributeError):
        return Any
