"""Images in the middle of the clusters of the pool."""

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.kmeans import nearest_to_centers
from al_lightning.acquisition.select import Query


def kmeans_center(candidates: Candidates, n: int) -> Query:
    """Of each of n clusters of the features, the image nearest to its centroid.

    Formula: k-means with k = n on the features h; of each cluster argmin_i |h_i - c| over its images i, with c its
    centroid. Where clusters are empty (fewer different images than n), others at random.

    Source: Xu et al. 2003, "Representative Sampling for Text Classification Using Support Vector Machines", without
    its restriction to the margin of a support vector machine; Zhdanov 2019, "Diverse mini-batch Active Learning",
    Algorithm 1 without filter and weights.

    Cost: O(I n M D) time for I iterations of k-means, one copy of the features; M images, D features.

    Use when: labels are few, and the features are good from the start.
    Avoid when: n is large (time grows with n), or the model has learned enough for its predictions to say more.

    Args:
        candidates: M images.
        n: at most M.

    Raises:
        ConfigError: there is no model.
    """
    chosen = nearest_to_centers(candidates.of_features(lambda rows: rows), n, candidates.rng)
    return Query(candidates.indices[chosen])
