"""From run folders to tables and figures: `python -m al_lightning.report DIR...`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from al_lightning.report.runs import load as load


def __getattr__(name: str) -> Any:
    if name == "load":  # with pandas and SciPy, which take a second that `--help` need not
        return import_module("al_lightning.report.runs").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
