"""Who answers a query. In a simulation, the data set's own labels."""

from torch import Tensor

from al_lightning.data.images import ImageData


def simulated(data: ImageData, indices: Tensor) -> Tensor:
    """Classes of some images of the pool, `int64 [n] -> int64 [n]`: looked up only when they are asked for."""
    return data.pool.labels[indices.cpu()]
