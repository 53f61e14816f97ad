"""The server of a project, from its store to its socket."""

import os
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from html import escape
from pathlib import Path
from secrets import token_urlsafe
from threading import Thread

import uvicorn

from al_lightning.errors import UserError
from al_lightning.label.access import Access, is_local
from al_lightning.label.app import Api
from al_lightning.label.background import Repeated
from al_lightning.label.desk import Desk
from al_lightning.label.learner import Learner
from al_lightning.label.measured import Measured
from al_lightning.label.project import LIVE, Settings, write
from al_lightning.label.scanning import Scanning, take_up
from al_lightning.label.watching import Watching
from al_lightning.people.scan import scan
from al_lightning.people.store import STORE, Store

END = 2  # seconds that requests have to end in


def serve(
    project: Path,
    settings: Settings,
    classes: Sequence[str],
    host: str,
    port: int,
    open_browser: bool,
    say: Callable[[str], None],
) -> None:
    """Serve a project until a signal ends it.

    Args:
        project: the folder, whose lock is held.
        settings: of it.
        classes: to be added.
        host: to bind to.
        port: likewise; 0: that of the last time, or another one that is free.
        open_browser: whether to show the page.
        say: prints a line.

    Raises:
        UserError: there are no images, or the address cannot be had.
    """
    root = Path(settings.root)
    (project / LIVE).mkdir(exist_ok=True)
    with ExitStack() as stack:
        bound = stack.enter_context(closing(_bound(host, port) if port else _bound_again(host, settings.port)))
        port = bound.getsockname()[1]
        write(project, settings.model_copy(update={"port": port}))
        store = stack.enter_context(closing(Store(project / STORE, create=True)))
        for name in classes:
            store.add_class(name)
        for_scan = stack.enter_context(closing(Store(project / STORE)))
        steps = scan(root, for_scan, [str(project)], *settings.looking())
        _, total = next(steps)
        desk = Desk(store, settings.twice, settings.seed)
        take_up(store, desk)
        if not total and not desk.files:
            raise UserError(f"{root}: there are no images in this folder")
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
        address = f"http://{_shown(host)}:{port}/?token={token}"
        if not is_local(host):
            print(
                f"warning: --host {host}: whoever reaches this machine and has the address can see the images "
                "and label them, and what is sent is not encrypted",
                file=sys.stderr,
            )
        say(f"address: {address}")
        say("every answer is kept at once; Ctrl-C ends the server")
        if open_browser:
            page = _leading_to(address, project / LIVE)
            Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
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
        uvicorn.Server(config).run([bound])


def _leading_to(address: str, folder: Path) -> Path:
    """A page that leads to an address, for its owner alone: what a browser is called with, every user can see."""
    file = folder / "open.html"
    file.unlink(missing_ok=True)
    file.touch(0o600)
    text = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(address)}">'
    file.write_text(text, encoding="utf-8")
    return file


def _bound_again(host: str, port: int) -> socket.socket:
    """A socket at the port of the last time where that is free, else at another one."""
    try:
        return _bound(host, port)
    except UserError:
        return _bound(host, 0)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens: a browser may ask before the server does its first step.

    Raises:
        UserError: the address cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise UserError(
            f"--host {host} --port {port}: {reason}: choose others; --port 0 takes one that is free"
        ) from error


def _shown(host: str) -> str:
    """The name of the machine in an address."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
