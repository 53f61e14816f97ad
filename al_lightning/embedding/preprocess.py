"""What a network was trained to see, from images of any size with one channel or three."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Preprocess:
    """Images as a network wants them.

    Attributes:
        size: height and width.
        interpolation: how they are brought to it.
        mean: of each channel, for pixels scaled to [0, 1].
        deviation: likewise.
    """

    size: tuple[int, int]
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Gray becomes three equal channels, the size is changed with antialiasing, values are clipped and normalized.

        Args:
            images: `uint8 [B, C, H, W]`.

        Returns:
            `float32 [B, 3, *size]`.
        """
        scaled = images.float() / 255
        if self.size != tuple(images.shape[2:]):
            scaled = interpolate(scaled, self.size, mode=self.interpolation, antialias=True).clamp(0, 1)
        mean, deviation = (
            torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (self.mean, self.deviation)
        )
        return (scaled - mean) / deviation  # one channel meets three here

    def __str__(self) -> str:
        height, width = self.size
        mean, deviation = (", ".join(f"{value:.3g}" for value in values) for values in (self.mean, self.deviation))
        return f"{height} x {width} {self.interpolation}, mean {mean}, deviation {deviation}"
