"""The rooms of the package: imports point one way, and a file has one subject."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "al_lightning"
FILES = sorted(PACKAGE.rglob("*.py"))
# A room imports from those before it. What is no room lies in the package's root.
ORDER = [
    *("errors", "words", "contract", "disk", "streams", "signals", "profiling", "clock", "ranks", "ray_cluster"),
    *("config", "data", "people", "oracle", "models", "embedding", "acquisition", "trainer", "build", "checking"),
    *("runs", "stopping", "tracking", "testing", "asking", "committee", "followers", "one_round", "loop"),
    *("report", "dashboard", "command", "api"),
    *("live", "predict", "exchange", "export", "label", "__main__"),
]


def module(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(file) for file in FILES}


def imports(file: Path) -> Iterator[str]:
    """The modules of the package that a file imports anywhere, but for type checking alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    unread = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in unread and (node.module or "").startswith("al_lightning"):
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else str(node.module)


def room(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("file", FILES, ids=module)
def test_a_file_imports_from_rooms_before_its_own(file: Path) -> None:
    if file == PACKAGE / "__init__.py":  # offers `load` and `run`, which it imports when they are asked for
        return
    before = ORDER[: ORDER.index(room(module(file))) + 1]
    assert [name for name in imports(file) if name != "al_lightning" and room(name) not in before] == []


def test_no_circle() -> None:
    """Not within a room either; but for its `__init__`, whose short names are looked up when they are used."""
    graph = {module(file): {*imports(file)} - {module(file)} for file in FILES if file.name != "__init__.py"}
    assert len([*TopologicalSorter(graph).static_order()]) >= len(graph)


@pytest.mark.parametrize("file", [*FILES, *sorted(Path(__file__).parent.glob("*.py"))], ids=lambda file: file.name)
def test_a_file_is_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300
