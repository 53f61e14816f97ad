"""Networks that tell what they compute, and passes that are killed, for processes that import little else."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from al_lightning.data.images import ImageData, ImageSet
from al_lightning.embedding import embed, shards, store
from al_lightning.embedding.embedder import Extractor

SHARD = 24
KEY = "0123456789abcdef"
CPU = torch.device("cpu")


class Told(nn.Module):
    """A network that writes down the images that it sees, by the number that their first two pixels are.

    Args:
        network: None: sums of rows of pixels, and zeros.
        log: file, a line an image: the tag, and its number.
        tag: of those who look at the log.
        fatal: number of the image at which a process is killed, once.
        victim: its process id; None: that of the process that sees it.
    """

    def __init__(self, log: Path, network: nn.Module | None = None, tag: str = "", fatal: int = -1, victim: Any = None):
        super().__init__()
        self.network, self.log, self.tag, self.fatal, self.victim = network, log, tag, fatal, victim

    def forward(self, images: Tensor) -> Tensor:
        numbers = (images.flatten(1)[:, :2].int() @ torch.tensor([1, 256], dtype=torch.int32)).tolist()
        with self.log.open("a") as file:
            file.writelines(f"{self.tag} {number}\n" for number in numbers)
        if self.fatal in numbers and not (done := self.log.with_suffix(".done")).exists():
            done.touch()
            os.kill(self.victim or os.getpid(), signal.SIGKILL)
        if self.network is not None:
            return self.network(images)
        return torch.cat([images.float().sum(3).flatten(1) / 255, torch.zeros(len(images), 4)], 1)


def told(log: Path, **how: Any) -> Extractor:
    """A :class:`Told` of 40 features."""
    return Extractor(Told(log, **how), 40, KEY, "sums")


def numbered_data() -> ImageData:
    """Images that have the numbers 0 to 219 in their first two pixels, 200 of them in the pool."""
    pixels = torch.randint(256, (220, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    numbers = torch.arange(220)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = (numbers % 256).byte(), (numbers // 256).byte()
    pool, test = (
        ImageSet(part, torch.arange(len(part)) % 2, [str(number) for number in range(len(part))])
        for part in pixels.split(200)
    )
    return ImageData(pool, test, ("cat", "dog"))


def embed_and_die(place: Path, engine: str, address: str, moment: str, call: int, tag: str, fatal: int) -> None:
    """Embed, up to a moment at which this process is killed.

    Args:
        place: folder of the store and of the log.
        engine: of the pass.
        address: of its cluster.
        moment: a shard's `compute`, or `before`, `between` and `after` what the store writes of one.
        call: number of the shard that is stored then.
        tag: in the log.
        fatal: number of the image that is computed then.
    """
    os.environ["RAY_ADDRESS"] = address
    embed.SHARD, shards.BATCH = SHARD, {"cpu": SHARD}
    if moment == "between":
        _dying(store, "_write", 2 * call)
    elif moment != "compute":
        _dying(store.Store, "append", call, moment == "after")
    at = {"fatal": fatal, "victim": os.getpid()} if moment == "compute" else {}
    embed.embedded(told(place / "log", tag=tag, **at), numbered_data(), place, CPU, engine)


def _dying(owner: Any, name: str, at: int, after: bool = False) -> None:
    called, calls = getattr(owner, name), Counter[str]()

    def wrapper(*given: Any) -> Any:
        calls[name] += 1
        if calls[name] == at and after:
            called(*given)
        if calls[name] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return called(*given)

    setattr(owner, name, wrapper)
