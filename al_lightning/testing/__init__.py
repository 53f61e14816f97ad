"""Tests that a user's own strategy can run: `check_strategy(my_strategy)`."""

from inspect import signature

from al_lightning.acquisition.choose import Strategy, StrategyError
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
    try:
        signature(strategy).bind(None, 1)
    except TypeError as error:
        raise AssertionError(
            f"{strategy!r} does not take (candidates, n): {error}. A score is checked with check_strategy(partial(top, "
            "score=...)), top from al_lightning.acquisition.select"
        ) from error
    broken: dict[str, list[str]] = {}  # the contracts by what is said of them: one mistake may break many
    for contract in CONTRACTS:
        try:
            contract(strategy)
        except (AssertionError, StrategyError) as error:
            broken.setdefault(str(error), []).append(contract.__name__)
        except Exception as error:  # a user's own strategy may raise anything
            broken.setdefault(told(error), []).append(contract.__name__)
    if broken:
        raise AssertionError("\n".join(f"{', '.join(names)}: {said}" for said, names in broken.items()))
