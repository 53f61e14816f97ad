"""The images of many files, decoded once: later runs and the jobs of a sweep find them in a cache.

What counts is a hash of a file's content: a copy, or a file with a new name, has nothing to decode. It is spared the
reading, too, where the file system says that it is as it was.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from al_lightning.data import levels
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
from al_lightning.data.decode import How, decoder
from al_lightning.data.decode_all import decode_all
from al_lightning.data.levels import Scale, Span
from al_lightning.data.look import Seen, check_all_read, look
from al_lightning.data.threads import in_threads

BLOCK = 1024  # rows copied at a time


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Attributes:
        base: the root, resolved.
        paths: of files, relative to it.
        how: their pixels are to be made.
        n_pool: the first of the paths, whose files decide on the scale of what has more than 8 bits a pixel.
    """

    base: Path
    paths: Sequence[str]
    how: How
    n_pool: int


@dataclass(frozen=True)
class Images:
    """What was had.

    Attributes:
        pixels: `uint8 [M, C, H, W]`, the M files that can be decoded, in the order of the paths.
        digests: M hashes of these pixels.
        contents: M hashes of the bytes of their files.
        reasons: for each of the N paths why it cannot be decoded, or nothing.
        scale: of images with more than 8 bits a pixel; None where there are none.
        spans: of the values in such images, by path.
        notes: what an image has and its pixels do not, by path.
    """

    pixels: np.ndarray
    digests: list[str]
    contents: list[str]
    reasons: list[str]
    scale: Scale | None
    spans: Mapping[str, Span]
    notes: Mapping[str, tuple[str, ...]]


def load_images(request: Request, cache: str | None) -> Images:
    """Decode files, less what the cache has of them; what is decoded is in the cache afterwards.

    Args:
        request: what is wanted.
        cache: folder of all caches; None: none. One that cannot be used, or is damaged, is said on standard error, and
            changes nothing else.

    Raises:
        DataError: the machine fails to read a file.
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
    """Where the images of a request are kept: one folder for each root and way to decode."""
    channels, height, width = request.how.shape
    key = hashed(os.fsencode(request.base) + f"\0{request.how.levels} {request.how.max_pixels}".encode())
    return Path(cache).expanduser() / f"{height}x{width}x{channels}-{key[:16]}"


def _in_memory(request: Request) -> Images:
    seen = look(request.base, request.paths, Manifest("", 0, {}, {}))
    new = _first_paths(seen.files, {})
    rows = np.empty((len(new), *request.how.shape), np.uint8)
    contents, failed, scale = _fill(request, seen, {}, None, rows)
    return _collect(request, seen, contents, failed, scale, rows)


def _through(folder: Path, request: Request) -> Images:
    looked_ns = time.time_ns()
    known = read_manifest(folder, decoder(request.how))
    rows = open_rows(folder, known, request.how.shape)
    seen = look(request.base, request.paths, known)
    files = seen.files
    contents = {each.content: known.contents[each.content] for each in files.values() if each.content in known.contents}
    new, failed, scale = _first_paths(files, contents), {}, known.scale
    writes = bool(new) or scale != _scale(request, files, contents)
    if writes:
        kept = [content for content, each in contents.items() if not each.reason]
        with new_rows(folder, (len(kept) + len(new), *request.how.shape)) as into:
            for start in range(0, len(kept), BLOCK):
                block = [contents[content].row for content in kept[start : start + BLOCK]]
                into[start : start + len(block)] = rows[block]
            contents |= {content: contents[content]._replace(row=row) for row, content in enumerate(kept)}
            contents, failed, scale = _fill(request, seen, contents, scale, into)
        rows = into
        n_good = sum(content in contents and not contents[content].reason for content in new)
        if n_good and not sys.stderr.isatty():  # where there is one, a bar has been seen
            print(f"decoded {n_good} images of {request.base} into {folder}", file=sys.stderr)
    lasting = {path: each for path, each in files.items() if each.content in contents}
    manifest = Manifest(decoder(request.how), looked_ns, lasting, contents, scale)
    if writes:
        write_manifest(folder, manifest)
    elif len(lasting) != len(known.files) or any(each is not known.files.get(path) for path, each in lasting.items()):
        with suppress(OSError):  # it would spare the next look some reading, no more
            write_manifest(folder, manifest)
    images = _collect(request, seen, contents, failed, scale, rows)
    if in_threads(hashed, list(images.pixels), "check images") != images.digests:
        raise DamagedError("images.npy")
    return images


def _first_paths(files: Mapping[str, File], known: Mapping[str, Content]) -> dict[str, str]:
    """One path for every content that is not known."""
    new = {}
    for path, each in files.items():
        if each.content not in known:
            new.setdefault(each.content, path)
    return new


def _scale(request: Request, files: Mapping[str, File], contents: Mapping[str, Content]) -> Scale | None:
    """The scale of images with more than 8 bits a pixel: the pool's, where it has some."""
    spans = [
        (contents[files[path].content].span, number < request.n_pool)
        for number, path in enumerate(request.paths)
        if path in files and files[path].content in contents
    ]
    of_pool = [span for span, in_pool in spans if span and in_pool]
    return levels.scale(request.how.levels, of_pool or [span for span, _ in spans if span])


def _fill(
    request: Request, seen: Seen, known: Mapping[str, Content], known_scale: Scale | None, rows: np.ndarray
) -> tuple[dict[str, Content], dict[str, str], Scale | None]:
    """Decode what is not known into the rows after what is; and again what has more than 8 bits a pixel.

    The scale of these follows from all of them, so nobody knows it before they have been decoded once.

    Returns:
        What became of all contents; the reason for those that may well be decoded another time; and the scale.
    """
    first, known_row = levels.fixed(request.how.levels), count(sum(not each.reason for each in known.values()))
    new = {content: (path, next(known_row)) for content, path in _first_paths(seen.files, known).items()}
    decoded, failed = decode_all(request.base, seen.files, new, request.how, first, rows)
    contents = {**known, **decoded}
    scale = _scale(request, seen.files, contents)
    paths = _first_paths(seen.files, {})
    again = {
        content: (paths[content], each.row)
        for content, each in contents.items()
        if each.span and scale != (first if content in decoded else known_scale)
    }
    scaled, failed_again = decode_all(request.base, seen.files, again, request.how, scale, rows)
    contents |= scaled
    return {name: each for name, each in contents.items() if name not in failed_again}, failed | failed_again, scale


def _collect(
    request: Request,
    seen: Seen,
    contents: Mapping[str, Content],
    failed: Mapping[str, str],
    scale: Scale | None,
    rows: np.ndarray,
) -> Images:
    """The images in the order of the paths, in memory."""
    unread = {path: failed[each.content] for path, each in seen.files.items() if each.content in failed}
    check_all_read(request.base, len(request.paths), {**seen.failed, **unread})
    content_of = {path: each.content for path, each in seen.files.items()}
    reasons = [seen.refused.get(path) or contents[content_of[path]].reason for path in request.paths]
    good = [path for path, why in zip(request.paths, reasons, strict=True) if not why]
    had = [contents[content_of[path]] for path in good]
    index = [each.row for each in had]
    in_place = not isinstance(rows, np.memmap) and index == list(range(len(rows)))
    return Images(
        rows if in_place else np.asarray(rows[index]),
        [each.pixels for each in had],
        [content_of[path] for path in good],
        reasons,
        scale,
        {path: each.span for path, each in zip(good, had, strict=True) if each.span},
        {path: each.notes for path, each in zip(good, had, strict=True) if each.notes},
    )
