"""What is asked before there is a model."""

import torch
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.select import Query
from al_lightning.data.split import in_turn


def balanced(candidates: Candidates, n: int, *, labels: Tensor) -> Query:
    """As many of every class as that goes, at random within a class. It takes labels that nobody has paid for.

    Args:
        candidates: M images.
        n: at most M.
        labels: `int64 [N]`, of all images of the data set.
    """
    order = candidates.rng.permutation(candidates.indices.cpu().numpy())
    return Query(torch.from_numpy(in_turn(order, labels.numpy(), n)))
