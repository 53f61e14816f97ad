"""The images of many files, decoded once: later runs and the jobs of a sweep find them in a cache.

What counts is a hash of a file's content: a copy, or a file with a new name, has nothing to decode. It is spared the
reading, too, where the file system says that it is as it was.
"""

import errno
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b, file_digest
from io import BufferedReader
from pathlib import Path

import numpy as np

from al_lightning.data.cache_folder import (
    MANIFEST,
    Content,
    DamagedError,
    File,
    Manifest,
    hashed,
    locked,
    new_rows,
    open_rows,
    read_manifest,
    write_manifest,
)
from al_lightning.data.decode import decode, decoder, decoding, is_passing, reason
from al_lightning.data.threads import in_threads

# A file may change twice within a tick of the file system's clock: with times as close to the look at it as this, it
# is read again.
RACY_NS = 2_000_000_000
BLOCK = 1024  # rows copied at a time


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Attributes:
        base: the root, resolved.
        paths: of files, relative to it.
        shape: of every image: channels, height and width.
    """

    base: Path
    paths: Sequence[str]
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Images:
    """What was had.

    Attributes:
        pixels: `uint8 [M, C, H, W]`, the M files that can be decoded, in the order of the paths.
        digests: M hashes of these pixels.
        contents: M hashes of the bytes of their files.
        reasons: for each of the N paths why it cannot be decoded, or nothing.
    """

    pixels: np.ndarray
    digests: list[str]
    contents: list[str]
    reasons: list[str]


def load_images(request: Request, cache: str | None) -> Images:
    """Decode files, less what the cache has of them; what is decoded is in the cache afterwards.

    Args:
        request: what is wanted.
        cache: folder of all caches; None: none. One that cannot be used, or is damaged, is said on standard error, and
            changes nothing else.
    """
    if cache is None:
        return _in_memory(request)
    folder = cache_folder(request, cache)
    try:
        with locked(folder, request.base):
            try:
                return _through(folder, request)
            except DamagedError as error:
                print(f"warning: {folder}: {error.strerror}: all images are decoded again", file=sys.stderr)
                (folder / MANIFEST).unlink(missing_ok=True)
                return _through(folder, request)
    except OSError as error:
        why = error.strerror or error
        print(f"warning: dataset.cache={cache}: cannot be used: {why}; images are decoded in memory", file=sys.stderr)
    return _in_memory(request)


def cache_folder(request: Request, cache: str) -> Path:
    """Where the images of a request are kept: one folder for each root and shape."""
    channels, height, width = request.shape
    return Path(cache).expanduser() / f"{height}x{width}x{channels}-{hashed(os.fsencode(request.base))[:16]}"


def _in_memory(request: Request) -> Images:
    files, unread = _look(request, Manifest("", 0, {}, {}))
    new = _first_paths(files, {})
    rows = np.empty((len(new), *request.shape), np.uint8)
    contents, failed = _decode(request, files, new, rows, 0)
    return _collect(request, files, unread, contents, failed, rows)


def _through(folder: Path, request: Request) -> Images:
    looked_ns = time.time_ns()
    known = read_manifest(folder, decoder())
    rows = open_rows(folder, known, request.shape)
    files, unread = _look(request, known)
    contents = {each.content: known.contents[each.content] for each in files.values() if each.content in known.contents}
    new, failed = _first_paths(files, contents), {}
    if new:
        kept = [content for content, each in contents.items() if not each.reason]
        with new_rows(folder, (len(kept) + len(new), *request.shape)) as into:
            for start in range(0, len(kept), BLOCK):
                block = [contents[content].row for content in kept[start : start + BLOCK]]
                into[start : start + len(block)] = rows[block]
            decoded, failed = _decode(request, files, new, into, len(kept))
        contents |= {content: contents[content]._replace(row=row) for row, content in enumerate(kept)} | decoded
        rows = into
        n_good = sum(not each.reason for each in decoded.values())
        if n_good and not sys.stderr.isatty():  # where there is one, a bar has been seen
            print(f"decoded {n_good} images of {request.base} into {folder}", file=sys.stderr)
    lasting = {path: each for path, each in files.items() if each.content in contents}
    manifest = Manifest(decoder(), looked_ns, lasting, contents)
    if new:
        write_manifest(folder, manifest)
    elif len(lasting) != len(known.files) or any(each is not known.files.get(path) for path, each in lasting.items()):
        with suppress(OSError):  # it would spare the next look some reading, no more
            write_manifest(folder, manifest)
    images = _collect(request, files, unread, contents, failed, rows)
    if in_threads(hashed, list(images.pixels), "check images") != images.digests:
        raise DamagedError("images.npy")
    return images


def _look(request: Request, known: Manifest) -> tuple[dict[str, File], dict[str, str]]:
    """State and content of every file that can be read, and why not of the others, by path."""

    def look(path: str) -> File | str:
        try:
            # Before it is opened: with some devices, opening alone does something.
            state = _state((request.base / path).stat())
            before = known.files.get(path)
            if before and before[:4] == state and before.ctime_ns + RACY_NS < known.looked_ns:
                return before
            with _open(request.base / path) as file:
                state = _state(os.fstat(file.fileno()))
                return File(*state, file_digest(file, lambda: blake2b(digest_size=16)).hexdigest())
        except OSError as error:
            return reason(error)

    files, unread = {}, {}
    for path, found in zip(request.paths, in_threads(look, request.paths, "look at images"), strict=True):
        if isinstance(found, str):
            unread[path] = found
        else:
            files[path] = found
    return files, unread


def _first_paths(files: Mapping[str, File], known: Mapping[str, Content]) -> dict[str, str]:
    """One path for every content that is not known."""
    new = {}
    for path, each in files.items():
        if each.content not in known:
            new.setdefault(each.content, path)
    return new


def _decode(
    request: Request, files: Mapping[str, File], new: Mapping[str, str], rows: np.ndarray, first: int
) -> tuple[dict[str, Content], dict[str, str]]:
    """Decode each content from its path into a row of its own, from `first` on.

    Returns:
        What became of the contents; and the reason for those that may well be decoded another time.
    """
    channels, height, width = request.shape

    def work(item: tuple[int, str]) -> Content | str:
        row, path = item
        try:
            with _open(request.base / path) as file:
                try:
                    rows[row] = decode(file, (height, width), channels)
                    done = Content(row, hashed(rows[row]), "")
                # A broken file can raise nearly anything in Pillow's readers: whatever it is, the others are good.
                except Exception as error:
                    if is_passing(error):
                        return reason(error)
                    done = Content(-1, "", reason(error))
                unchanged = _state(os.fstat(file.fileno())) == files[path][:4]
                return done if unchanged else "it changed while it was read"
        except OSError as error:
            return reason(error)

    with decoding():
        done = in_threads(work, list(enumerate(new.values(), first)), "decode images")
    results = dict(zip(new, done, strict=True))
    contents = {content: each for content, each in results.items() if isinstance(each, Content)}
    return contents, {content: each for content, each in results.items() if isinstance(each, str)}


def _collect(
    request: Request,
    files: Mapping[str, File],
    unread: Mapping[str, str],
    contents: Mapping[str, Content],
    failed: Mapping[str, str],
    rows: np.ndarray,
) -> Images:
    """The images in the order of the paths, in memory."""
    reasons, good, hashes = [], [], []
    for path in request.paths:
        content = files[path].content if path in files else ""
        reasons.append(unread.get(path) or failed.get(content) or contents[content].reason)
        if not reasons[-1]:
            good.append(contents[content])
            hashes.append(content)
    index = [each.row for each in good]
    in_place = not isinstance(rows, np.memmap) and index == list(range(len(rows)))
    return Images(rows if in_place else np.asarray(rows[index]), [each.pixels for each in good], hashes, reasons)


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise OSError(errno.EINVAL, "not a regular file")
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _open(path: Path) -> BufferedReader:
    """Open for reading without waiting, whatever the path has become by now."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
