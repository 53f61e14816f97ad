"""What a network was trained to see, from images of any size with one channel or three."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class Preprocess(nn.Module):
    """Images as a network wants them: `uint8 [B, C, H, W] -> float32 [B, 3, *size]`, channels last in memory.

    Gray becomes three equal channels, the size is changed with antialiasing, values are clipped and normalized.

    Args:
        size: height and width.
        interpolation: how they are brought to it.
        mean: of each channel, for pixels scaled to [0, 1].
        deviation: likewise.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        interpolation: Literal["bilinear", "bicubic"],
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.size, self.interpolation = size, interpolation
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        scaled = images.float() / 255
        if self.size != tuple(images.shape[2:]):
            scaled = interpolate(scaled, self.size, mode=self.interpolation, antialias=True).clamp(0, 1)
        normalized = (scaled - self.mean) / self.deviation  # one channel meets three here
        return normalized.contiguous(memory_format=torch.channels_last)

    def __str__(self) -> str:
        height, width = self.size
        mean, deviation = (
            ", ".join(f"{value:.3g}" for value in each.flatten().tolist()) for each in (self.mean, self.deviation)
        )
        return f"{height} x {width} {self.interpolation}, mean {mean}, deviation {deviation}"
