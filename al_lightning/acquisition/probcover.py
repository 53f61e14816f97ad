"""ProbCover: the images whose balls cover the most of the pool."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_lightning.acquisition.blocks import ROUNDING, blocks, nearest, squared_distances, squared_lengths
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.kmeans import cluster
from al_lightning.acquisition.pick import drawn_order, filled, highest
from al_lightning.acquisition.select import Query

BALLS = 2000  # by which the radius is estimated
IMPURE = 20  # of so many balls, one may be impure: 95% are pure


def probcover(candidates: Candidates, n: int, *, n_clusters: Annotated[int, Field(ge=2)]) -> Query:
    """Asks for the images around which balls of one radius cover the most of the pool that is not covered yet.

    Formula:
        An image x covers y if |x - y| < delta, on unit rows, and itself. Labeled images cover first; then each time the
        image that covers the most of what is not covered; when all is, the others at random. delta is the largest
        radius at which 95% of the balls are pure, that is, hold images of one pseudo-label only (clusters of the M
        images by k-means): the 5% quantile of the distances from an image to the nearest one of another pseudo-label,
        here of 2,000 images drawn from them.

    Source:
        Yehuda, Dekel, Hacohen and Weinshall 2022, "Active Learning Through a Covering Lens", algorithm 1 and the
        section on delta. The paper has as many pseudo-labels as classes and looks delta up on a grid. Its code
        compares only as many images as fill whole batches of 500, and asks for the first image of all when all is
        covered; this follows the paper.

    Cost:
        Time O(M^2 D) for the first degrees, where little is covered, and as much again at most for keeping them: no
        matter how large n is. Memory O((M + L) D); the M x M graph is never stored.

    Use when:
        There are few labels or none, and an embedding in which classes are apart: no model is needed.

    Avoid when:
        All is covered: what is left is random. Or where classes overlap in the embedding: delta is too small to cover
        more than an image itself, or too large to tell them apart.

    Args:
        candidates: M images, and L labeled ones.
        n: at most M.
        n_clusters: pseudo-labels; the number of classes, if known.
    """
    rows, labeled = candidates.representation, candidates.labeled.representation
    place = drawn_order(len(rows), candidates.rng, rows.device)
    limit = _squared_radius(rows, n_clusters, candidates.rng)
    limit -= ROUNDING * torch.finfo(rows.dtype).eps  # the pair that delta is the distance of is no edge
    lengths = squared_lengths(rows)

    def reached(balls: Tensor) -> Tensor:
        """Which images lie in balls around rows `[m, D]`, `bool [m, M]`."""
        return torch.addmm(lengths, balls, rows.T, alpha=-2).add_(squared_lengths(balls)[:, None]) < limit

    def degrees(covered: Tensor) -> Tensor:
        """How many of some images, by their positions `int64 [m]`, each image covers, `int64 [M]`."""
        total = torch.zeros_like(place)
        for block in blocks(len(covered), max(rows.shape)):
            at = covered[block]
            edges = reached(rows[at])
            edges[torch.arange(len(at), device=at.device), at] = True
            total += edges.sum(0)
        return total

    left = torch.ones_like(place, dtype=torch.bool)
    for block in blocks(len(labeled), max(rows.shape)):
        left &= ~reached(labeled[block]).any(0)
    degree, chosen = degrees(left.nonzero().squeeze(1)), []
    while len(chosen) < n and left.any():
        chosen.append(best := highest(degree, place))
        new = reached(rows[best : best + 1])[0] & left
        new[best] = left[best]
        left &= ~new
        degree -= degrees(new.nonzero().squeeze(1))
        degree[best] = -2 * len(rows)  # below all others, however many they still lose
    found = torch.tensor(chosen, dtype=torch.int64, device=place.device)
    return Query(candidates.indices[filled(found, n, place)])


def _squared_radius(rows: Tensor, n_clusters: int, rng: np.random.Generator) -> Tensor:
    """Delta squared, a scalar; infinite where all images have the same pseudo-label."""
    # On the rows themselves, which it moves by rounding errors: a copy would be as large as all else.
    centroids = cluster(rows, min(n_clusters, len(rows)), rng)
    pseudo_labels = nearest(rows, centroids)
    drawn = rng.choice(len(rows), min(BALLS, len(rows)), replace=False)
    balls = torch.from_numpy(np.sort(drawn)).to(rows.device)
    squared = rows.new_full((len(balls),), torch.inf)
    for block in blocks(len(rows), max(len(balls), rows.shape[1])):
        same = pseudo_labels[block, None] == pseudo_labels[balls]
        distances = squared_distances(rows[block], rows[balls]).masked_fill_(same, torch.inf)
        squared = squared.minimum(distances.amin(0))
    # At this radius, at most one of IMPURE balls holds another pseudo-label; at any larger one, one more does.
    return squared.sort().values[len(balls) // IMPURE]
