"""A Ray cluster that cannot be used is named at once; Ray itself waits, or fails when the sweep has begun."""

import signal
import socket
from typing import Any

import pytest

from al_lightning.errors import ConfigError
from al_lightning.ray_cluster import connected

SMALL = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False, "object_store_memory": 2**27}


@pytest.mark.parametrize(
    ("settings", "task", "message"),
    [
        ({"address": "nowhere"}, {}, r"key: cluster nowhere: .*; other=1 needs no cluster"),
        ({}, {"max_retries": "many"}, r"key: what a run takes: .*max_retries"),
        (SMALL, {"num_cpus": 2}, r"num_cpus=2, and the cluster of this machine has 1; take fewer, or"),
        ({**SMALL, "num_cpus": "two"}, {}, r"key: cluster local: .*; other=1 needs no cluster"),
    ],
)
def test_what_cannot_run_is_refused(settings: dict[str, Any], task: dict[str, Any], message: str) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ConfigError, match=message), connected("key", "other=1", settings, task):
        pass
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_cluster_that_does_not_answer(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", form.format(bound.getsockname()[1]))
        with (
            pytest.raises(ConfigError, match=r"key: cluster .*127.*refused; other=1 needs no cluster"),
            connected("key", "other=1", {}),
        ):
            pass
