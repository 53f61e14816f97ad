"""The addresses of the server, and what is answered there."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from al_lightning.errors import UserError
from al_lightning.label import bodies, figures, handing, showing
from al_lightning.label.desk import Desk
from al_lightning.label.learner import Learner
from al_lightning.label.measured import Measured
from al_lightning.label.previews import Previews, UnreadableError
from al_lightning.label.project import LIVE, Settings
from al_lightning.label.scanning import Scanning
from al_lightning.people.store import UnknownError

STATIC = Path(__file__).parent / "static"
FOR_EVER = "private, max-age=31536000, immutable"

Said = TypeVar("Said", bound=BaseModel)


class Api:
    """What is answered, request by request.

    Args:
        project: the folder.
        settings: of it.
        desk: the state.
        learner: its process.
        scanning: of the folder with the images.
        measured: what is known of model and annotators.
        problems: what has gone wrong beside the requests, in a line each.
    """

    def __init__(
        self,
        project: Path,
        settings: Settings,
        desk: Desk,
        learner: Learner,
        scanning: Scanning,
        measured: Measured,
        problems: Callable[[], list[str]],
    ) -> None:
        self.live, self.settings, self.desk = project / LIVE, settings, desk
        self.learner, self.scanning, self.measured, self.previews = learner, scanning, measured, Previews()
        self.problems = problems

    def app(self) -> Starlette:
        """The application, without a word on who may use it."""
        return Starlette(
            routes=[
                Route("/", lambda _: FileResponse(STATIC / "index.html")),
                Mount("/static", StaticFiles(directory=STATIC)),
                Route("/image/{item}", self._image),
                self._get("/api/state", bodies.Nothing, self.state),
                self._get("/api/next", bodies.Wanted, self.next),
                self._get("/api/grid", bodies.Grid, self.grid),
                self._get("/api/region", bodies.Region, self.region),
                self._get("/api/doubtful", bodies.Listed, self.doubtful),
                self._get("/api/review", bodies.Listed, self.review),
                self._get("/api/labeled", bodies.Listed, self.labeled),
                self._get("/api/map", bodies.Nothing, self.map),
                self._get("/api/curve", bodies.Nothing, self.curve),
                self._post("/api/annotators", bodies.Annotator, self.add_annotator),
                self._post("/api/classes", bodies.ClassName, self.add_class),
                self._post("/api/answers", bodies.Answers, self.answer),
                self._post("/api/undo", bodies.Undo, self.undo),
            ],
            exception_handlers={
                HTTPException: _refused,
                ClientDisconnect: lambda *_: Response(status_code=400),  # nobody is there to hear it
                UnknownError: lambda _, error: _error(404, str(error)),
                UserError: lambda _, error: _error(422, str(error)),
                sqlite3.Error: lambda _, error: _error(503, f"{self.desk.store.path}: nothing is kept now: {error}"),
            },
        )

    # What is shown

    def state(self, _: bodies.Nothing) -> Mapping[str, Any]:
        """How far the project is."""
        known, settings = self.desk.predictions, self.settings
        done = self.scanning.done
        return {
            **self._small(),
            **self.measured.state(),
            "project": settings.id,
            "budget": settings.budget,
            "price": settings.price,
            "random_share": settings.random_share,
            "strategy": settings.strategy,
            "learner": self.learner.status(),
            "model": {key: getattr(known, key) for key in ("query", "n_labeled", "event")} if known else None,
            "scanning": None if done is None else {"done": done, "total": self.scanning.total},
            "ordered_by": figures.ordered_by(self.desk),
            "problems": self.problems(),
        }

    def next(self, wanted: bodies.Wanted) -> Mapping[str, Any]:
        """What comes next."""
        self._known(wanted.annotator)
        share, budget = self.settings.random_share, self.settings.budget
        found = handing.next_images(self.desk, wanted.annotator, wanted.n, wanted.have, share, budget, monotonic())
        done = not found and self.scanning.done is None and handing.is_done(self.desk, wanted.annotator, budget)
        lost = handing.lost(self.desk, wanted.annotator, wanted.have)
        return {"items": self._shown(found), "done": done, "lost": lost}

    def grid(self, wanted: bodies.Grid) -> Mapping[str, Any]:
        """Images that are taken for one class."""
        self._known(wanted.annotator)
        rest = wanted.have, wanted.past, self.settings.budget, monotonic()
        found, left = handing.grid_images(self.desk, wanted.annotator, wanted.label, wanted.n, *rest)
        return {"items": self._shown(found), "left": left}

    def region(self, wanted: bodies.Region) -> Mapping[str, Any]:
        """Images of a region of the map."""
        self._known(wanted.annotator)
        if unknown := [item for item in wanted.items if item not in self.desk.digests]:
            raise HTTPException(404, f"image {unknown[0]}: there is none of this number in this project")
        budget = self.settings.budget
        return {
            "items": self._shown(handing.region_images(self.desk, wanted.annotator, wanted.items, budget, monotonic()))
        }

    def doubtful(self, wanted: bodies.Listed) -> Mapping[str, Any]:
        """Labels that are likely wrong."""
        return showing.doubtful(self.desk, self.live, wanted.n)

    def review(self, wanted: bodies.Listed) -> Mapping[str, Any]:
        """Images that people disagree on."""
        return showing.review(self.desk, self.desk.store.annotators(), wanted.n)

    def labeled(self, wanted: bodies.Listed) -> Mapping[str, Any]:
        """The latest labels."""
        return showing.labeled(self.desk, self.desk.store.annotators(), wanted.n, wanted.before)

    def map(self, _: bodies.Nothing) -> Mapping[str, Any]:
        """The images in the plane."""
        return showing.on_map(self.desk, self.live)

    def curve(self, _: bodies.Nothing) -> Mapping[str, Any]:
        """The accuracy by labels."""
        return self.measured.curve()

    # What is said

    def add_annotator(self, said: bodies.Annotator) -> Mapping[str, Any]:
        """Somebody labels under a name."""
        number = self.desk.store.add_annotator(said.name)
        return {"id": number, "name": self.desk.store.annotators()[number]}

    def add_class(self, said: bodies.ClassName) -> Mapping[str, Any]:
        """A class, which may be there."""
        number = self.desk.store.add_class(said.name)
        return {"id": number, "name": self.desk.store.classes()[number]}

    def answer(self, said: bodies.Answers) -> Mapping[str, Any]:
        """Keep what one key press says."""
        given = [each.given() for each in said.answers]
        event = self.desk.store.answer(said.annotator, said.action, given, said.source, said.seconds)
        self.desk.catch_up()
        return {"event": event, "state": self._small()}

    def undo(self, said: bodies.Undo) -> Mapping[str, Any]:
        """Undo what one key press said."""
        desk = self.desk
        self._known(said.annotator)
        undone = desk.store.undo(said.annotator, said.action, said.target)
        desk.catch_up()
        items = desk.items_of[undone] if undone else []
        back = showing.brought_back(desk, items, said.annotator, monotonic())
        return {"undone": undone, "items": back, "state": self._small()}

    # Parts

    def _get(self, path: str, kind: type[Said], answer: Callable[[Said], Mapping[str, Any]]) -> Route:
        def endpoint(request: Request) -> Response:
            return JSONResponse(self._with_desk(answer, bodies.parsed(kind, dict(request.query_params))))

        return Route(path, endpoint)

    def _post(self, path: str, kind: type[Said], answer: Callable[[Said], Mapping[str, Any]]) -> Route:
        async def endpoint(request: Request) -> Response:
            said = bodies.parsed(kind, await request.body())
            return JSONResponse(await run_in_threadpool(self._with_desk, answer, said))

        return Route(path, endpoint, methods=["POST"])

    def _with_desk(self, answer: Callable[[Said], Mapping[str, Any]], said: Said) -> Mapping[str, Any]:
        with self.desk.lock:
            self.desk.catch_up()
            self.desk.end_leases(monotonic())
            return answer(said)

    def _small(self) -> dict[str, Any]:
        return figures.counts(self.desk, self.settings.price)

    def _shown(self, found: handing.Handed) -> list[dict[str, Any]]:
        return [showing.shown(self.desk, item, kind) for item, kind in found]

    def _known(self, annotator: int) -> None:
        if annotator not in self.desk.store.annotators():
            raise HTTPException(404, f"annotator {annotator}: there is none of this number: send a name first")

    def _image(self, request: Request) -> Response:
        text = request.path_params["item"]
        item = int(text) if text.isdecimal() and len(text) < 16 else 0
        wanted = bodies.parsed(bodies.Side, dict(request.query_params))
        with self.desk.lock:
            paths, digest = self.desk.files.get(item), self.desk.digests.get(item, "")
        if paths is None or wanted.content not in (None, showing.version(digest)):
            raise HTTPException(404, f"image {text[:20]}: there is none of this number in this project")
        try:
            made = self.previews.get(Path(self.settings.root), paths, digest, wanted.side)
        except UnreadableError as error:
            with self.desk.lock:
                self.desk.set_unreadable(item, str(error))
            raise HTTPException(422, f"image {item}, {paths[0]}: {error}") from error
        headers = {"Cache-Control": FOR_EVER} if wanted.content else None
        return Response(made.data, media_type=made.media_type, headers=headers)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


def _error(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status)
