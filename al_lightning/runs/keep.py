"""Which of the committed rounds a run that goes on keeps."""

from collections.abc import Sequence
from pathlib import Path

from al_lightning.config.plan import Plan
from al_lightning.config.schema import ActiveLearning
from al_lightning.errors import ConfigError
from al_lightning.runs.rounds import Round


def keep(path: Path, rounds: Sequence[Round], plan: Plan, al: ActiveLearning) -> list[Round]:
    """The committed rounds that stand.

    A last round has a model and no query, others have it the other way round. One that is to be what it was not,
    because more rounds are wanted or fewer, is run again.

    Args:
        path: the run folder.
        rounds: that are committed.
        plan: the rounds that are asked for.
        al: by which sizes and limits.

    Raises:
        ConfigError: there are more than are asked for.
    """
    if (n_done := len(rounds)) > plan.rounds + 1:
        raise ConfigError(
            f"al.rounds={al.rounds} al.budget={al.budget}: {path} has {n_done - 1} queries already; "
            f"give it al.rounds={n_done - 1} or more, or begin anew with overwrite=true"
        )
    again = rounds and bool(rounds[-1].queries) is plan.is_over([done.row for done in rounds])
    return list(rounds[:-1] if again else rounds)
