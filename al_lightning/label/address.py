"""The address that the page is served at."""

import os
import socket
from errno import EADDRNOTAVAIL

from al_lightning.errors import UserError

OWN = "give one of its own, 127.0.0.1 for this machine alone, or 0.0.0.0 to let others in"


def bound(host: str, port: int, before: int) -> socket.socket:
    """A socket that listens: a browser may ask before the server does its first step.

    Args:
        host: to bind to.
        port: likewise; 0: that of the last time where it is free, or another one.
        before: the port of the last time; 0: there is none.

    Raises:
        UserError: the address cannot be had.
    """
    if port or not before:
        return _bound(host, port)
    try:
        return _bound(host, before)
    except UserError:
        return _bound(host, 0)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host or None, port, family)  # by itself: its errors have numbers of their own
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {host}: no machine of this name is known: {OWN}") from error
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == EADDRNOTAVAIL:
            raise UserError(f"--host {host} --port {port}: is no address of this machine: {OWN}") from error
        reason = os.strerror(error.errno) if error.errno else error
        raise UserError(
            f"--host {host} --port {port}: {reason}: choose others; --port 0 takes one that is free"
        ) from error


def shown(host: str) -> str:
    """The name of the machine in an address."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
