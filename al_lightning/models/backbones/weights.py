"""Weights that somebody else has trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from urllib.error import URLError

from al_lightning.contract import out_of_memory
from al_lightning.errors import DataError


@contextmanager
def weights_for(key: str) -> Iterator[None]:
    """Say whose weights cannot be had; libraries raise all kinds of errors for that."""
    try:
        yield
    except (URLError, OSError, RuntimeError, EOFError, UnpicklingError) as error:
        if out_of_memory(error):
            raise
        raise DataError(f"{key}: no weights: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
