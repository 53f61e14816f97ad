"""The server of a project, from its store to its socket."""

import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from html import escape
from pathlib import Path
from secrets import token_urlsafe
from threading import Thread

import uvicorn

from al_lightning.data.search import Found
from al_lightning.label.access import Access, is_local
from al_lightning.label.address import shown
from al_lightning.label.app import Api
from al_lightning.label.background import Repeated
from al_lightning.label.desk import Desk
from al_lightning.label.learner import Learner
from al_lightning.label.measured import Measured
from al_lightning.label.project import LIVE, Settings
from al_lightning.label.scanning import Scanning, take_up
from al_lightning.label.watching import Watching
from al_lightning.people.scan import scan_found
from al_lightning.people.store import STORE, Store
from al_lightning.signals import handled, heard

END = 2  # seconds that requests have to end in


def serve(
    project: Path,
    settings: Settings,
    classes: Sequence[str],
    found: Found,
    listening: socket.socket,
    host: str,
    open_browser: bool,
    say: Callable[[str], None],
) -> None:
    """Serve a project until a signal ends it.

    Args:
        project: the folder, whose lock is held.
        settings: of it.
        classes: to be added.
        found: the images.
        listening: what it is asked through.
        host: that this is bound to.
        open_browser: whether to show the page.
        say: prints a line.

    Raises:
        UserError: the store cannot be opened, or takes no such class.
    """
    root, port = Path(settings.root), settings.port
    (project / LIVE).mkdir(exist_ok=True)
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(project / STORE, create=True)))
        for name in classes:
            store.add_class(name)
        for_scan = stack.enter_context(closing(Store(project / STORE)))
        steps = scan_found(root, for_scan, found)
        _, total = next(steps)
        desk = Desk(store, settings.twice, settings.seed)
        take_up(store, desk)
        names = list(store.classes().values())
        say(f"images: {total:,} in {root}")
        say(f"labels: {len(desk.answers.labels):,} of {len(names)} classes{': ' if names else ''}{', '.join(names)}")
        learner = Learner(project)
        stack.callback(learner.end)
        scanning = Scanning(steps, for_scan, desk, total, learner.start)
        watching, measured = Watching(desk, project / LIVE), Measured(desk, settings)
        repeated = Repeated(watching.look, "what the learner says"), Repeated(measured.look, "the accuracy")
        repeated[0].once()
        for each in repeated:
            each.start()
            stack.callback(each.end)
        scanning.start()
        stack.callback(scanning.end)
        token = token_urlsafe(24)

        def problems() -> list[str]:
            return [each.problem for each in (scanning, *repeated) if each.problem]

        api = Api(project, settings, desk, learner, scanning, measured, problems)
        app = Access(api.app(), token, host, port)
        address = f"http://{shown(host)}:{port}/?token={token}"
        if not is_local(host):
            print(
                f"warning: --host {host}: whoever reaches this machine and has the address can see the images "
                "and label them, and what is sent is not encrypted",
                file=sys.stderr,
            )
        config = uvicorn.Config(
            app,
            log_level="warning",
            lifespan="off",
            ws="none",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=END,
        )
        server = _Server(config, app)
        with handled(server.handle_exit):  # who has the address may end it
            say(f"address: {address}")
            say("every answer is kept at once; Ctrl-C ends the server")
            if open_browser:
                page = _leading_to(address, project / LIVE)
                Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
            server.run([listening])
        heard()
        say("ended")


class _Server(uvicorn.Server):
    """Ends at a signal that :func:`serve` hears, also before its loop is there, and leaves no request waiting."""

    def __init__(self, config: uvicorn.Config, access: Access) -> None:
        super().__init__(config)
        self._access = access

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._access.end()
        await super().shutdown(sockets)


def _leading_to(address: str, folder: Path) -> Path:
    """A page that leads to an address, for its owner alone: what a browser is called with, every user can see."""
    file = folder / "open.html"
    file.unlink(missing_ok=True)
    file.touch(0o600)
    text = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(address)}">'
    file.write_text(text, encoding="utf-8")
    return file
