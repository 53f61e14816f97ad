"""What a cache of decoded images has on disk: `images.npy` and `manifest.json`, nothing pickled, written under a lock.

Either file is written beside its place and renamed. Without a manifest there is no cache: it is taken away before the
rows change and comes last, so that a process may die at any point.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from al_lightning.data.levels import Scale, Span
from al_lightning.disk import alone, sync

IMAGES, MANIFEST = "images.npy", "manifest.json"


class File(NamedTuple):
    """What the file system says of a file, and the hash of its content."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    content: str


class Content(NamedTuple):
    """What became of a content: a row of the images and the hash of its pixels, or the reason why it was left out.

    Of images with more than 8 bits a pixel also the span of their values; and notes on what was not used.
    """

    row: int
    pixels: str
    reason: str
    span: Span | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What a cache holds.

    Attributes:
        decoder: what the pixels depend on besides the files, see `al_lightning.data.decode.decoder`.
        looked_ns: when the files were looked at, before the first of them was.
        files: by path relative to the root.
        contents: by hash of the content; all that the files have.
        scale: of the images with more than 8 bits a pixel.
    """

    decoder: str
    looked_ns: int
    files: Mapping[str, File]
    contents: Mapping[str, Content]
    scale: Scale | None = None


class DamagedError(OSError):
    """The files do not hold what was written."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.EIO, f"{name} is damaged")


def hashed(data: Any) -> str:
    """32 hex digits over bytes, or an array without gaps."""
    return blake2b(data, digest_size=16).hexdigest()


@contextmanager
def locked(folder: Path, root: Path) -> Iterator[None]:
    """Make the folder, and hold it alone: a second process waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / ".lock", f"waiting for another process that decodes {root}"):
        yield


def read_manifest(folder: Path, decoder: str) -> Manifest:
    """What is there: nothing, where it comes from another decoder.

    Raises:
        DamagedError: it is not what was written.
    """
    try:
        saved = json.loads((folder / MANIFEST).read_bytes())
        body = saved["body"]
        if hashed(json.dumps(body).encode()) != saved["checksum"]:
            raise DamagedError(MANIFEST)
    except FileNotFoundError:
        return Manifest(decoder, 0, {}, {})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError(MANIFEST) from error
    if body["decoder"] != decoder:
        return Manifest(decoder, 0, {}, {})
    files = {path: File(*values) for path, values in body["files"].items()}
    contents = {
        content: Content(row, pixels, reason, Span(*span) if span else None, tuple(notes))
        for content, (row, pixels, reason, span, notes) in body["contents"].items()
    }
    scale = Scale(*body["scale"]) if body["scale"] else None
    return Manifest(decoder, body["looked_ns"], files, contents, scale)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what the cache holds from now on."""
    body = vars(manifest)
    text = json.dumps({"checksum": hashed(json.dumps(body).encode()), "body": body})
    with _replacing(folder / MANIFEST) as part:
        part.write_text(text, encoding="utf-8")


def open_rows(folder: Path, manifest: Manifest, shape: tuple[int, ...]) -> np.ndarray:
    """The images that the manifest speaks of, `uint8 [N, *shape]`, mapped and not read.

    Raises:
        DamagedError: they are not there, or not of this shape.
    """
    needed = 1 + max((each.row for each in manifest.contents.values()), default=-1)
    if not needed:
        return np.empty((0, *shape), np.uint8)
    try:
        rows = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is a Python literal: damage there can raise nearly anything
        raise DamagedError(IMAGES) from error
    if rows.dtype != np.uint8 or rows.shape[1:] != shape or len(rows) < needed:
        raise DamagedError(IMAGES)
    return rows


@contextmanager
def new_rows(folder: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Rows to be filled, `uint8` of this shape, mapped; after the block they are the images, for a manifest to come."""
    with _replacing(folder / IMAGES) as part:
        rows = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        # A full disk has to be an error now: in the middle of a mapping it would kill the process.
        if hasattr(os, "posix_fallocate"):
            with part.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
        yield rows
        rows.flush()
        (folder / MANIFEST).unlink(missing_ok=True)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place after the block, safe from a crash, or is gone if the block fails."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)
