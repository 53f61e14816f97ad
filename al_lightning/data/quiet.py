"""What libraries say while they decode stays off the screen: it names no file."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any
from warnings import catch_warnings, simplefilter

from PIL import Image

_LOGGERS = ("PIL", "tifffile", "pillow_heif")


class _Decoding:
    """Settings of the whole process that hold while any thread decodes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._limit: int | None = None
        self._warnings: Any = None

    def enter(self, max_pixels: int) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
                self._warnings = catch_warnings()
                self._warnings.__enter__()
                simplefilter("ignore")
                simplefilter("error", Image.DecompressionBombWarning)
                for name in _LOGGERS:
                    logging.getLogger(name).addFilter(_nothing)
            elif Image.MAX_IMAGE_PIXELS is not None:
                # Each image is held against its own limit besides.
                Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                Image.MAX_IMAGE_PIXELS = self._limit
                self._warnings.__exit__(None, None, None)
                for name in _LOGGERS:
                    logging.getLogger(name).removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


_decoding = _Decoding()


@contextmanager
def decoding(max_pixels: int) -> Iterator[None]:
    """To be held around all threads that decode: filters of warnings and Pillow's limit are the whole process's.

    Args:
        max_pixels: Pillow refuses images, and images inside of files, that have more.
    """
    _decoding.enter(max_pixels)
    try:
        yield
    finally:
        _decoding.leave()


class Printed:
    """What has been printed and not been seen.

    Args:
        file: where it is; None: nobody keeps it.
    """

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self._taken = 0

    def size(self) -> int:
        """How many bytes have been printed in all."""
        return os.fstat(self._file.fileno()).st_size if self._file else 0

    def take(self) -> str:
        """What has been printed since it was last taken, the first of it where it is long."""
        if not self._file:
            return ""
        start, self._taken = self._taken, self.size()
        return os.pread(self._file.fileno(), min(self._taken - start, 500), start).decode(errors="replace")


@contextmanager
def caught() -> Iterator[Printed]:
    """Keep what C libraries (libtiff) print off the screen. Bars and lines that go to `sys.stderr` are still seen."""
    try:
        screen = os.dup(2)
    except OSError:  # closed: nobody sees a thing
        yield Printed(None)
        return
    shown = sys.stderr
    with TemporaryFile() as file:
        with suppress(OSError, ValueError, AttributeError):  # what a test or a notebook has put in its place
            shown.flush()
            if shown.fileno() == 2:
                sys.stderr = os.fdopen(os.dup(screen), "w", 1, shown.encoding, "backslashreplace")
        os.dup2(file.fileno(), 2)
        try:
            yield Printed(file)
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            if sys.stderr is not shown:
                sys.stderr.close()
                sys.stderr = shown
