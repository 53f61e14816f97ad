"""Types of arguments that are read from a file: those that Python reads."""

import inspect
from typing import get_type_hints

import pytest

from al_lightning.config import signatures, targets
from al_lightning.config.instantiate import locate
from al_lightning.config.schema import GROUPS, conf_dir
from al_lightning.errors import ConfigError


def named(group: str) -> set[str]:
    """The targets of this package that the options of a group name, nested ones too."""
    lines = [line for file in (conf_dir() / group).glob("*.yaml") for line in file.read_text("utf-8").splitlines()]
    found = {line.split()[1] for line in lines if line.strip().startswith("_target_: al_lightning.")}
    return {each for each in found if targets.located(each) != each}


@pytest.mark.parametrize("target", sorted({each for group in GROUPS for each in named(group)}))
def test_types_are_those_that_python_reads(target: str) -> None:
    function = locate(target)
    read = signatures.hints(targets.located(target))
    known = get_type_hints(function if inspect.isfunction(function) else function.__init__, include_extras=True)
    assert {name: repr(known[name]) for name in read} == {name: repr(hint) for name, hint in read.items()}


def test_a_value_is_held_against_them() -> None:
    node = {"_target_": "al_lightning.strategy.top", "noise": None, "beta": 1.0}
    nested = {"_target_": "al_lightning.strategy.boundary", "n_clusters": 3}
    signatures.check("strategy", {**node, "score": nested})
    with pytest.raises(ConfigError, match=r"strategy\.beta=x"):
        signatures.check("strategy", node | {"beta": "x"})
    with pytest.raises(ConfigError, match=r"strategy.score.n_clusters=0"):
        signatures.check("strategy", {**node, "score": {**nested, "n_clusters": 0}})
    signatures.check("strategy", {"_target_": "my_package.none", "beta": "x"})
