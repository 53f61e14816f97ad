"""Random images beside the chosen ones, and what they say: whether choosing has paid on this data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.models.classifier import Classifier
from al_lightning.models.convex import Lbfgs, fit
from al_lightning.oracle.ledger import CONTROL, TRAIN
from al_lightning.stopping.anytime import anytime
from al_lightning.streams import Stream, generator


def columns(
    queries: Sequence[Sequence[Mapping[str, Any]]],
    before: Sequence[Mapping[str, Any]],
    pool: PoolDataModule,
    model: Classifier,
) -> dict[str, Any]:
    """Columns of `rounds.csv` of the random images of the last query, which have just been answered.

    Two heads, fitted to the initial set and to equally many labels of random and of chosen images, all of queries
    before that one, predict these images: `control/n` of them have a label; on `control/better` of these only the head
    of the chosen labels is right, on `control/worse` only the other. `control/mean`, `control/lower`, `control/upper`
    and `control/verdict` are of all rounds so far, see :func:`al_lightning.stopping.anytime.anytime`.

    Args:
        queries: rows of `queries.csv` of all rounds before.
        before: rows of `rounds.csv` of these.
        pool: with their answers.
        model: that was fitted in this round, for the scale of the features.
    """
    parts = [_parts(number, query, pool) for number, query in enumerate(queries)]
    better = worse = n = 0
    if len(parts) > 1 and len(parts[-1][0]):
        initial = (pool.labeled_since == 0).nonzero().squeeze(1)
        asked, truth = parts[-1][0], pool.labels[parts[-1][0]]
        weight_decay = before[-1]["fit/weight_decay"]
        by_random, by_chosen = (
            _right(torch.cat([initial, *(part[which] for part in parts[:-1])]), asked, weight_decay, pool, model)
            for which in (0, 1)
        )
        n, better, worse = len(truth), int((by_chosen & ~by_random).sum()), int((by_random & ~by_chosen).sum())
    counts = [(row["control/n"], row["control/better"], row["control/worse"]) for row in before if "control/n" in row]
    sequence = anytime([[1.0] * b + [-1.0] * w + [0.0] * (n - b - w) for n, b, w in (*counts, (n, better, worse))])
    now = sequence[-1]
    return {
        "control/n": n,
        "control/better": better,
        "control/worse": worse,
        "control/mean": float(f"{now.mean:.6g}") if now.n else None,
        "control/lower": float(f"{now.lower:.6g}"),
        "control/upper": float(f"{now.upper:.6g}"),
        "control/verdict": now.verdict,
    }


def _parts(number: int, query: Sequence[Mapping[str, Any]], pool: PoolDataModule) -> tuple[Tensor, Tensor]:
    """Of a query, the random images that have a label, and as many of the chosen ones, drawn by the seed."""
    of = {use: [row["index"] for row in query if row["use"] == use] for use in (CONTROL, TRAIN)}
    drawn, chosen = (torch.tensor(indices, dtype=torch.int64) for indices in of.values())
    drawn, chosen = (each[pool.labeled_mask[each]] for each in (drawn, chosen))
    order = generator(pool.seed, Stream.CONTROL_SHARE, number).permutation(len(chosen))
    return drawn, chosen[torch.from_numpy(order[: len(drawn)])]


def _right(indices: Tensor, asked: Tensor, weight_decay: float, pool: PoolDataModule, model: Classifier) -> np.ndarray:
    """Whether a head that is fitted to some images predicts others, `bool [n]`."""
    rows, others = (model.normalized(pool.images[each.to(pool.images.device)]).double() for each in (indices, asked))
    labels, solver = pool.labels[indices].to(rows.device), Lbfgs()
    head = fit(rows, labels, model.head.out_features, weight_decay, solver.tolerance, solver.max_iterations)
    predicted = (others @ head.weight.T + head.bias).argmax(1)
    return (predicted.cpu() == pool.labels[asked]).numpy()
