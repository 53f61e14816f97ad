"""Random images beside the chosen ones, and what they say: whether choosing has paid on this data."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.memory import take
from al_lightning.models.classifier import Classifier
from al_lightning.models.convex import Lbfgs, fit
from al_lightning.oracle.ledger import CONTROL, TRAIN
from al_lightning.stopping.anytime import anytime
from al_lightning.streams import Stream, generator


def columns(
    queries: Sequence[Sequence[Mapping[str, Any]]],
    before: Sequence[Mapping[str, Any]],
    pool: PoolDataModule,
    model: Classifier | None,
) -> dict[str, Any]:
    """Columns of `rounds.csv` of the random images of the last query, which have just been answered.

    Two heads, fitted to the initial set and to equally many labels of random and of chosen images, all of queries
    before that one, predict these images: `control/n` of them have a label, and those without do not count; on
    `control/better` of these only the head of the chosen labels is right, on `control/worse` only the other.
    `control/mean`, `control/lower`, `control/upper` and `control/verdict` are of all rounds so far, see
    :func:`al_lightning.stopping.anytime.anytime`. All that the heads depend on was known before these images were
    drawn, their weight decay too, which is that of the round that drew them. The strategy chooses with all labels at
    hand, the random ones too: what these cover already, it has no reason to choose again, and the head of the chosen
    labels lacks it. Where choosing pays, this can hide it.

    Args:
        queries: rows of `queries.csv` of all rounds before.
        before: rows of `rounds.csv` of these.
        pool: with their answers.
        model: that was fitted in this round, for the scale of the features; None: none was, and nothing is predicted.
    """
    n, better, worse = (0, 0, 0) if model is None else _counted(queries, before, pool, model)
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


def _counted(
    queries: Sequence[Sequence[Mapping[str, Any]]],
    before: Sequence[Mapping[str, Any]],
    pool: PoolDataModule,
    model: Classifier,
) -> tuple[int, int, int]:
    """How many images both heads predict, and on how many only the chosen labels' is right, or only the random ones'.

    None where the heads could not differ: before the first random labels, or without a chosen one beside them.
    """
    pairs = [_pair(number, query, pool) for number, query in enumerate(queries[:-1])]
    weight_decay = before[-1].get("fit/weight_decay") if before else None
    if weight_decay is None or not any(len(drawn) for drawn, _ in pairs):
        return 0, 0, 0
    asked = _answered(queries[-1], CONTROL, pool)
    initial = (pool.labeled_since == 0).nonzero().squeeze(1)
    by_random, by_chosen = (
        _right(torch.cat([initial, *each]), asked, weight_decay, pool, model) for each in zip(*pairs, strict=True)
    )
    return len(asked), int((by_chosen & ~by_random).sum()), int((by_random & ~by_chosen).sum())


def _answered(query: Sequence[Mapping[str, Any]], use: str, pool: PoolDataModule) -> Tensor:
    """The images of a query that are for this use and have a label, as they were drawn or chosen."""
    indices = torch.tensor([row["index"] for row in query if row["use"] == use], dtype=torch.int64)
    return indices[pool.labeled_mask[indices]]


def _pair(number: int, query: Sequence[Mapping[str, Any]], pool: PoolDataModule) -> tuple[Tensor, Tensor]:
    """Of a query, equally many random and chosen images that have a label, those that are too many left out by lot."""
    drawn, chosen = (_answered(query, use, pool) for use in (CONTROL, TRAIN))
    n = min(len(drawn), len(chosen))  # random ones are in the order of a lot already
    order = generator(pool.seed, Stream.CONTROL_SHARE, number).permutation(len(chosen))
    return drawn[:n], chosen[torch.from_numpy(order[:n])]


def _right(indices: Tensor, asked: Tensor, weight_decay: float, pool: PoolDataModule, model: Classifier) -> Tensor:
    """Whether a head that is fitted to some images predicts others, `bool [n]`."""
    # After its fit a model is on the host, wherever the images are.
    rows, others = (model.normalized(take(pool.images, each).to(model.device)).double() for each in (indices, asked))
    labels, solver = pool.labels[indices].to(rows.device), Lbfgs()
    head = fit(rows, labels, model.head.out_features, weight_decay, solver.tolerance, solver.max_iterations)
    predicted = (others @ head.weight.T + head.bias).argmax(1)
    return predicted.cpu() == pool.labels[asked]
