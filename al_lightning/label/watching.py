"""What the learner and runs ask for and predict, taken up as it comes, beside the requests."""

from pathlib import Path

from al_lightning.label.desk import Desk
from al_lightning.label.predictions import newest, read
from al_lightning.runs.rounds import read_json


class Watching:
    """Looks for queries and predictions.

    Args:
        desk: is told of them.
        live: the folder `live/` of the project.
    """

    def __init__(self, desk: Desk, live: Path) -> None:
        self._desk, self._live, self._last = desk, live, 0

    def look(self) -> None:
        """Take up what is new; files are read while requests go on."""
        desk = self._desk
        queries = desk.store.queries(self._last)
        for query in {each.asker: each for each in queries}.values():  # the newest of each
            rows = desk.store.queried(query.id)
            with desk.lock:
                desk.take_query(query, rows)
        self._last = queries[-1].id if queries else self._last
        # The files of a query come after its row.
        if desk.latest and desk.why_of < desk.latest.id:
            near = read_json(self._live / f"why-{desk.latest.id}.json")
            if near is not None:
                with desk.lock:
                    desk.why, desk.why_of = {int(item): rows for item, rows in near.items()}, desk.latest.id
        number = newest(self._live)
        if number > (desk.predictions.query if desk.predictions else 0):
            with desk.lock:
                is_open = desk.is_open.copy()
            found = read(self._live, number, is_open)
            if found:
                with desk.lock:
                    desk.predictions = found
