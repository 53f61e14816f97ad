"""Networks that tell what they compute, for processes that import little else."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


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


def numbered(images: Tensor, first: int = 0) -> Tensor:
    """The images with a number each in their first two pixels."""
    numbers = torch.arange(first, first + len(images))
    images[:, 0, 0, 0], images[:, 0, 0, 1] = (numbers % 256).byte(), (numbers // 256).byte()
    return images
