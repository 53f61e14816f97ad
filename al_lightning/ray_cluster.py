"""A Ray cluster, and how a process is connected to it that may be stopped."""

import os
import signal
import socket
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
LOCAL = "local"  # the address of a cluster that is started here
OF_THIS_MACHINE = ("num_cpus", "num_gpus", "include_dashboard")
PATIENCE = 5  # seconds for a cluster to answer; Ray itself waits for minutes, and hears no signal meanwhile


@contextmanager
def connected(
    key: str, instead: str, settings: Mapping[str, Any], task: Mapping[str, Any] | None = None
) -> Iterator[Mapping[str, float]]:
    """The cluster of RAY_ADDRESS, else one of this machine, which ends with the context.

    Args:
        key: that asks for it, for messages.
        instead: what needs no cluster.
        settings: of `ray.init`. Those that size a cluster of this machine are left out for another.
        task: settings of `ray.remote` for what will run there.

    Yields:
        How much it has of each resource, by name.

    Raises:
        ConfigError: it cannot be used, or no place of it is large enough for the task and none will be.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    own, address = not ray.is_initialized(), settings.get("address") or os.environ.get("RAY_ADDRESS") or LOCAL
    if not own and ray.get_runtime_context().get_task_id():
        why = "workers would wait for the places that runs have; a single run computes what all find"
        raise ConfigError(f"{key}: not in a run of hydra/launcher=ray: {why}")
    _check_options(key, task or {})
    try:
        if own:
            _connect(f"{key}: cluster {address}", instead, address, settings)
        found = ray.cluster_resources()
        if address == LOCAL:  # another one may grow
            _check_size(key, task or {}, found)
        yield found
    finally:
        if own:
            ray.shutdown()


def _connect(where: str, instead: str, address: str, settings: Mapping[str, Any]) -> None:
    import ray

    left_out = {"address", *(OF_THIS_MACHINE if address != LOCAL else ())}
    given = {name: value for name, value in settings.items() if name not in left_out}
    host, _, port = address.rpartition("/")[2].rpartition(":")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), PATIENCE).close()
        ray.init(address, **given)
    except SystemExit as stop:  # of the handler that Ray puts in place of ours
        raise Interrupted(signal.SIGTERM) from stop
    except (OSError, OverflowError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        said = str(error).partition("\n")[0]
        if type(error) is ConnectionError and "RAY_AUTH_MODE" not in os.environ:  # Ray's; it tells no reason
            said += "; one that `ray start` has started asks for a token: RAY_AUTH_MODE=token"
        raise ConfigError(f"{where}: {said}; {instead} needs no cluster") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _check_options(key: str, task: Mapping[str, Any]) -> None:
    """Refuse what Ray would refuse once the sweep has begun."""
    import ray

    try:
        ray.remote(**{"num_cpus": 1, **task})(_check_options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: what a run takes: {error}") from error


def _check_size(key: str, task: Mapping[str, Any], found: Mapping[str, float]) -> None:
    """Refuse a task that Ray would wait for a place for, for good."""
    for name, resource in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        has = found.get(resource, 0)
        if (task.get(name) or 0) > has:
            what = f"a run takes {name}={task[name]}, and the cluster of this machine has {has:.0f}"
            raise ConfigError(f"{key}: {what}; take fewer, or name another cluster with RAY_ADDRESS")
