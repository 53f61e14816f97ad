"""Strategies with the mistakes of published code: the contracts have to tell each of them by name.

Two that only the twin of a strategy can tell are in `test_badge.py` (a ghost center) and `test_probcover.py` (images
without edges).
"""

import random
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy
from al_lightning.acquisition.scores import margin
from al_lightning.acquisition.select import Query, top
from al_lightning.testing import CONTRACTS, check_strategy


def highest(pool: Candidates, n: int, scores: torch.Tensor) -> Query:
    """The n highest scores, equal ones in an order that the seed draws: what each mutant does but for a mistake."""
    order = torch.from_numpy(pool.rng.permutation(len(pool)))
    return Query(pool.indices[order[scores[order].argsort(descending=True, stable=True)[:n]]])


def p_of(pool: Candidates) -> torch.Tensor:
    return pool.log_probabilities.exp()


def nan_first(pool: Candidates, n: int) -> Query:
    """Entropy as -sum p log p, which is not a number where p is 0: a descending sort has that in front."""
    p = p_of(pool)
    return highest(pool, n, -(p * p.log()).sum(1))


def duplicates(pool: Candidates, n: int) -> Query:
    """For each of n random centers the nearest image, whoever else has chosen it."""
    centers = pool.features[torch.from_numpy(pool.rng.choice(len(pool), n))]
    return Query(pool.indices[torch.cdist(centers, pool.features).argmin(1)])


def without_edges(pool: Candidates, n: int) -> Query:
    """Covers images by balls; one that lies in nobody's ball is no vertex of the graph, and is never found."""
    edges = torch.cdist(pool.representation, pool.representation) < 0.3
    edges.fill_diagonal_(False)
    chosen = []
    for _ in range(n):
        chosen.append(int(edges.sum(1).argmax()))
        edges &= ~edges[chosen[-1]]
    return Query(pool.indices[chosen])


def one_too_few(pool: Candidates, n: int) -> Query:
    """A budget that is off by one a round."""
    return top(pool, max(1, n - 1), score=margin)


def one_too_many(pool: Candidates, n: int) -> Query:
    return top(pool, min(n + 1, len(pool)), score=margin)


def ghost_center(pool: Candidates, n: int) -> Query:
    """Greedy k-centers whose first center is image 0, which counts as chosen and is nobody's candidate."""
    distance = torch.cdist(pool.features, pool.features[:1])[:, 0]
    chosen = [0]
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = distance.minimum(torch.cdist(pool.features, pool.features[chosen[-1:]])[:, 0])
        distance[chosen] = -1
    return Query(torch.cat([torch.zeros(1, dtype=torch.int64), pool.indices[chosen[1:]]]))


def positions(pool: Candidates, n: int) -> Query:
    """Ranks within the subset, taken for indices of the data set."""
    return Query(p_of(pool).amax(1).argsort()[:n])


def labeled_again(pool: Candidates, n: int) -> Query:
    """Chooses among all images, those with labels included."""
    return Query(torch.cat([pool.labeled.indices[:1], pool.indices])[:n])


def by_position(pool: Candidates, n: int) -> Query:
    """Equal scores in the order of the data set."""
    return Query(pool.indices[margin(pool).argsort(descending=True, stable=True)[:n]])


def global_random(pool: Candidates, n: int) -> Query:
    return Query(pool.indices[random.sample(range(len(pool)), n)])


def global_numpy(pool: Candidates, n: int) -> Query:
    return Query(pool.indices[np.random.permutation(len(pool))[:n]])  # noqa: NPY002


def all_pairs(pool: Candidates, n: int) -> Query:
    """A matrix of the pool by the pool."""
    return highest(pool, n, torch.cdist(pool.features, pool.features).amin(1))


def all_gradients(pool: Candidates, n: int) -> Query:
    """A gradient of classes x features an image."""
    p = p_of(pool)
    a = p - torch.nn.functional.one_hot(p.argmax(1), p.shape[1])
    gradients = (a[:, :, None] * pool.features[:, None, :]).flatten(1)
    return highest(pool, n, gradients.norm(dim=1))


def scales_in_place(pool: Candidates, n: int) -> Query:
    """Unit rows, but they are those of everyone."""
    rows = pool.features
    rows /= rows.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return highest(pool, n, -rows[:, 0])


def in_train_mode(pool: Candidates, n: int) -> Query:
    """Dropout by `.train()`, never undone."""
    pool.predictions._model.train()
    return top(pool, n, score=margin)


def per_batch(pool: Candidates, n: int) -> Query:
    """The best of each block rather than of all."""
    from al_lightning.acquisition.blocks import blocks

    scores = margin(pool)
    for rows in blocks(len(pool), 10):
        scores[rows] -= scores[rows].max()
    return highest(pool, n, scores)


def coarse(pool: Candidates, n: int) -> Query:
    """A large number on the way, which leaves few digits in fp32."""
    return top(pool, n, score=lambda pool: (margin(pool) + 1e5) - 1e5)


def keeps_on_warning(pool: Candidates, n: int) -> Query:
    """Divides by what may be 0, and by chance draws what comes of it."""
    scores = pool.features.norm(dim=1)
    shares = (scores / scores.sum()).double().numpy()
    return Query(pool.indices[pool.rng.choice(len(pool), n, replace=False, p=shares)])


def pairs_in_parts(pool: Candidates, n: int) -> Query:
    """All pairs of the pool, a row at a time, and all rows are kept."""
    rows = [(pool.features - row).square().sum(1) for row in pool.features]
    return highest(pool, n, torch.stack([row.topk(2, largest=False).values[-1] for row in rows]))


def scores_of_others(pool: Candidates, n: int) -> Query:
    """Scores in another order than the images."""
    query = top(pool, n, score=margin)
    assert query.scores is not None
    return Query(query.indices, query.scores.flip(0), query.pool_scores)


def lower_is_better(pool: Candidates, n: int) -> Query:
    """The sign of the source."""
    scores = margin(pool)
    order = torch.from_numpy(pool.rng.permutation(len(pool)))
    chosen = order[scores[order].argsort(stable=True)[:n]]
    return Query(pool.indices[chosen], scores[chosen], scores)


def spoils_labels(pool: Candidates, n: int) -> Query:
    pool.labeled.labels.zero_()
    return top(pool, n, score=margin)


def fewer_threads(pool: Candidates, n: int) -> Query:
    torch.set_num_threads(torch.get_num_threads() % 2 + 1)
    return top(pool, n, score=margin)


def neighbors(pool: Candidates, n: int) -> Query:
    """A random start, and from there the order of the data set."""
    scores, start = margin(pool), int(pool.rng.integers(len(pool)))
    order = (torch.arange(len(pool)) + start) % len(pool)
    return Query(pool.indices[order[scores[order].argsort(descending=True, stable=True)[:n]]])


asked_before: set[int] = set()


def remembers(pool: Candidates, n: int) -> Query:
    """Avoids what it has asked for before, which another process would not know."""
    scores = margin(pool)
    scores[torch.isin(pool.indices, torch.tensor([*asked_before], dtype=torch.int64))] = -2
    query = highest(pool, n, scores)
    asked_before.update(query.indices.tolist())
    return query


def raw_memory(pool: Any, n: int) -> Query:
    """Takes the features as they lie in memory, row after row."""
    rows, width = (
        torch.empty(0, dtype=pool._embedding.dtype).set_(pool._embedding.untyped_storage()),
        pool._embedding.shape[1],
    )
    values = rows[: width * len(pool._embedding)].view(-1, width)[pool.indices]
    return highest(pool, n, values.nan_to_num(0, 0, 0) @ torch.arange(1.0, width + 1).to(values))


def paints_over(pool: Any, n: int) -> Query:
    """What is not a number is taken for a large one."""
    return highest(pool, n, pool._embedding[pool.indices].nan_to_num(1e9, 1e9, 1e9).norm(dim=1))


MUTANTS: dict[Strategy, str] = {
    nan_first: "prefers_no_exact_zeros",
    duplicates: "asks_for_n_different_candidates",
    without_edges: "asks_for_n_different_candidates",
    one_too_few: "asks_for_n_different_candidates",
    one_too_many: "asks_for_n_different_candidates",
    ghost_center: "asks_for_n_different_candidates",
    positions: "asks_for_n_different_candidates",
    labeled_again: "asks_for_n_different_candidates",
    by_position: "breaks_ties_by_the_seed",
    global_random: "draws_from_the_round_s_generator",
    global_numpy: "draws_from_the_round_s_generator",
    all_pairs: "holds_no_pairs",
    all_gradients: "holds_no_pairs",
    scales_in_place: "leaves_everything_as_it_was",
    in_train_mode: "leaves_everything_as_it_was",
    per_batch: "knows_no_blocks",
    coarse: "agrees_in_fp32",
    keeps_on_warning: "takes_odd_pools",
    raw_memory: "knows_no_storage",
    remembers: "keeps_nothing_between_calls",
    pairs_in_parts: "holds_no_pairs",
    scores_of_others: "asks_for_n_different_candidates",
    lower_is_better: "prefers_high_scores",
    spoils_labels: "leaves_everything_as_it_was",
    fewer_threads: "leaves_everything_as_it_was",
    neighbors: "breaks_ties_by_the_seed",
    paints_over: "refuses_what_is_not_finite",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)  # type: ignore[attr-defined]
def test_a_mistake_is_told(mutant: Strategy) -> None:
    with pytest.raises(AssertionError, match=MUTANTS[mutant]):
        check_strategy(mutant)


def test_every_contract_tells_a_mistake() -> None:
    assert {contract.__name__ for contract in CONTRACTS} == {*MUTANTS.values()}


def test_a_score_is_told_how_it_is_checked() -> None:
    with pytest.raises(AssertionError, match=r"does not take \(candidates, n\).*partial\(top, score="):
        check_strategy(margin)  # type: ignore[arg-type]


def test_a_mistake_that_breaks_many_contracts_is_told_once() -> None:
    with pytest.raises(AssertionError) as told:
        check_strategy(lambda pool, n: pool.probabilities)  # type: ignore[attr-defined]
    assert str(told.value).count("no attribute 'probabilities'") == 2, "once, and once with the name of an odd pool"


def test_what_has_no_mistake_passes() -> None:
    check_strategy(partial(top, score=margin))
