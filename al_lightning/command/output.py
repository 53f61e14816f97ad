"""Standard output and error that cannot end a run: whoever reads them may go, and their disk may be full."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast


class _Sink(io.FileIO):
    """A file descriptor that takes everything; what cannot be written is lost."""

    def write(self, data: Any, /) -> int:
        with suppress(OSError):  # nobody reads, the terminal is gone, the disk is full
            if (written := super().write(data)) is not None:  # None: not without waiting
                return written
        return len(data)


class _Lenient(io.TextIOWrapper):
    """A text stream over a `_Sink`."""


@contextmanager
def lenient() -> Iterator[None]:
    """Let standard output and error take whatever is printed, without an error.

    A character that their encoding lacks is written as its escape, what cannot be written is dropped. In a process
    that was started without them, or whose terminal has gone, printing does nothing. A stream that is not a file (of
    a notebook, or `redirect_stdout`) stays as it is.
    """
    for number in (0, 1, 2):  # closed: the next file to be opened would be what others print to
        with suppress(OSError):
            _open(number)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_wrapped, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _open(number: int) -> None:
    """Open `/dev/null` as a file descriptor that is closed."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)


def _wrapped(stream: TextIO | None) -> TextIO:
    if stream is None:  # Python's word for a closed one
        return Path(os.devnull).open("w", encoding="utf-8")  # its descriptor may be another file's by now
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, _Lenient):
        return stream
    with suppress(OSError):
        stream.flush()
    try:
        sink = _Sink(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):  # it has no descriptor, or is closed
        return stream
    raw = stream.write_through  # as with `python -u`
    return _Lenient(
        cast(io.BufferedWriter, sink) if raw else io.BufferedWriter(sink),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=raw,
    )
