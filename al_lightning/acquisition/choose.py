"""Calling a strategy, which may be the user's own: in the trial before a run, and after every fit."""

from collections.abc import Callable

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.select import Query
from al_lightning.contract import ContractError, described, out_of_memory, told
from al_lightning.errors import UserError
from al_lightning.models.predictions import NotFiniteError
from al_lightning.streams import seeded

Strategy = Callable[[Candidates, int], Query]


class StrategyError(Exception):
    """What a strategy did that it must not, without its name, which only the caller knows."""


def choose(strategy: Strategy, candidates: Candidates, n: int, seed: int) -> Query:
    """Let a strategy choose, and hold what it returns against what it was asked.

    Args:
        strategy: chooses n of the candidates.
        candidates: M of them.
        n: from 1 to M.
        seed: of the global generators, see :func:`al_lightning.streams.seeded`.

    Returns:
        A query of n different candidates.

    Raises:
        StrategyError: it fails, or returns something else.
        NotFiniteError: what the model makes of the images is not finite, so that nothing can follow from it.
    """
    try:
        with seeded(seed):
            query = strategy(candidates, n)
        if not isinstance(query, Query):
            raise ContractError(f"it returned {described(query)}, not a Query")
        query.check(candidates, n)
    except (UserError, NotFiniteError):
        raise
    except Exception as error:  # a user's own strategy may raise anything
        if out_of_memory(error):
            raise
        raise StrategyError(told(error)) from error
    return query
