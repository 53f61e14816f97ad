"""Tests that a user's own strategy can run: `check_strategy(my_strategy)`."""

from al_lightning.acquisition.choose import Strategy
from al_lightning.contract import told
from al_lightning.testing.contracts import CONTRACTS
from al_lightning.testing.examples import Example, make_example
from al_lightning.testing.odd_examples import ODD

__all__ = ["CONTRACTS", "ODD", "Example", "check_strategy", "make_example"]


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
