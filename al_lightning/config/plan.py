"""How many labels every round has: the sizes of the configuration held against a pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from al_lightning.config.schema import ActiveLearning
from al_lightning.config.stop_rules import StopRule, parse
from al_lightning.errors import ConfigError


@dataclass(frozen=True)
class Begun:
    """What a run has asked for, where that need not follow from its sizes: its pool may have grown since.

    Attributes:
        queries: that were committed, the one before round 0 aside.
        queried: images in all of them.
        initial: those asked for before round 0, to train on.
        val: and those for validation.
    """

    queries: int
    queried: int
    initial: int = 0
    val: int = 0


@dataclass(frozen=True)
class Plan:
    """The rounds of a run, all sizes in images.

    Attributes:
        pool_size: images that can be labeled: those that `dataset.subset` and `dataset.imbalance` leave out are not,
            nor those that the simulated oracle has no label for.
        initial_size: labeled before round 0, and trained on in it.
        query_size: labeled after every round but the last.
        val_size: labeled and kept from training.
        rounds: number of queries; the run fits `rounds + 1` times.
        initial: how the initial set is drawn: `random`, or `balanced` over the classes.
        pool_sample: most unlabeled images that a strategy looks at in a round; None: all.
        n_neighbors: of every labeled image, which are what it looks at; None: they are not looked for.
        n_gone: images of the pool that are no longer there, and cannot be asked for.
        begun: what was asked for before these sizes counted; None: they count from the first round on.
        n_given: images of the initial set whose labels were known before anything was asked.
        stop: rules that say, or decide, that enough has been labeled.
        n_control: images of every query that are drawn at random.
    """

    pool_size: int
    initial_size: int
    query_size: int
    val_size: int
    rounds: int
    initial: str = "random"
    pool_sample: int | None = None
    n_neighbors: int | None = None
    n_gone: int = 0
    begun: Begun | None = None
    n_given: int = 0
    stop: tuple[StopRule, ...] = ()
    n_control: int = 0

    def is_last(self, before: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the round after these is the last one by its number, and chooses nothing.

        Args:
            before: rows of `rounds.csv`.
        """
        return len(before) == self.rounds

    def is_over(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether these rounds are all, the last one included: by their number, or by a stopping rule."""
        return bool(rows) and (self.is_last(rows[:-1]) or self.is_stopped_by(rows[-1].get("stop/act")))

    def is_stopped_by(self, rule: str | None) -> bool:
        """Whether a rule, as it was typed, is still one that ends the run."""
        asked = {(each.name, each.value) for each in self.stop if each.acts}
        return bool(rule) and ((typed := parse(rule)).name, typed.value) in asked

    def n_labeled(self, round_: int) -> int:
        """Images that a round trains on."""
        return self.n_paid(round_) - self.val_size

    def n_paid(self, round_: int) -> int:
        """Labels paid for when a round trains, those for validation included."""
        begun = self.begun or Begun(0, self.initial_size + self.val_size)
        return begun.queried + (round_ - begun.queries) * self.query_size

    def n_candidates(self, round_: int) -> int:
        """Images that a round's strategy chooses from; of neighbors, which may be the same, how many at most."""
        unlabeled = self.pool_size - self.n_gone - self.n_paid(round_)
        if self.n_neighbors and (n_labeled := self.n_labeled(round_)):
            return min(max(self.n_neighbors * n_labeled, self.query_size), unlabeled)
        return unlabeled if self.pool_sample is None else min(self.pool_sample, unlabeled)


def to_images(size: int | float, pool_size: int) -> int:
    """A size as a number of images: a fraction in (0, 1) of the pool is rounded to the nearest, at least 1."""
    return max(1, round(size * pool_size)) if 0 < size < 1 else int(size)


def make_plan(
    al: ActiveLearning, pool_size: int, n_gone: int = 0, begun: Begun | None = None, n_given: int = 0
) -> Plan:
    """Work out the rounds.

    Args:
        al: sizes and limits.
        pool_size: images that can be labeled; fractions are of them.
        n_gone: those of them that are no longer there.
        begun: what was asked for already, where these sizes count for the rounds to come only.
        n_given: images whose labels are known before anything is asked: they belong to the initial set.

    Raises:
        ConfigError: the sizes do not fit into the pool or the budget.
    """
    initial, val = max(n_given, to_images(al.initial_size, pool_size)), to_images(al.val_size, pool_size)
    query = to_images(al.query_size, pool_size)
    if begun:
        initial, val = begun.initial, begun.val
    elif initial == 1 and not n_given:
        raise ConfigError(
            f"al.initial_size={al.initial_size}: 1 image to train on; at least 2 are needed, or 0: none before round 1"
        )
    elif initial + val > pool_size:
        raise ConfigError(
            f"al.initial_size={al.initial_size} al.val_size={al.val_size}: {initial + val} images, "
            f"but the pool has {pool_size}"
        )
    sample = None if al.pool_sample is None else to_images(al.pool_sample, pool_size)
    if sample is not None and sample < query:
        raise ConfigError(
            f"al.pool_sample={al.pool_sample}: {sample} images to choose {query} (al.query_size) from; "
            f"at least {query} are needed"
        )
    there = pool_size - n_gone
    done, asked = (begun.queries, begun.queried) if begun else (0, initial + val)
    limits = [] if al.rounds is None else [al.rounds]
    if al.budget is not None:
        if al.budget < initial + val:
            raise ConfigError(
                f"al.budget={al.budget}: the initial set ({initial}) and the validation set ({val}) "
                f"already cost {initial + val} labels"
            )
        limits.append(done + (min(al.budget, there) - asked) // query)
    rounds = min(limits)
    if (labels := asked + (rounds - done) * query) > there:
        counted = f"{asked} + {rounds - done}" if begun else f"{initial} + {rounds}"
        raise ConfigError(
            f"al.rounds={al.rounds}: {counted} x {query} (al.query_size){'' if begun else f' + {val} (al.val_size)'} = "
            f"{labels} labels, but the pool has {there}; at most {done + (there - asked) // query} rounds fit"
        )
    stop = tuple(parse(text) for text in al.stop)
    # At most half of a query: equally many random and chosen ones are held against each other.
    control = 0 if al.control is None else max(1, min(round(al.control * query), query // 2))
    if control >= query:
        raise ConfigError(f"al.control={al.control} al.query_size={query}: leaves nothing to choose")
    near = al.n_neighbors if al.candidates == "neighbors" else None
    return Plan(pool_size, initial, query, val, rounds, al.initial, sample, near, n_gone, begun, n_given, stop, control)
