"""What the events of a store come to: the same as when all of it is read again, however they came."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_people_store import CLASSES, ITEMS, PEOPLE, make

from al_lightning.people.answers import Answers
from al_lightning.people.records import FLAG, LABEL, SKIP, UNFLAG, UNSURE, Given
from al_lightning.people.store import STORE, UnknownError


class Act(NamedTuple):
    """What one key press says; to undo another one it says nothing, and names that by its number, or the last one."""

    by: int
    said: list[tuple[int, str, int]]
    source: str
    target: int | None


said = st.tuples(
    st.sampled_from(ITEMS), st.sampled_from([LABEL] * 3 + [SKIP, UNSURE, FLAG, UNFLAG]), st.sampled_from(CLASSES)
)
acts = st.builds(
    Act,
    st.sampled_from(PEOPLE),
    st.lists(said, max_size=3),
    st.sampled_from(["page", "page", "grid", "map", "import", "review", "doubtful"]),
    st.none() | st.integers(0, 11),
)


def replayed(done: list[tuple[str, Act]], item: int) -> tuple[str, int | None, bool]:
    """State, class and flag of an image, by the words of the documentation and nothing else."""
    said = [(act, kind, label) for _, act in done for each, kind, label in act.said if each == item]
    flags = [kind for _, kind, _ in said if kind in (FLAG, UNFLAG)]
    answers = [each for each in said if each[1] not in (FLAG, UNFLAG)]
    reviews = [each for each in answers if each[0].source in ("review", "doubtful")]
    counted = reviews[-1:] or [*{act.by: (act, kind, label) for act, kind, label in answers}.values()]
    kinds, labels = {kind for _, kind, _ in counted}, {label for _, kind, label in counted if kind == LABEL}
    state = "open" if not kinds else UNSURE if UNSURE in kinds else SKIP
    if labels:
        state = "disputed" if len(labels) > 1 else "labeled"
    return state, labels.pop() if state == "labeled" else None, flags[-1:] == [FLAG]


@settings(max_examples=60)
@given(st.lists(acts, max_size=12))
def test_answers_are_what_a_replay_makes_of_them(acts: list[Act]) -> None:
    """Also when the events come one by one, and every action twice."""
    with TemporaryDirectory() as folder, closing(make(Path(folder, STORE))) as store:
        done: list[tuple[str, Act]] = []  # what is not undone
        step, whole = Answers(), Answers()

        def shown(answers: Answers) -> list[tuple[str, int | None, bool]]:
            return [(answers.state(item), answers.labels.get(item), item in answers.flagged) for item in ITEMS]

        for number, act in enumerate(acts):
            action, own = f"action-{number}", [each for each in done if each[1].by == act.by]
            given = [Given(item, kind, label if kind == LABEL else None) for item, kind, label in act.said]
            target = None if act.target is None else f"action-{act.target}"
            if given:
                last = store.answer(act.by, action, given, act.source)
                assert last == store.answer(act.by, action, given, "page") == store.events()[-1].id
                done.append((action, act))
            elif target is not None and target not in [name for name, _ in own]:
                with pytest.raises(UnknownError, match=target):
                    store.undo(act.by, action, target)
            else:
                undone = store.undo(act.by, action, target)
                assert undone == (target or (own[-1][0] if own else None))
                assert undone is None or store.undo(act.by, action) == undone
                done = [each for each in done if each[0] != undone]
            before, touched = shown(step), step.add(store.events(step.last))
            assert {
                item for item, *both in zip(ITEMS, before, shown(step), strict=True) if both[0] != both[1]
            } <= touched
        whole.add(store.events())
        assert shown(whole) == shown(step) == [replayed(done, item) for item in ITEMS]
        for item in ITEMS:
            assert [each.action for each in whole.events(item)] == [
                action for action, act in done for each, _, _ in act.said if each == item
            ]
