"""A Ray cluster of two workers on this machine."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Its address. Its workers begin in the folder, and import what lies beside this file."""
    own = {"num_cpus": 2, "num_gpus": 0, "include_dashboard": False, "object_store_memory": 2**27}
    handler = signal.getsignal(signal.SIGTERM)  # Ray puts one of its own in its place
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.chdir(folder)
        started = Cluster(initialize_head=True, head_node_args=own)
    signal.signal(signal.SIGTERM, handler)
    try:
        yield str(started.address)
    finally:
        started.shutdown()
