"""What every strategy has to keep, a function each: called with a strategy, it raises AssertionError where it fails."""

import itertools
import math
import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch

from al_lightning.acquisition import blocks
from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy, StrategyError, choose
from al_lightning.acquisition.select import Query
from al_lightning.contract import told
from al_lightning.models.predictions import NotFiniteError
from al_lightning.testing.examples import Example, make_example
from al_lightning.testing.memory import peak
from al_lightning.testing.odd_examples import ODD, with_certain_images

N = 10  # images of a query, where a contract does not need another number
TOLERANCE = 1e-4  # of scores in fp32, as a share of their range
CHI_SQUARE = 37.4  # of 11 degrees of freedom, exceeded once in 10,000


def asks_for_n_different_candidates(strategy: Strategy) -> None:
    """Exactly n different images, none of which has a label, from 1 to all."""
    pool = make_example()
    for n in (1, 2, N, len(pool.indices) - 1, len(pool.indices)):
        _asked(strategy, pool.candidates(), n)


def takes_odd_pools(strategy: Strategy) -> None:
    """The same of every pool of :data:`al_lightning.testing.odd_examples.ODD`, without a warning."""
    for name, odd in ODD.items():
        pool = odd(make_example())
        for n in {1, min(N, len(pool.indices)), len(pool.indices)}:
            try:
                _asked(strategy, pool.candidates(), n)
            except Exception as error:  # a user's own strategy may raise anything
                raise AssertionError(f"{name}, {n} of {len(pool.indices)}: {told(error)}") from error


def draws_from_the_round_s_generator(strategy: Strategy) -> None:
    """The same seed of `candidates.rng`, the same images, whatever the global generators hold."""
    pool = make_example()
    once, again = (_asked(strategy, pool.candidates(seed=3), N, seed) for seed in (0, 1))
    assert once.indices.tolist() == again.indices.tolist(), (
        "asked twice with the same candidates.rng, it chose other images: everything random has to come from there"
    )


def keeps_nothing_between_calls(strategy: Strategy) -> None:
    """What it was asked before makes no difference: a run that goes on in another process has not been asked it."""
    pool, other = make_example(), make_example(seed=1)
    first, _, again = (_asked(strategy, each.candidates(), N).indices.tolist() for each in (pool, other, pool))
    assert first == again, "asked the same after something else, it chose other images: it keeps what it must not"


def breaks_ties_by_the_seed(strategy: Strategy) -> None:
    """Of images that are all the same, each is chosen as often as any other."""
    pool = ODD["identical images"](make_example(n_candidates=12, n_labeled=4))
    queries = [_asked(strategy, pool.candidates(seed), 3).indices for seed in range(200)]
    counts = np.array([sum(int(i in query) for query in queries) for i in pool.indices])
    statistic = ((counts - 50) ** 2 / 50).sum()
    assert statistic < CHI_SQUARE, (
        f"3 of 12 identical images, 200 times: each was chosen {counts.tolist()} times, not about 50: equal images "
        "have to be put in an order that candidates.rng draws"
    )
    # Of 66 pairs 11 are neighbors, and a query has 3 pairs: 100 are expected, with a standard deviation below 9.
    ranks = [torch.searchsorted(pool.indices, query).sort().values for query in queries]
    neighbors = sum(int((each.diff() == 1).sum()) for each in ranks)
    assert 60 < neighbors < 140, (
        f"3 of 12 identical images, 200 times: {neighbors} times two neighbors of the data set, not about 100: which "
        "images come together must not depend on their position"
    )


def knows_no_blocks(strategy: Strategy) -> None:
    """The same images in float64, however large the blocks of the work and the batches of the pass are."""
    pool, chosen = make_example(), {}
    for block, batch_size in ((2**24, 4096), (7 * len(pool.indices), 7), (1, 1)):
        with patch.object(blocks, "BLOCK", block):
            query = _asked(strategy, pool.candidates(batch_size=batch_size), N)
            chosen[f"blocks of {block}, batches of {batch_size}"] = query.indices.tolist()
    _all_the_same(chosen)


def knows_no_storage(strategy: Strategy) -> None:
    """The same images in float64, however the features lie in memory and in whatever order the candidates come."""
    pool, rng = make_example(), np.random.default_rng(1)
    order = torch.from_numpy(rng.permutation(len(pool.indices)))
    column_major = pool.rows.T.contiguous().T
    strided = torch.stack([pool.rows, torch.zeros_like(pool.rows)], 2)[..., 0]
    pools = {
        "row after row": pool,
        "column after column": replace(pool, rows=column_major),
        "every other value": replace(pool, rows=strided),
        "candidates in another order": replace(pool, indices=pool.indices[order]),
    }
    _all_the_same({name: _asked(strategy, each.candidates(), N).indices.tolist() for name, each in pools.items()})


def agrees_in_fp32(strategy: Strategy) -> None:
    """In fp32, scores differ by little, and a choice by images whose scores differ by no more; see :func:`agree`."""
    agree(strategy, make_example(), make_example().to(torch.float32))


def agree(strategy: Strategy, exact: Example, other: Example) -> None:
    """Hold what a strategy chooses of a pool against what it chooses of the same in another precision or elsewhere.

    Raises:
        AssertionError: a score differs by more than :data:`TOLERANCE` of their range; an image is chosen of one only
            and its score is farther from the lowest chosen one; or, without scores, another image is chosen.
    """
    true, made = (_asked(strategy, pool.candidates(), N) for pool in (exact, other))
    chosen = {*true.indices.tolist()} ^ {*made.indices.tolist()}
    if true.pool_scores is None or made.pool_scores is None or true.scores is None:
        assert not chosen, f"of another precision or device it chose others: {sorted(chosen)}"
        return
    scores, others = true.pool_scores.double().cpu(), made.pool_scores.double().cpu()
    allowed = TOLERANCE * max(float(scores.max() - scores.min()), 1e-3)
    differ = float((scores - others).abs().max())
    assert differ <= allowed, f"a score differs by {differ:.2g}, allowed are {allowed:.2g}"
    border = float(true.scores.min())
    apart = max((abs(float(scores[exact.indices == i]) - border) for i in chosen), default=0.0)
    assert apart <= 2 * allowed, f"an image was chosen of one only whose score is {apart:.2g} from the border"


def prefers_no_exact_zeros(strategy: Strategy) -> None:
    """Probabilities of exactly 0 and 1 draw no more attention than those next to them: 0 log 0 is 0."""
    picked = {}
    for logit in (50.0, 1000.0):
        pool, certain = with_certain_images(logit)
        picked[logit] = int(torch.isin(_asked(strategy, pool.candidates(), N).indices, certain).sum())
    assert picked[1000.0] <= picked[50.0] + N // 2, (
        f"of {N} images, {picked[1000.0]} have probabilities of exactly 0 and 1; where these are 1e-22, "
        f"{picked[50.0]}: a value that is not a number comes first in a sort"
    )


def refuses_what_is_not_finite(strategy: Strategy) -> None:
    """Features that are infinite or not a number are refused by name, unless they are not looked at."""
    pool = make_example()
    unseen = _asked(strategy, pool.candidates(), N).indices.tolist()
    for spoiled, odd in itertools.product((int(pool.indices[5]), *unseen[:2]), (math.nan, math.inf, -math.inf)):
        rows, others = pool.rows.clone(), pool.rows.clone()
        rows[spoiled, 2], others[spoiled] = odd, -3 * others[spoiled]
        try:
            chosen = _asked(strategy, replace(pool, rows=rows).candidates(), N).indices.tolist()
        except (NotFiniteError, StrategyError) as error:
            assert "infinite or not a number" in str(error), f"a feature of {odd}: {error}"
        else:
            looks = _asked(strategy, replace(pool, rows=others).candidates(), N).indices.tolist() != unseen
            assert chosen == unseen and not looks, f"a feature of {odd}: it chose as if nothing were wrong"


def leaves_everything_as_it_was(strategy: Strategy) -> None:
    """The model, its buffers and modes, the random streams of training, and the tensors of the candidates."""
    pool = make_example()
    candidates = pool.candidates()
    labeled = candidates.labeled
    given = [candidates.indices, candidates.features, candidates.log_probabilities, pool.rows]
    model, tensors = pool.model, [*given, labeled.indices, labeled.labels, labeled.features, pool.labels]
    modes = [module.training for module in model.modules()]
    trains = [each.requires_grad for each in model.parameters()]
    kept, around = [each.clone() for each in [*model.state_dict().values(), *tensors]], _process()
    with torch.inference_mode():
        strategy(candidates, N)
    same = all(map(torch.equal, [*model.state_dict().values(), *tensors], kept))
    assert same, "it changed a weight, a buffer, or a tensor of the candidates in place"
    assert modes == [module.training for module in model.modules()], "it left a module in another mode"
    assert trains == [each.requires_grad for each in model.parameters()], "it changed which weights are trained"
    assert around == _process(), (
        "it drew from a global generator, or changed the number of threads or the default type: training would go on "
        "with other numbers"
    )


def prefers_high_scores(strategy: Strategy) -> None:
    """Where it has scores, what it asks for has higher ones than the rest: higher is more informative."""
    query = _asked(strategy, make_example().candidates(), N)
    if query.scores is None or query.pool_scores is None:
        return
    chosen, all_ = float(query.scores.double().mean()), float(query.pool_scores.double().mean())
    assert chosen >= all_, f"the scores of what it asks for are {chosen:.3g} in mean, those of all {all_:.3g}"


def holds_no_pairs(strategy: Strategy) -> None:
    """Nothing of pool x pool, nor of pool x classes x features, be it in parts: memory grows as the pool does."""

    def taken(n_candidates: int, n_features: int = 32, n_classes: int = 8) -> int:
        pool = make_example(n_candidates, 20, n_features, n_classes)
        with patch.object(blocks, "BLOCK", 2**10):
            return peak(lambda: _asked(strategy, pool.candidates(batch_size=64), N))

    taken(100)  # what is imported at the first call is no memory of the strategy
    few, many, wide = taken(300), taken(1200), taken(300, 64, 16)
    assert many <= 5 * few, f"four times the candidates, {many / few:.1f} times the memory: something is pool x pool"
    assert wide <= 3 * few, (
        f"twice the features and the classes, {wide / few:.1f} times the memory: something is pool x classes x features"
    )


CONTRACTS: tuple[Callable[[Strategy], None], ...] = (
    keeps_nothing_between_calls,  # before the others have asked it
    asks_for_n_different_candidates,
    takes_odd_pools,
    draws_from_the_round_s_generator,
    breaks_ties_by_the_seed,
    knows_no_blocks,
    knows_no_storage,
    agrees_in_fp32,
    prefers_high_scores,
    prefers_no_exact_zeros,
    refuses_what_is_not_finite,
    leaves_everything_as_it_was,
    holds_no_pairs,
)


def _asked(strategy: Strategy, candidates: Candidates, n: int, seed: int = 0) -> Query:
    """As a run asks it, but that a warning is an error."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        return choose(strategy, candidates, n, seed)


def _all_the_same(chosen: dict[str, list[int]]) -> None:
    (first, wanted), *others = chosen.items()
    for name, indices in others:
        assert indices == wanted, f"with {name}, it chose {indices}; with {first}, {wanted}"


def _process() -> tuple[object, ...]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    settings = torch.get_num_threads(), torch.get_default_dtype()
    return torch.get_rng_state().tolist(), repr(legacy), random.getstate(), settings
