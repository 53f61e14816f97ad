"""Many files to pixels, in threads; what libraries print meanwhile is told of the file that it is about."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from al_lightning.data.cache_folder import Content, File, hashed
from al_lightning.data.decode import How, decode, is_passing, reason
from al_lightning.data.levels import Scale
from al_lightning.data.look import CHANGED, open_at, state_of
from al_lightning.data.quiet import Printed, caught, decoding
from al_lightning.data.threads import in_threads

COMPLAINT = "made a library complain"


def decode_all(
    base: Path,
    files: Mapping[str, File],
    wanted: Mapping[str, tuple[str, int]],
    how: How,
    scale: Scale | None,
    rows: np.ndarray,
) -> tuple[dict[str, Content], dict[str, str]]:
    """Decode each content from its path into its row.

    Args:
        base: the root.
        files: state and content, by path.
        wanted: path and row of each content.
        how: the pixels are to be made.
        scale: of images of more than 8 bits a pixel; None: it is not known, and their rows are left as they are.
        rows: `uint8 [N, C, H, W]`, written to.

    Returns:
        What became of the contents; and the reason for those that the machine failed to decode.
    """
    noisy: list[str] = []

    def work(content: str) -> Content | str:
        path, row = wanted[content]
        before = printed.size()
        try:
            data = _read(base / path, files[path])
            pixels, span, notes = decode(data, how, scale)
        # A broken file can raise nearly anything in Pillow's readers: whatever it is, the others are good.
        except Exception as error:
            done = reason(error) if is_passing(error) else Content(-1, "", reason(error))
        else:
            if pixels is not None:
                rows[row] = pixels
            done = Content(row, "" if pixels is None else hashed(rows[row]), "", span, notes)
        if printed.size() != before:
            noisy.append(content)
        return done

    if not wanted:
        return {}, {}
    with decoding(how.max_pixels), caught() as printed:
        results = dict(zip(wanted, in_threads(work, list(wanted), "decode images"), strict=True))
        # Any of those that were decoded side by side may have been it: each is decoded once more, alone.
        for content in tuple(noisy):
            printed.take()
            results[content] = _with_complaint(work(content), printed)
    contents = {content: each for content, each in results.items() if isinstance(each, Content)}
    return contents, {content: each for content, each in results.items() if isinstance(each, str)}


def _read(path: Path, before: File) -> bytes:
    """The whole content of a file: from here on, an error is the content's.

    Raises:
        OSError: with an error number: the machine fails to read it, or it is not what it was.
    """
    with open_at(path) as file:
        data = file.read()
        if state_of(os.fstat(file.fileno())) != before[:4]:
            raise OSError(0, CHANGED)
    return data


def _with_complaint(done: Content | str, printed: Printed) -> Content | str:
    text = " ".join(printed.take().split())
    if not text or isinstance(done, str):
        return done
    if done.reason:
        return done._replace(reason=f"{done.reason} ({text})")
    return done._replace(notes=(*done.notes, f"{COMPLAINT}: {text}"))
