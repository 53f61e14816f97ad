"""What the server knows of every image, in memory: all of it follows from the store, leases aside."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from threading import RLock
from typing import Any

import numpy as np

from al_lightning.label.free import FreeSet, Line, line
from al_lightning.label.leases import Leases
from al_lightning.label.predictions import Predictions
from al_lightning.people.answers import DISPUTED, LABELED, OPEN, SETTLING, Answers
from al_lightning.people.records import IMPORTED, LABEL, LIVE, SKIP, UNDO, UNSURE, Draw, Event, Query
from al_lightning.people.store import Store

STATES = (OPEN, LABELED, SKIP, UNSURE, DISPUTED)  # of an image, by the number that stands for each
CHUNK = 1000  # images that are taken up while nobody else gets anything
RECENT = 20  # actions that say how fast somebody is
PAUSE = 60.0  # seconds: who takes longer for an action has left
RANDOM, AGAIN, ASKED, CHOSEN, STORED = "random", "again", "asked", "chosen", "stored"  # why an image is shown


class Desk:
    """The state of the server; whoever uses it holds `lock`.

    Args:
        store: of the project.
        twice: share of the labeled images that a second annotator is asked for.
        seed: of what is drawn; each start draws anew, after the draws that there are.

    Attributes:
        answers: what all events come to.
        files: paths of an image below the root, by image, of those that are there.
        digests: of every image that was ever seen.
        label: `int64`, by image, its class; 0 where it has none.
        state: `int8`, by image, its place in `STATES`.
        is_there: `bool`, by image, whether it has a file.
        is_open: `bool`, by image, whether it can be asked for: no answer, a file, and nothing is known against it.
        free: what is open and not leased.
        unreadable: why not, by image.
        is_drawn: `bool`, by image, whether it was ever drawn at random.
        waiting: the drawn images that are free; they come first.
        draws: as the store has them.
        asked: images that runs ask for, each by its newest query: one line.
        latest: the last query of the learner.
        queue: its images, a line.
        scores: of the strategy, by image of that query.
        why: labeled images near to those of a query, and their similarities.
        why_of: which query that is.
        predictions: of the last model.
        again: images that want a second annotator, by the first one.
        given: how many answers each annotator gave that count.
        n_paid: how many of these were given here: those of a file cost nothing.
        paces: seconds and answers of each one's last actions.
        items_of: the images of an action.
        history: ids of the events with answers, and their images.
    """

    def __init__(self, store: Store, twice: float, seed: int) -> None:
        self.store, self.twice, self.lock = store, twice, RLock()
        self.answers, self.leases, self.free = Answers(), Leases(), FreeSet()
        self.files, self.digests = dict[int, list[str]](), store.items()
        self.label, self.state = np.zeros(0, np.int64), np.zeros(0, np.int8)
        self.is_there, self.is_open = np.zeros(0, bool), np.zeros(0, bool)
        self.unreadable = dict[int, str]()
        self.is_drawn, self.waiting, self.draws = np.zeros(0, bool), dict[int, None](), list[Draw]()
        self._asked = dict[str, list[int]]()  # by asker
        self.latest: Query | None = None
        self.asked = self.queue = line(np.zeros(0, np.int64), 0)
        self.scores, self.why, self.why_of = dict[int, float | None](), dict[int, Any](), 0
        self.predictions: Predictions | None = None
        self.again: dict[int, dict[int, None]] = defaultdict(dict)
        self.given: dict[int, int] = defaultdict(int)
        self.n_paid, self._counted = 0, dict[int, list[Event]]()
        self.paces: dict[int, deque[list[Any]]] = defaultdict(lambda: deque(maxlen=RECENT))
        self.items_of: dict[str, list[int]] = defaultdict(list)
        self.history = (list[int](), list[int]())
        self._add_draws()
        self.rng = np.random.default_rng([seed, len(self.draws)])
        self.catch_up()

    # What the store has

    def catch_up(self) -> None:
        """Take into account what has been answered, here or by another process."""
        events = self.store.events(self.answers.last)
        if not events:
            return
        touched = self.answers.add(events)
        if not self.digests.keys() >= touched:  # the scan has found images that are not taken up yet
            self.digests = self.store.items()
        self._grow(max(touched, default=0) + 1)
        for event in events:
            self._note(event)
        for item in touched:
            self._settle(item)

    def end_leases(self, now: float) -> None:
        """Free the images whose leases are over."""
        for item in self.leases.pop_ended(now):
            self._place(item)

    def set_files(self, files: Mapping[int, list[str]], digests: Mapping[int, str]) -> None:
        """Take up the files that are there now; takes the lock itself, and gives it away between pieces."""
        changed = [item for item in {*files, *self.files} if self.files.get(item) != files.get(item)]
        for start in range(0, len(changed), CHUNK):
            with self.lock:
                chunk = changed[start : start + CHUNK]
                self._grow(max(chunk) + 1)
                for item in chunk:
                    if item in files:
                        self.files[item], self.digests[item] = files[item], digests[item]
                    else:
                        del self.files[item]
                        self.leases.end(item)
                    self.is_there[item] = item in files
                    self._place(item)

    def take_query(self, query: Query, rows: Sequence[tuple[int, float | None]]) -> None:
        """Take up a query: what is in it comes next, and what a run asks for comes first."""
        items = [item for item, _ in rows]
        if query.asker == LIVE:
            self.latest, self.scores, self.queue = query, dict(rows), self._line(items)
        else:
            self._asked[query.asker] = items
            self.asked = self._line(dict.fromkeys(chain(*self._asked.values())))

    def add_draws(self, items: Sequence[int]) -> None:
        """Store that images were drawn, and what the model makes of them."""
        rows = []
        for item in items:
            known = self.predictions
            guess = known.of(item) if known else None
            rows.append((item, known.query, known.n_labeled, *guess[:2]) if known and guess else (item, *(None,) * 4))
        self.store.add_draws(rows)
        self._add_draws()

    def _add_draws(self) -> None:
        new = self.store.draws(self.draws[-1].id if self.draws else 0)
        self.draws += new
        self._grow(max((each.item for each in new), default=0) + 1)
        self.is_drawn[[each.item for each in new]] = True

    # What follows from it

    def lease(self, item: int, annotator: int, where: str, kind: str, now: float) -> None:
        """Keep an image for an annotator."""
        self.leases.give(item, annotator, where, kind, now)
        self._place(item)

    def release(self, item: int) -> None:
        """Nobody has the image open."""
        self.leases.end(item)
        self._place(item)

    def set_unreadable(self, item: int, reason: str) -> None:
        """The image is not asked for until the next start."""
        self.unreadable[item] = reason
        self.release(item)

    def kind_of(self, item: int) -> str:
        """Why an open image would be shown, if it came out of turn."""
        if self.is_drawn[item]:
            return RANDOM
        return CHOSEN if item in self.scores or (self.predictions and self.predictions.of(item)) else STORED

    def again_for(self, annotator: int) -> int | None:
        """An image that this annotator is to be asked for as the second one."""
        for first, items in self.again.items():
            if first != annotator:
                for item in items:
                    if item in self.files and item not in self.unreadable and item not in self.leases:
                        return item
        return None

    def _grow(self, size: int) -> None:
        if (more := size - len(self.label)) <= 0:
            return
        more = max(more, len(self.label) // 2)
        for name in ("label", "state", "is_there", "is_open", "is_drawn"):
            array = getattr(self, name)
            setattr(self, name, np.append(array, np.zeros(more, array.dtype)))
        self.free.grow(len(self.label))

    def _note(self, event: Event) -> None:
        """What is counted event by event."""
        if event.kind == UNDO:
            return
        assert event.item is not None
        items = self.items_of[event.action]
        items.append(event.item)
        if event.kind in (LABEL, SKIP, UNSURE):
            self.leases.end(event.item)
            self.history[0].append(event.id)
            self.history[1].append(event.item)
            if event.seconds is not None:
                pace = self.paces[event.annotator]
                if len(items) > 1 and pace and pace[-1][2] == event.action:
                    pace[-1][1] += 1
                else:
                    pace.append([min(event.seconds, PAUSE), 1, event.action])

    def _settle(self, item: int) -> None:
        """An image has other answers than before."""
        answers = self.answers.of(item)
        for event in self._counted.pop(item, ()):
            self.given[event.annotator] -= 1
            self.n_paid -= not event.action.startswith(IMPORTED)
            self.again[event.annotator].pop(item, None)
        for event in answers.values():
            self.given[event.annotator] += 1
            self.n_paid += not event.action.startswith(IMPORTED)
        if answers:
            self._counted[item] = [*answers.values()]
        self.label[item] = self.answers.labels.get(item, 0)
        self.state[item] = STATES.index(self.answers.state(item))
        if len(answers) == 1 and self.twice and self._wants_another(item, answers.values()):
            self.again[next(iter(answers))][item] = None
        self._place(item)

    def _wants_another(self, item: int, answers: Iterable[Event]) -> bool:
        """Whether an image is of the share that is asked twice: its content says so, whoever asks and when."""
        return int(self.digests[item][:8], 16) < self.twice * 2**32 and all(
            each.kind == LABEL and each.source not in SETTLING for each in answers
        )

    def _place(self, item: int) -> None:
        """Whether an image is open, and free."""
        is_open = bool(self.is_there[item] and not self.state[item] and item not in self.unreadable)
        is_free = is_open and item not in self.leases
        self.is_open[item] = is_open
        if is_free and item not in self.free:
            self.free.add(item)
            for each in self._lines(item):
                each.put_back(item)
        elif not is_free and item in self.free:
            self.free.remove(item)
        if self.is_drawn[item]:
            if is_free:
                self.waiting[item] = None
            else:
                self.waiting.pop(item, None)

    def _line(self, items: Iterable[int]) -> Line:
        array = np.array([*items], np.int64)
        return line(array, max(len(self.label), int(array.max(initial=0)) + 1))

    def _lines(self, item: int) -> list[Line]:
        lines = [self.asked, self.queue]
        if self.predictions:
            lines.append(self.predictions.unsure)
            if (guess := self.predictions.of(item)) and (grid := self.predictions.grid.get(guess[0])):
                lines.append(grid)
        return lines
