"""Who may ask the server for what: pure ASGI, around everything else."""

import socket
from asyncio import CancelledError, Task, current_task
from secrets import compare_digest
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 1 << 20  # bytes
TOO_LONG = f"the body has more than {MOST_BODY} bytes: send fewer answers at once"
LOCAL = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CLOSED = "this address is open only to who has the token: use the whole address that the command printed"
ENDS = "the server ends: send this again when it is back"
PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>al_lightning</title><h1>Not open without its token</h1>"
    "<p>Open the whole address that <code>python -m al_lightning.label</code> printed where it runs, with "
    "<code>?token=</code> and what follows."
)
# A redirect would not do: who comes from elsewhere has no cookie (SameSite) before a page of ours sends her on.
ON = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>al_lightning</title>"
    "<link rel=icon href=/static/icon.svg><meta http-equiv=refresh content='0; url=/'>"
)


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in LOCAL


class Access:
    """Lets through who has the token, by name of the machine and from our own pages.

    Of the Host header the name counts and not the port: a page of another name (DNS rebinding) is what it keeps out,
    and a port may be forwarded.

    Args:
        app: what is protected.
        token: what the printed address holds.
        host: that the server is bound to.
        port: likewise.
    """

    def __init__(self, app: ASGIApp, token: str, host: str, port: int) -> None:
        self.app, self.token, self.cookie = app, token, f"al_session_{port}"  # ports of a machine share their cookies
        self._reading: set[Task[Any] | None] = set()  # requests that are not here as a whole
        self.names = {*LOCAL} if is_local(host) else {*LOCAL, host, socket.gethostname(), socket.getfqdn()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        n_read, task, has_begun = 0, current_task(), False

        async def limited() -> Message:
            nonlocal n_read
            self._reading.add(task)
            try:
                message = await receive()
            finally:
                self._reading.discard(task)
            n_read += len(message.get("body", b""))
            if n_read > MOST_BODY:
                raise HTTPException(413, TOO_LONG)
            return message

        async def headed(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                is_static = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if is_static else "no-store")
            await send(message)

        refusal = self._refusal(scope)
        try:
            await (refusal or self.app)(scope, limited, headed)
        except CancelledError:  # by :meth:`end`, or by the server, whose patience is over
            if not has_begun:
                await _error(503, ENDS)(scope, receive, headed)

    def end(self) -> None:
        """Refuse what is half sent, before the server waits for all requests to end."""
        for each in self._reading:
            if each:
                each.cancel()

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered in place of what was asked for."""
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name.lower().strip("[]") not in self.names | {scope["server"][0]}:
            return _error(400, f"host {host[:100]!r}: not one of this server's names: use the address that was printed")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if path == "/" and self._is_token(given):
            answer = HTMLResponse(ON)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            return answer
        if not self._is_token(cookie_parser("; ".join(headers.getlist("cookie"))).get(self.cookie, "")):
            return HTMLResponse(PAGE, 401) if path == "/" else _error(401, CLOSED)
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return _error(403, "a page of another address may not ask this server for anything")
        if scope["method"] == "POST":
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return _error(415, "the body has to be JSON, with Content-Type: application/json")
            if int(headers.get("content-length", 0)) > MOST_BODY:
                return _error(413, TOO_LONG)
        return None

    def _is_token(self, text: str) -> bool:
        return compare_digest(text.encode(), self.token.encode())


def _error(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status)
