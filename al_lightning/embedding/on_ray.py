"""The pass on many machines: Ray Data hands shards to workers, and each fetches the images of one when it begins it."""

import asyncio
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_lightning.embedding.embedder import Extractor
from al_lightning.embedding.shards import Images, batch_size, features
from al_lightning.errors import ConfigError, DataError
from al_lightning.ray_cluster import connected

KEY = "embedding.engine=ray"


def check_ray() -> None:
    """Refuse where Ray is not installed.

    Raises:
        ConfigError: names the extra.
    """
    if not find_spec("ray"):
        raise ConfigError(f"{KEY}: needs the extra ray: pip install 'al-lightning[ray]'")


def on_ray(
    extractor: Extractor,
    images: Images,
    shards: Sequence[np.ndarray],
    device: torch.device,
    advance: Callable[[int], object],
) -> Generator[tuple[np.ndarray, Tensor], None, None]:
    """All shards on a Ray cluster, a worker for each of its GPUs or, where it has none, each of its CPU cores.

    The network travels once. Of the images there are no more on the way than a shard for each worker: the pool may be
    larger than any memory. A worker that dies is started again, and so is its shard.

    Args:
        extractor: computes.
        images: of the data set, by position; called from a thread.
        shards: positions, `int64 [m]` each.
        device: of this process; only of a cluster that is started here it decides whether GPUs are used.
        advance: called with the number of images that have just been done.

    Yields:
        Each shard, and its features `float16 [m, D]`, as they come back.

    Raises:
        ConfigError: the cluster cannot be used.
        DataError: a worker failed.
    """
    import ray.data
    from ray.exceptions import RayError

    with _cluster(device) as (n_gpus, n_cpus):
        n = min(n_gpus or n_cpus, len(shards))
        kind = torch.device("cuda" if n_gpus else "cpu")
        with _desk(lambda number: images(shards[number]).numpy(), n) as desk:
            todo: Any = ray.data.from_items([*range(len(shards))], override_num_blocks=len(shards))
            done = todo.map_batches(
                Worker,
                batch_size=1,
                fn_constructor_args=([ray.put(extractor)], desk, kind, batch_size(kind)),
                # One that lies idle at the end is let go, and leaves its place to one of a machine that is lost.
                compute=ray.data.ActorPoolStrategy(
                    min_size=1, max_size=n, initial_size=n, max_tasks_in_flight_per_actor=1
                ),
                num_cpus=1,
                num_gpus=1 if n_gpus else 0,
            )
            try:
                for row in done.iter_rows():
                    shard = shards[row["shard"]]
                    rows = torch.frombuffer(bytearray(row["rows"]), dtype=torch.float16).view(len(shard), -1)
                    advance(len(shard))
                    yield shard, rows
            except RayError as error:
                raise DataError(
                    f"{KEY}: a worker failed: {_told(error)}. Every machine needs the same installation; with "
                    "embedding.engine=plain this one computes alone"
                ) from error


def _told(error: Exception) -> str:
    """What was first raised on the worker, without the calls that led there: those are indented."""
    lines = str(error).partition("\n\nThe above exception was")[0].splitlines()
    calls = [at for at, line in enumerate(lines) if line.startswith(" ")]
    return " ".join(lines[calls[-1] + 1 :] if calls else lines)


class Worker:
    """Computes shards on a machine of the cluster.

    Args:
        extractor: a reference to it, in a list: Ray would fetch it for whoever passes it on.
        desk: an actor, :class:`Desk`.
        device: that computes.
        batch: images a step.
    """

    def __init__(self, extractor: list[Any], desk: Any, device: torch.device, batch: int) -> None:
        import ray

        self.extractor: Extractor = ray.get(extractor[0])
        self.extractor.module.to(device).eval()
        self.desk, self.device, self.batch = desk, device, batch
        torch.set_num_threads(1)
        products: Any = torch.backends.cuda.matmul
        products.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """The number of a shard -> with its rows, as bytes."""
        import ray

        number = int(batch["item"][0])
        pixels = ray.get(ray.get(self.desk.ask.remote(number))[0])  # read-only, as PyTorch has no tensors
        rows = features(
            self.extractor,
            lambda some: torch.from_numpy(pixels[some]),
            np.arange(len(pixels)),
            self.device,
            self.batch,
        )
        return {"shard": [number], "rows": [rows.numpy().tobytes()]}


class Desk:
    """Where workers ask for images, and the process that has them looks for what is asked: an actor."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.waiting: dict[int, asyncio.Future[list[Any]]] = {}
        self.n_asked = 0

    async def ask(self, number: int) -> list[Any]:
        """A reference to the images of a shard, in a list. Asked again after a death, it is another question."""
        self.n_asked += 1
        answer = self.waiting[self.n_asked] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait((self.n_asked, number))
        return await answer

    async def next(self) -> tuple[int, int]:
        """The next question, and the number of the shard."""
        return await self.asked.get()

    async def give(self, question: int, images: list[Any]) -> None:
        """Answer a question."""
        self.waiting.pop(question).set_result(images)


@contextmanager
def _desk(images: Callable[[int], np.ndarray], n_workers: int) -> Iterator[Any]:
    """An actor that is asked for images, and a thread that gives them; whatever is wrong in it is raised here."""
    import ray
    from ray.exceptions import RayActorError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Desk)
    desk = actor.options(num_cpus=0, max_concurrency=n_workers + 2, scheduling_strategy=here).remote()
    wrong: list[BaseException] = []

    def give() -> None:
        try:
            while True:
                question, number = ray.get(desk.next.remote())
                desk.give.remote(question, [ray.put(images(number))])
        except RayActorError:  # it is over
            pass
        except BaseException as error:
            wrong.append(error)
            ray.kill(desk)  # or the workers would wait

    thread = threading.Thread(target=give, name="images for Ray", daemon=True)
    thread.start()
    try:
        yield desk
    except DataError:
        if wrong:
            raise wrong[0] from None
        raise
    finally:
        ray.kill(desk)
        thread.join()


@contextmanager
def _cluster(device: torch.device) -> Iterator[tuple[int, int]]:
    """Its GPUs and CPU cores."""
    settings = {
        "num_gpus": None if device.type == "cuda" else 0,
        "include_dashboard": False,
        "logging_level": logging.ERROR,
        "log_to_driver": False,
    }
    import ray.data

    with connected(KEY, "embedding.engine=plain", settings) as found:
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield int(found.get("GPU", 0)), max(1, int(found.get("CPU", 0)))
