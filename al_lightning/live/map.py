"""A map of the embedding: a point in the plane for every image, near to those that look alike."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from al_lightning.data.embedding import Embedding

MOST = 5000  # images: more would take minutes
COMPONENTS = 50  # that the embedding is reduced to before


def positions(embedding: Embedding, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay out the images, or as many of them drawn at random.

    Source: van der Maaten 2014, "Accelerating t-SNE using Tree-Based Algorithms", as scikit-learn has it.

    Args:
        embedding: of the images.
        seed: of the draw and of the layout.

    Returns:
        Positions in the pool `int64 [n]`, ascending, and in the plane `float32 [n, 2]`, from 0 to 1.
    """
    rng = np.random.default_rng(seed)
    there = np.flatnonzero(embedding.there.numpy())
    chosen = np.sort(rng.choice(there, min(MOST, len(there)), replace=False))
    mean, deviation = (each.numpy() for each in embedding.statistics)
    rows = (embedding.pool[chosen].float().numpy() - mean) / deviation
    with threadpool_limits(1):  # beside the learner
        reduced = PCA(min(COMPONENTS, *rows.shape), random_state=seed).fit_transform(rows)
        found = TSNE(perplexity=min(30, (len(rows) - 1) / 3), init="pca", random_state=seed).fit_transform(reduced)
    found -= found.min(0)
    return chosen, (found / np.maximum(found.max(0), 1e-12)).astype(np.float32)
