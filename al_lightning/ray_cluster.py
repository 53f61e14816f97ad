"""A Ray cluster, and how a process is connected to it that may be stopped."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from al_lightning.errors import ConfigError
from al_lightning.signals import Interrupted

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # else Ray reports its use to its makers
    "RAY_DEDUP_LOGS": "0",  # what runs of a sweep say alike is said by each
    "RAY_COLOR_PREFIX": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # tasks that were told to end
}
OF_THIS_MACHINE = ("num_cpus", "num_gpus", "include_dashboard")


@contextmanager
def connected(key: str, instead: str, settings: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
    """The cluster of RAY_ADDRESS, else one of this machine, which ends with the context.

    Args:
        key: that asks for it, for messages.
        instead: what needs no cluster.
        settings: of `ray.init`. Those that size a cluster of this machine are left out for another.

    Yields:
        How much it has of each resource, by name.

    Raises:
        ConfigError: it cannot be used.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    own = not ray.is_initialized()
    if not own and ray.get_runtime_context().get_task_id():
        why = "workers would wait for the places that runs have; a single run computes what all find"
        raise ConfigError(f"{key}: not in a run of hydra/launcher=ray: {why}")
    try:
        if own:
            _connect(key, instead, {**settings})
        yield ray.cluster_resources()
    finally:
        if own:
            ray.shutdown()


def _connect(key: str, instead: str, settings: dict[str, Any]) -> None:
    import ray

    address = settings.pop("address", None) or os.environ.get("RAY_ADDRESS") or "local"
    if address != "local":
        settings = {name: value for name, value in settings.items() if name not in OF_THIS_MACHINE}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, **settings)
    except SystemExit as stop:  # of the handler that Ray puts in place of ours
        raise Interrupted(signal.SIGTERM) from stop
    except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise ConfigError(f"{key}: RAY_ADDRESS={address}: {said}; {instead} needs no cluster") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
