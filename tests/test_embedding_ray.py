"""The pass on a Ray cluster: the rows that one process computes, to the bit, whoever is killed on the way."""

import os
import select
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import kill_points
import local_ray
import pytest
import torch
from cluster_networks import CPU, KEY, SHARD, Told, embed_and_die, numbered_data, told
from conftest import TINY
from kill_points import Point
from processes import start
from test_conf import OPTIONS, composed

from al_lightning.config import schema
from al_lightning.data.images import ImageData
from al_lightning.embedding import embed, networks, shards
from al_lightning.embedding.make import make_embedder
from al_lightning.embedding.store import Store, digests
from al_lightning.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_ray.cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "SHARD", SHARD)
    monkeypatch.setattr(shards, "BATCH", {"cpu": 8})


def stored_numbers(data: ImageData, folder: Path) -> set[int]:
    known = Store(folder / KEY, 40, {"embedding": "sums", "key": KEY}).known().tolist()
    both = torch.cat([data.pool.images, data.test.images])
    return {number for number, digest in enumerate(digests(both).tolist()) if digest in {*known}}


def seen(log: Path, tag: str = "") -> Counter[int]:
    lines = [line.split(" ") for line in log.read_text(encoding="utf-8").splitlines()]
    return Counter(int(number) for each, number in lines if each == tag)


# --- on a cluster ----------------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_a_worker_is_killed_and_the_rows_are_those_of_one_process(
    cluster: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    data, threads, handler = numbered_data(), torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    made = networks.timm(data, model=TINY, weights=str(weights), image_size=32)
    assert made.find
    network = made.find(tmp_path, "")
    assert network
    torch.set_num_threads(1)  # as a worker has
    plain = embed.embedded(network, data, tmp_path / "plain", CPU)
    torch.set_num_threads(threads)
    log = tmp_path / "log"
    dying = replace(network, module=Told(log, network.module, fatal=100))
    found = embed.embedded(dying, data, tmp_path / "ray", CPU, "ray")
    assert log.with_suffix(".done").exists()
    assert torch.equal(found.pool, plain.pool) and torch.equal(found.test, plain.test)
    numbers = seen(log)
    assert {*numbers} == {*range(220)} and {n for n, times in numbers.items() if times > 1} <= {*range(96, 120)}
    assert signal.getsignal(signal.SIGTERM) is handler, "not Ray's own"


@pytest.mark.faults
@pytest.mark.parametrize("engine", ["plain", "ray"])
def test_killed_five_times_each_shard_is_computed_once_but_for_those_in_progress(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = request.getfixturevalue("cluster") if engine == "ray" else ""
    data, log, kept = numbered_data(), tmp_path / "log", [set[int]()]
    moments = [("compute", 1), ("before", 2), ("between", 1), ("after", 1), ("compute", 1)]
    for life, (moment, call) in enumerate(moments):
        log.with_suffix(".done").unlink(missing_ok=True)
        left = sorted({*range(220)} - kept[-1])
        assert start(embed_and_die, tmp_path, engine, address, moment, call, f"{life}", left[30]) == -signal.SIGKILL
        kept.append(stored_numbers(data, tmp_path))
        assert kept[-1] >= kept[-2]
    assert kept[-1]
    monkeypatch.setenv("RAY_ADDRESS", address)
    found = embed.embedded(told(log, tag="last"), data, tmp_path, CPU, engine)
    sums = data.pool.images.float().sum(3).flatten(1) / 255
    assert torch.equal(found.pool, torch.cat([sums, torch.zeros(200, 4)], 1).half())
    assert seen(log, "last") == Counter({*range(220)} - kept[-1])
    most = SHARD * (1 if engine == "plain" else 4)  # two in work, and two that wait to be kept
    for life, (before, after) in enumerate(pairwise(kept)):
        computed = seen(log, f"{life}")
        assert not before & {*computed} and max(computed.values()) == 1
        assert after - before <= {*computed} and len({*computed} - after) <= most


def test_what_a_worker_says_is_told(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    odd = told(tmp_path / "no such folder" / "log")
    with pytest.raises(DataError, match=r"engine=ray: a worker failed: FileNotFoundError: .*/log'\. Every machine"):
        embed.embedded(odd, numbered_data(), tmp_path, CPU, "ray")

    def unread(*_: Any) -> Any:
        raise MemoryError("no room for the images")

    monkeypatch.setattr(embed, "_images", unread)
    with pytest.raises(MemoryError, match="no room for the images"):
        embed.embedded(told(tmp_path / "log"), numbered_data(), tmp_path, CPU, "ray")


# --- on this machine -------------------------------------------------------------------------------------------------

RUN = ("dataset=digits", "embedding=pixels", "model=linear", "al.rounds=0", "paths.data=data")


def _marked() -> list[int]:
    """Handles of the other processes that have the mark of :func:`_signaled`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_marked = f"MARK={os.environ['MARK']}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if is_marked and int(folder.name) != os.getpid():
                found.append(os.pidfd_open(int(folder.name)))
    return found


@pytest.mark.faults
def test_a_signal_ends_the_cluster_and_keeps_finished_shards(tmp_path: Path) -> None:
    """And the same run goes on with the other engine."""
    assert start(_signaled, tmp_path) == 143
    assert "goes on" in kill_points.said(tmp_path)
    digest_files = [*tmp_path.glob("data/embeddings/*/digests.bin")]
    assert [file.stat().st_size // 16 for file in digest_files] in ([1024], [773])
    assert kill_points.run(tmp_path, *RUN) == 0, kill_points.said(tmp_path)
    assert digest_files[0].stat().st_size // 16 == 1797


def _signaled(cwd: Path) -> None:
    os.environ.update(MARK=str(cwd), RAY_worker_niceness="0")
    try:
        point = Point("any", "al_lightning.embedding.store:Store.append", 1, after=True, number=signal.SIGTERM)
        kill_points.killed(point, cwd, (*RUN, "embedding.engine=ray"))
    finally:
        for process in _marked():
            assert select.select([process], [], [], 120)[0], "it ends"


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS["embedding"])
def test_every_embedding_has_an_engine(option: str) -> None:
    own = [f"embedding={option}", *(["embedding.path=a.npy"] if option == "file" else [])]
    with pytest.raises(ConfigError, match=r"embedding\.engine=spark: must be one of plain, ray"):
        schema.typed(composed(*own, "embedding.engine=spark"))
    with_ray = composed(*own, "embedding.engine=ray")
    assert schema.typed(with_ray).embedding["engine"] == "ray"
    assert schema.run_folder(with_ray) == schema.run_folder(composed(*own)), "it is the same run"


def test_a_cluster_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(ConfigError, match=r"engine=ray: cluster nowhere: Invalid address.*; embedding\.engine=plain"):
        embed.embedded(told(tmp_path / "log"), numbered_data(), tmp_path, CPU, "ray")


def test_what_another_process_has_done_meanwhile_takes_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, sums = numbered_data(), told(tmp_path / "log")
    embed.embedded(sums, data, tmp_path, CPU)
    known, calls = Store.known, []

    def late(self: Store) -> Any:
        calls.append(self)
        return known(self)[: None if len(calls) > 1 else 0]

    monkeypatch.setattr(Store, "known", late)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert embed.embedded(sums, data, tmp_path, CPU, "ray").pool.shape == (200, 40)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    settings = schema.resolved(composed("embedding=pixels", "embedding.engine=ray"))
    with pytest.raises(ConfigError, match=r"embedding\.engine=ray: .*pip install 'al-lightning\[ray\]'"):
        make_embedder(settings, numbered_data())
    assert make_embedder(schema.resolved(composed("embedding.engine=ray")), numbered_data()) is None
