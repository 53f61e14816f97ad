"""The pixels themselves as features."""

from torch import Tensor, nn

from al_lightning.data.images import ImageData
from al_lightning.embedding.embed import stored
from al_lightning.embedding.embedder import Embedder, Extractor, key_of


class Pixels(nn.Module):
    """All pixels of an image in a row, scaled to [0, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        """`uint8 [B, C, H, W] -> float32 [B, D]`."""
        return images.flatten(1).float() / 255


def pixels(data: ImageData) -> Embedder:
    """All pixels of an image in a row, scaled to [0, 1].

    Args:
        data: the images.
    """
    shape = (data.channels, *data.image_size)
    n_features = shape[0] * shape[1] * shape[2]
    return stored(Extractor(Pixels(), n_features, key_of({"pixels": shape}), f"pixels, {n_features}"))
