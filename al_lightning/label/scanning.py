"""Looking through the folder of images while the page is already there."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from threading import Event, Thread

from al_lightning.label.background import say
from al_lightning.label.desk import Desk
from al_lightning.people.store import Store


class Scanning:
    """A scan that goes on in a thread.

    Args:
        steps: of :func:`al_lightning.people.scan.scan`; the first one was taken.
        store: of the project, for this thread alone.
        desk: is told of what is found.
        total: files to look at.
        then: is called at the end.

    Attributes:
        done: files that have been looked at; None: the scan is over.
        total: of so many.
        problem: why it ended early, in a line; empty: it did not.
    """

    def __init__(
        self, steps: Iterator[tuple[int, int]], store: Store, desk: Desk, total: int, then: Callable[[], None]
    ) -> None:
        self._steps, self._store, self._desk, self._then = steps, store, desk, then
        self.done: int | None = 0
        self.total, self.problem = total, ""
        self._ending = Event()
        self._thread = Thread(target=self._run, daemon=True, name="scan")

    def start(self) -> None:
        """Go on in the background."""
        self._thread.start()

    def end(self) -> None:
        """Stop after the piece that is being looked at."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            taken_up = 0
            for done, _ in self._steps:
                self.done = done
                if self._ending.is_set():
                    return
                # Reading what the store has takes longer the more it is: each time that it has doubled will do.
                if done >= 2 * taken_up:
                    take_up(self._store, self._desk)
                    taken_up = done
            take_up(self._store, self._desk)
        except Exception as error:  # whatever it is, what was found can be labeled
            self.problem = f"the folder was not looked through to its end: {say(error)}"
        finally:
            self.done = None
            self._store.close()
        self._then()


def take_up(store: Store, desk: Desk) -> None:
    """Tell the desk which files the store has by now."""
    files: dict[int, list[str]] = defaultdict(list)
    digests: dict[int, str] = {}
    for path, state in store.files().items():
        if state.is_there:
            files[state.item].append(path)
            digests[state.item] = state.file.content
    desk.set_files(files, digests)
