"""Who gets which image: what holds whatever people do, and what the random share rests on."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from label_servers import add_live_query, store_of, write_predictions
from scipy.stats import chisquare

from al_lightning.data.cache_folder import File
from al_lightning.label import predictions
from al_lightning.label.desk import RANDOM, Desk
from al_lightning.label.handing import GRID, grid_images, is_done, lost, next_images, region_images
from al_lightning.label.leases import SECONDS
from al_lightning.label.scanning import take_up
from al_lightning.label.showing import shown
from al_lightning.label.watching import Watching
from al_lightning.people.records import Given
from al_lightning.people.store import Store

N = 12


def desk_of(store: Store, live: Path, twice: float = 0.0, seed: int = 0) -> Desk:
    desk = Desk(store, twice, seed)
    take_up(store, desk)
    Watching(desk, live).look()
    return desk


class People(RuleBasedStateMachine):
    """Two annotators, a grid, a learner that asks, and servers that die."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.live = Path(self.folder.name)
        self.store = store_of(self.live, N)
        self.desk = desk_of(self.store, self.live, twice=0.5)
        self.pages: dict[int, dict[int, None]] = {1: {}, 2: {}}
        self.now, self.n = 0.0, 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def action(self) -> str:
        self.n += 1
        return f"action-{self.n:04}"

    @rule(who=st.sampled_from([1, 2]), n=st.integers(1, 5))
    def next(self, who: int, n: int) -> None:
        page = self.pages[who]
        found = next_images(self.desk, who, n, [*page], 0.4, None, self.now)
        items = [item for item, _ in found]
        assert len({*items}) == len(items) <= n
        assert not {*items} & {*self.pages[3 - who], *page}
        drawn = {each.item for each in self.store.draws()}
        assert {item for item, kind in found if kind == RANDOM} <= drawn
        others = self.desk.answers.of
        assert all(not others(item) or [*others(item)] == [3 - who] for item in items)
        if not found:
            left = self.desk.is_open.any() or self.desk.again_for(who)
            assert left == (not is_done(self.desk, who, None))
        page.update(dict.fromkeys(items))
        assert lost(self.desk, who, [*page]) == []
        assert lost(self.desk, 3 - who, [*page]) == [*page]

    @rule(who=st.sampled_from([1, 2]), label=st.sampled_from([1, 2]), n=st.integers(1, 4), n_past=st.integers(0, 2))
    def grid(self, who: int, label: int, n: int, n_past: int) -> None:
        """Some that the page has are clicked out of it, and let go if they came from a grid."""
        known, page = self.desk.predictions, self.pages[who]
        leases = self.desk.leases.of(who)
        past = [item for item in page if item in leases and leases[item].where == GRID][:n_past]
        for item in past:
            del page[item]
        found, _ = grid_images(self.desk, who, label, n, [*page], past, None, self.now)
        assert all(item in self.desk.free for item in past if self.desk.is_open[item])
        assert not {item for item, _ in found} & {
            *self.pages[3 - who],
            *page,
            *past,
            *(each.item for each in self.store.draws()),
        }
        guesses = [known.of(item) for item, _ in found] if known else []
        assert all(guess and guess[0] == label for guess in guesses)
        page.update(dict.fromkeys(item for item, _ in found))

    @rule(who=st.sampled_from([1, 2]), items=st.lists(st.integers(1, 9 * N), max_size=4, unique=True))
    def region(self, who: int, items: list[int]) -> None:
        found = region_images(self.desk, who, items, None, self.now)
        assert not {item for item, _ in found} & {*self.pages[3 - who]}
        self.pages[who].update(dict.fromkeys(item for item, _ in found))

    @rule(who=st.sampled_from([1, 2]), label=st.sampled_from([None, 1, 2]))
    def answer(self, who: int, label: int | None) -> None:
        if self.pages[who]:
            item = next(iter(self.pages[who]))
            self.store.answer(who, self.action(), [Given(item, "label" if label else "skip", label)], "page", 1.0)
            self.desk.catch_up()
            del self.pages[who][item]

    @rule(who=st.sampled_from([1, 2]))
    def undo(self, who: int) -> None:
        self.store.undo(who, self.action())
        self.desk.catch_up()

    @rule(who=st.sampled_from([1, 2]))
    def leave(self, who: int) -> None:
        """Nobody hears of the page again, and the other one goes on."""
        self.now += SECONDS
        next_images(self.desk, 3 - who, 0, [*self.pages[3 - who]], 0, None, self.now - 1)
        self.desk.end_leases(self.now)
        self.pages[who].clear()

    @rule(seed=st.integers(0, 9))
    def learn(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        query = add_live_query(self.store, (rng.permutation(N)[:4] + 1).tolist())
        write_predictions(
            self.live, query, {item: (int(rng.integers(1, 3)), rng.uniform(0.5, 1)) for item in range(1, N)}
        )
        Watching(self.desk, self.live).look()

    @rule()
    def killed(self) -> None:
        """A new server knows what the old one knew, leases aside; these come back with what the pages have."""
        old, self.desk = self.desk, desk_of(self.store, self.live, twice=0.5)
        for name in ("label", "state", "is_open", "is_drawn"):
            assert getattr(old, name)[: N + 1].tolist() == getattr(self.desk, name)[: N + 1].tolist()
        assert {key: n for key, n in old.given.items() if n} == {key: n for key, n in self.desk.given.items() if n}
        assert {key: {*each} for key, each in old.again.items() if each} == {
            key: {*each} for key, each in self.desk.again.items() if each
        }
        for who, page in self.pages.items():
            next_images(self.desk, who, 0, [*page], 0, None, self.now)

    @invariant()
    def free_is_what_is_open_and_not_leased(self) -> None:
        desk = self.desk
        free = {item for item in range(N + 1) if item in desk.free}
        assert free == {item for item in range(1, N + 1) if desk.is_open[item] and item not in desk.leases}
        assert {*desk.waiting} == {item for item in free if desk.is_drawn[item]}


TestPeople = People.TestCase
TestPeople.settings = settings(max_examples=40, stateful_step_count=30, phases=[Phase.generate])


def test_draws_are_uniform_and_as_many_as_were_wanted(tmp_path: Path) -> None:
    """Whatever comes first in the order of the strategy, is labeled, or is open elsewhere."""
    store = store_of(tmp_path, 40)
    query = add_live_query(store, range(1, 21))
    write_predictions(tmp_path, query, {item: (1, 0.5 + item / 100) for item in range(1, 31)})
    store.answer(2, "answered-1", [Given(item, "label", 1) for item in range(31, 36)], "page")
    counts, n = Counter[int](), 0
    for seed in range(1500):
        desk = desk_of(store, tmp_path, seed=seed)
        desk.lease(40, 2, "page", "stored", 0)
        desk.store = _Unwritten(store)
        found = next_images(desk, 1, 4, [], 0.25, None, 0)
        counts.update(desk.store.drawn)
        n += len(found)
        assert [item for item, kind in found if kind == RANDOM] == desk.store.drawn
    free = {*range(1, 31), *range(36, 40)}
    assert {*counts} == free
    assert chisquare([counts[item] for item in free]).pvalue > 1e-3
    assert abs(counts.total() - n / 4) < 4 * (n * 3 / 16) ** 0.5


class _Unwritten(Store):
    """Remembers draws; the next desk begins as this one did."""

    def __init__(self, store: Store) -> None:
        self.store, self.drawn = store, list[int]()

    def add_draws(self, draws: object) -> None:
        assert isinstance(draws, list)
        self.drawn += [each[0] for each in draws]

    def draws(self, after: int = 0) -> list:
        return []


def test_a_prediction_is_stored_before_its_image_is_handed_out(tmp_path: Path) -> None:
    store = store_of(tmp_path, 30)
    query = add_live_query(store, range(1, 9), n_labeled=7)
    write_predictions(tmp_path, query, {item: (2, 0.5 + item / 100) for item in range(1, 30)}, n_labeled=7)
    desk = desk_of(store, tmp_path)
    store.close()
    with pytest.raises(Exception, match="closed"):
        next_images(desk, 1, 10, [], 1, None, 0)
    assert not desk.leases.of(1)

    again = Store(tmp_path / "labels.sqlite")
    desk = desk_of(again, tmp_path)
    found = [item for item, _ in next_images(desk, 1, 30, [], 1, None, 0)]
    with_guess = {item: (2, pytest.approx(0.5 + item / 100)) for item in range(1, 30)}
    stored = {each.item: (each.query, each.n_labeled, each.predicted, each.probability) for each in again.draws()}
    assert [*stored] == found
    assert {*found} == {*range(1, 31)}
    for item in range(1, 30):
        assert stored[item] == (query, 7, *with_guess[item])
    assert stored[30] == (None, None, None, None)  # the model does not know it

    # Neither the prediction nor what it rests on is shown with it.
    for item in found:
        page = shown(desk, item, RANDOM)
        assert (page["guess"], page["score"], page["why"]) == (None, None, [])

    # A draw that nobody answered is handed out first, also by another server, and is not drawn again.
    again.answer(1, "answered-1", [Given(found[0], "label", 1), Given(found[3], "skip")], "page")
    desk = desk_of(again, tmp_path)
    assert {item for item, _ in next_images(desk, 2, 28, [], 0, None, 0)} == {*found} - {found[0], found[3]}
    assert len(again.draws()) == 30


def test_the_order_of_what_is_asked(tmp_path: Path) -> None:
    """A run's query, the learner's, the smallest margins, the others; a label again of somebody else."""
    store = store_of(tmp_path, 20)
    store.answer(1, "answered-1", [Given(5, "label", 1)], "page")
    row = {"asker": "runs/a", "round": 0, "strategy": "margin", "seed": 0, "event": 0, "n_labeled": 0, "seconds": None}
    store.add_query(row, [9, 5, 4])
    store.add_query(row | {"asker": "runs/b"}, [2, 9])
    query = add_live_query(store, [7, 4, 3])
    write_predictions(tmp_path, query, {item: (1, 1 - item / 100) for item in range(1, 13)})
    desk = desk_of(store, tmp_path, twice=1.0)
    # Of each run the newest query counts.
    store.add_query(row | {"asker": "runs/b", "round": 1}, [])
    Watching(desk, tmp_path).look()
    assert next_images(desk, 2, 1, [], 0, None, 0) == [(5, "again")]
    page = shown(desk, 5, "again")
    assert (page["label"], page["guess"]) == (None, None)
    found = next_images(desk, 1, 19, [], 0, None, 0)
    assert found[:4] == [(9, "asked"), (4, "asked"), (7, "chosen"), (3, "chosen")]
    assert found[4:12] == [(item, "chosen") for item in (12, 11, 10, 8, 6, 2, 1)] + [found[11]]
    assert {item for item, kind in found if kind == "stored"} == {*range(13, 21)}
    # What somebody has left takes its old place again.
    for item in (12, 4, 3):
        desk.release(item)
    back = [(4, "asked"), (3, "chosen"), (12, "chosen")]
    assert next_images(desk, 1, 3, [item for item, _ in found if item not in (12, 4, 3)], 0, None, 0) == back
    found = [each for each in found if each not in back] + back
    # Another page of the same annotator has lost them.
    assert next_images(desk, 1, 19, [], 0, None, 0) == found


def test_draws_are_those_of_the_seed(tmp_path: Path) -> None:
    """The same in every process, and others after further draws."""
    store = store_of(tmp_path, 1000)
    first, again = (desk_of(store, tmp_path, seed=3).rng.integers(1 << 60) for _ in range(2))
    assert first == again != desk_of(store, tmp_path, seed=4).rng.integers(1 << 60)
    next_images(desk_of(store, tmp_path, seed=3), 1, 5, [], 1, None, 0)
    assert first != desk_of(store, tmp_path, seed=3).rng.integers(1 << 60)


def test_an_answer_to_an_image_that_was_just_found(tmp_path: Path) -> None:
    """The scan has put it into the store; the desk takes it up later, and asks somebody else for it as well."""
    store = store_of(tmp_path, 3)
    desk = desk_of(store, tmp_path, twice=1.0)
    store.add_files({"new.png": File(1, 1, 1, 9, "f" * 32)})
    store.answer(1, "answered-1", [Given(4, "label", 1)], "import")
    desk.catch_up()
    take_up(store, desk)
    assert desk.again_for(2) == 4


def test_predictions_of_which_no_image_is_left(tmp_path: Path) -> None:
    write_predictions(tmp_path, 1, dict.fromkeys(range(1, 5), (1, 0.9)))
    found = predictions.read(tmp_path, 1, np.zeros(5, bool))
    assert found is not None and found.grid == {} and found.of(4) is not None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no more", b"text"])
def test_predictions_that_cannot_be_read_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "predictions-3.npz").write_bytes(content)
    (tmp_path / "predictions-4 (copy).npz").write_bytes(content)
    assert predictions.newest(tmp_path) == 3 and predictions.read(tmp_path, 3, np.ones(5, bool)) is None
