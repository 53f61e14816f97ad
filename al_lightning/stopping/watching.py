"""What is looked at beside the measures of a round: stopping rules, and the random images of `al.control`."""

from collections.abc import Mapping, Sequence
from typing import Any

from al_lightning.config.plan import Plan
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.runs.rounds import Round
from al_lightning.stopping import control, stop_set
from al_lightning.stopping.rules import Situation, kappa, look

STOP_SET = "stop_set"  # in the environment of a round: predictions that those of the next one are held against


class Watching:
    """Of one round.

    Args:
        plan: of the run.
        pool: in the round.
        al: settings of that section.
        before: the rounds before.

    Attributes:
        callbacks: of the fit, for what has to be looked at while the model is on the device.
    """

    def __init__(self, plan: Plan, pool: PoolDataModule, al: Mapping[str, Any], before: Sequence[Round]) -> None:
        self._plan, self._pool, self._al, self._before = plan, pool, al, before
        self.callbacks = [stop_set.StopSet(pool)] if any(rule.name == "stable" for rule in plan.stop) else []

    def columns(self, row: Mapping[str, Any], model: Classifier | None) -> dict[str, Any]:
        """Further columns of `rounds.csv`.

        Args:
            row: what else is known of the round.
            model: that was fitted; None: none was.
        """
        rows, found = [done.row for done in self._before], {}
        if (agreement := self._agreement()) is not None:
            found["stop/stable"] = agreement
        if self._plan.stop:
            n_val = int(self._pool.val_mask.sum())
            now = Situation([*rows, {**row, **found}], self._plan, self._al["price"], n_val)
            found |= look(self._plan.stop, now)
        if self._plan.n_control:
            found |= control.columns([done.queries for done in self._before], rows, self._pool, model)
        return found

    def _agreement(self) -> float | None:
        """Of the model with that of the round before; None where one of them has predicted nothing."""
        if not (self.callbacks and self._before):
            return None
        now = self.callbacks[0].predicted
        before = stop_set.read(self._before[-1].environment.get(STOP_SET, ""))
        both = before.keys() & now.keys()  # images may have come or gone
        return kappa([before[i] for i in both], [now[i] for i in both]) if both else None

    def kept(self) -> dict[str, Any]:
        """What the next round is held against, for the environment of this one."""
        return {STOP_SET: stop_set.written(self.callbacks[0].predicted)} if self.callbacks else {}
