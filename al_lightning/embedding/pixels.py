"""The pixels themselves as features."""

from al_lightning.data.images import ImageData
from al_lightning.embedding.embed import stored
from al_lightning.embedding.embedder import Embedder, Extractor, key_of


def pixels(data: ImageData) -> Embedder:
    """All pixels of an image in a row, scaled to [0, 1].

    Args:
        data: the images.
    """
    shape = (data.channels, *data.image_size)
    n_features = shape[0] * shape[1] * shape[2]
    key = key_of({"pixels": shape})
    return stored(Extractor(lambda images: images.flatten(1).float() / 255, n_features, key, f"pixels, {n_features}"))
