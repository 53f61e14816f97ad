"""How far annotators agree, by the images that several of them answered. Pure functions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from al_lightning.people.answers import SETTLING, Answers
from al_lightning.people.records import Event


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree.

    Attributes:
        kappa: 1 where they always do, 0 where no more than by chance, below where less; None where it has no meaning:
            of no image, or where only one class was ever named.
        n: images that it comes from.
    """

    kappa: float | None
    n: int


@dataclass(frozen=True)
class Right:
    """How often an annotator is right: a share from 0 to 1, of n images."""

    accuracy: float
    n: int


def independent(events: Iterable[Event]) -> Iterator[Event]:
    """The events without those of a review, where earlier answers are seen: of these the blind answers are made.

    An :class:`Answers` of these, kept beside the one of all events, is what the functions below call blind.
    """
    return (event for event in events if event.source not in SETTLING)


def agreement(blind: Answers) -> Agreement:
    """Fleiss' kappa of the first two annotators that gave each image a class.

    Fleiss 1971, "Measuring nominal scale agreement among many raters": images may have different annotators, as here,
    where whoever is there answers; Cohen's kappa is of two who answer all. With two answers an image it is Scott's pi
    over all pairs. Skipped and unsure answers are no class and do not count.

    Args:
        blind: of :func:`independent` events.
    """
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa  # takes a second, which a start has not

    pairs = [[*labels.values()][:2] for labels in _several(blind).values()]
    if len(np.unique(pairs)) < 2:
        return Agreement(None, len(pairs))
    table, _ = aggregate_raters(pairs)
    return Agreement(float(fleiss_kappa(table)), len(pairs))


def right(blind: Answers, settled: Answers) -> dict[int, Right]:
    """By annotator, how often she gave the right class, on images to which another one gave a class, too.

    Right is what a review settled, or what all agree on. Where they do not and nobody has reviewed it, it is what the
    others agree on, if they do: so until it is reviewed, a disagreement of two counts against both.

    Args:
        blind: of :func:`independent` events.
        settled: of all events.
    """
    found: dict[int, list[bool]] = {}
    for item, labels in _several(blind).items():
        for annotator, label in labels.items():
            others = {each for other, each in labels.items() if other != annotator}
            truth = settled.labels.get(item, others.pop() if len(others) == 1 else None)
            if truth is not None:
                found.setdefault(annotator, []).append(label == truth)
    return {annotator: Right(sum(each) / len(each), len(each)) for annotator, each in sorted(found.items())}


def _several(blind: Answers) -> dict[int, dict[int, int]]:
    """Class by annotator, of the images that at least two of them gave one."""
    given = {
        item: {annotator: event.label for annotator, event in blind.of(item).items() if event.label is not None}
        for item in (*blind.labels, *blind.states)
    }
    return {item: labels for item, labels in given.items() if len(labels) > 1}
