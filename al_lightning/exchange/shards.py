"""Labeled images as WebDataset shards: tar archives with the same bytes whenever they are written."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path, PurePosixPath

from al_lightning.data.cache_folder import hashed
from al_lightning.disk import write as write_file
from al_lightning.exchange.image_files import CLASSES, Files
from al_lightning.exchange.labels import Labels
from al_lightning.exchange.names import free

IN_A_SHARD = 1000  # images


def write(labels: Labels, out: Path) -> list[str]:
    """Write `shard-000000.tar` and so on, and `classes.json`: the names of the classes in order.

    An image is `KEY.jpg` (or its own suffix), `KEY.cls` (the index of its class) and `KEY.json`; the key is the hash of
    its content, so that their order is that of no class.

    Args:
        labels: of a project or a run whose images are files.
        out: an empty folder.

    Returns:
        What to print.
    """
    by_content = sorted(labels.images, key=lambda each: (each.digest, each.path))
    files = Files(replace(labels, images=by_content))
    numbered = enumerate(_samples(files, labels.classes))
    n = 0
    for number, samples in groupby(numbered, lambda each: each[0] // IN_A_SHARD):
        with tarfile.open(out / f"shard-{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as shard:
            for at, members in samples:
                n = at + 1
                for name, data in members.items():
                    entry = tarfile.TarInfo(name)  # of no time and nobody
                    entry.size = len(data)
                    shard.addfile(entry, io.BytesIO(data))
    write_file(out / CLASSES, json.dumps([*labels.classes], ensure_ascii=False, indent=2).encode() + b"\n")
    return [*files.left_out, f"{n:,} images in {-(-n // IN_A_SHARD):,} shards; {CLASSES}: the classes in order"]


def _samples(files: Files, classes: Sequence[str]) -> Iterator[dict[str, bytes]]:
    taken: dict[str, int] = {}
    for image, _, data in files:
        key = free(hashed(data), taken)  # the content comes twice where a run knows its images by their path
        about = {"file": image.path, "class": image.label, "annotators": image.annotators}
        yield {
            f"{key}.{_suffix(image.path)}": data,
            f"{key}.cls": str(classes.index(image.label or "")).encode(),
            f"{key}.json": json.dumps(about, ensure_ascii=False, sort_keys=True).encode(),
        }


def _suffix(path: str) -> str:
    """The suffix of a file in lower case, without its dot, where it is a plain one; else `image`."""
    found = PurePosixPath(path).suffix[1:].lower()
    return found if found.isascii() and found.isalnum() else "image"
