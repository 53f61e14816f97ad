"""Calling a strategy, which may be the user's own: in the trial before a run, and after every fit."""

from collections.abc import Callable

from al_lightning.acquisition.pool import Pool
from al_lightning.acquisition.select import Query
from al_lightning.contract import ContractError, described, out_of_memory, told
from al_lightning.errors import UserError
from al_lightning.streams import seeded

Strategy = Callable[[Pool, int], Query]


class StrategyError(Exception):
    """What a strategy did that it must not, without its name, which only the caller knows."""


def choose(strategy: Strategy, pool: Pool, n: int, seed: int) -> Query:
    """Let a strategy choose, and hold what it returns against what it was asked.

    Args:
        strategy: chooses n images of a pool.
        pool: its M candidates.
        n: from 1 to M.
        seed: of the global generators, see :func:`al_lightning.streams.seeded`.

    Returns:
        A query of n different candidates.

    Raises:
        StrategyError: it fails, or returns something else.
        FloatingPointError: the model's predictions are not finite, so that nothing can follow from them.
    """
    try:
        with seeded(seed):
            query = strategy(pool, n)
        if not isinstance(query, Query):
            raise ContractError(f"it returned {described(query)}, not a Query")
        query.check(pool, n)
    except UserError:
        raise
    except Exception as error:  # a user's own strategy may raise anything
        if out_of_memory(error):
            raise
        if pool.diverged:
            raise FloatingPointError("the predictions for the pool are not finite") from error
        raise StrategyError(told(error)) from error
    return query
