"""Tests that a user's own strategy can run: `check_strategy(my_strategy)`."""

from al_lightning.acquisition.choose import Strategy
from al_lightning.contract import told
from al_lightning.testing.contracts import CONTRACTS
from al_lightning.testing.odd_pools import ODD
from al_lightning.testing.pools import Pool, make_pool

__all__ = ["CONTRACTS", "ODD", "Pool", "check_strategy", "make_pool"]


def check_strategy(strategy: Strategy) -> None:
    """Hold a strategy against every contract of :mod:`al_lightning.testing.contracts`; takes seconds.

    Args:
        strategy: `(candidates, n) -> Query`, its settings bound.

    Raises:
        AssertionError: naming each contract that it breaks, and how.

    Examples:
        >>> from functools import partial
        >>> from al_lightning.acquisition.scores import margin
        >>> from al_lightning.acquisition.select import top
        >>> check_strategy(partial(top, score=margin))
    """
    broken = []
    for contract in CONTRACTS:
        try:
            contract(strategy)
        except AssertionError as error:
            broken.append(f"{contract.__name__}: {error}")
        except Exception as error:  # a user's own strategy may raise anything
            broken.append(f"{contract.__name__}: {told(error)}")
    if broken:
        raise AssertionError("\n".join(broken))
