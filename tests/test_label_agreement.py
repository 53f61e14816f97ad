"""Agreement of annotators, against formulas in plain loops, and what counts as right."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_lightning.label.agreement import Agreement, Right, agreement, independent, right
from al_lightning.people.answers import Answers
from al_lightning.people.records import LABEL, SKIP, UNDO, Event

CAT, DOG, COW = 1, 2, 3
ids = count(1)


def said(annotator: int, item: int, label: int | None, source: str = "page", action: str = "") -> Event:
    number = next(ids)
    kind = SKIP if label is None else LABEL
    return Event(number, "", annotator, kind, item, label, 1.0, action or str(number), source, None)


def undone(annotator: int, action: str) -> Event:
    number = next(ids)
    return Event(number, "", annotator, UNDO, None, None, None, str(number), "page", action)


def answers(*events: Event) -> tuple[Answers, Answers]:
    blind, settled = Answers(), Answers()
    blind.add(independent(events))
    settled.add(events)
    return blind, settled


def fleiss(pairs: list[tuple[int, int]]) -> float:
    """Fleiss 1971 of two answers an image, by its words."""
    counts = Counter(label for pair in pairs for label in pair)
    chance = sum((n / (2 * len(pairs))) ** 2 for n in counts.values())
    return (sum(a == b for a, b in pairs) / len(pairs) - chance) / (1 - chance)


pair = st.tuples(st.sampled_from([CAT, DOG, COW]), st.sampled_from([CAT, DOG, COW]))
who = st.permutations([1, 2, 3, 4])


@given(st.lists(st.tuples(pair, who), min_size=1, max_size=40))
def test_kappa_is_that_of_fleiss_whoever_answers(given_: list[tuple[tuple[int, int], list[int]]]) -> None:
    events = []
    for item, (labels, annotators) in enumerate(given_):
        events += [said(annotator, item, label) for annotator, label in zip(annotators[:2], labels, strict=True)]
        events.append(said(annotators[2], item, None))  # skipped: no class
    found = agreement(answers(*events)[0])
    pairs = [labels for labels, _ in given_]
    assert found.n == len(pairs)
    if len({label for each in pairs for label in each}) > 1:
        assert found.kappa == pytest.approx(fleiss(pairs))
    else:
        assert found.kappa is None


def test_of_the_same_images_in_class_order_only_agreement_counts() -> None:
    blind, _ = answers(*(said(who, item, [CAT, DOG, COW][item % 3]) for item in range(9) for who in (1, 2)))
    assert (agreement(blind).kappa, agreement(blind).n) == (pytest.approx(1), 9)
    assert agreement(Answers()) == Agreement(None, 0)


def test_answers_that_were_given_in_sight_of_others_are_no_agreement() -> None:
    blind, _ = answers(
        said(1, 0, CAT), said(2, 0, DOG), said(2, 0, CAT, "review"),  # her blind answer stays what it was
        said(1, 1, CAT), said(2, 1, CAT, "doubtful"),
        said(1, 2, DOG), said(2, 2, DOG), said(2, 3, DOG, action="slip"), said(1, 3, CAT), undone(2, "slip"),
    )  # fmt: skip
    assert (agreement(blind).kappa, agreement(blind).n) == (pytest.approx(fleiss([(CAT, DOG), (DOG, DOG)])), 2)


def test_right_is_what_a_review_settles_else_what_the_others_agree_on() -> None:
    blind, settled = answers(
        said(1, 0, CAT), said(2, 0, CAT),  # both right
        said(1, 1, CAT), said(2, 1, DOG), said(3, 1, DOG, "review"),  # 2 is right
        said(1, 2, CAT), said(2, 2, CAT), said(3, 2, DOG, "doubtful"),  # neither
        said(1, 3, CAT), said(2, 3, DOG),  # nobody knows: against both
        said(1, 4, CAT), said(2, 4, CAT), said(4, 4, DOG),  # against 4; the others of 1 and 2 do not agree
        said(1, 5, CAT), said(1, 6, CAT), said(1, 6, DOG, "doubtful"),  # nobody else
    )  # fmt: skip
    assert right(blind, settled) == {1: Right(1 / 4, 4), 2: Right(2 / 4, 4), 4: Right(0.0, 1)}
