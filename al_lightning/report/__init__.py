"""From run folders to tables and figures: `python -m al_lightning.report DIR...`."""

from al_lightning.report.runs import load

__all__ = ["load"]
