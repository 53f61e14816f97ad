"""Tests that a user's own code can run."""

from al_lightning.testing.pools import Pool, make_pool

__all__ = ["Pool", "make_pool"]
