"""Labeled images as files: a folder a class, or Hugging Face's `imagefolder`."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from al_lightning.data.cache_folder import hashed
from al_lightning.disk import write as write_file
from al_lightning.exchange.labels import Image, Labels
from al_lightning.exchange.names import free, safe
from al_lightning.exchange.table import to_csv

CLASSES = "classes.json"


class Files:
    """The files of the images that have a label, in the order of their paths.

    Args:
        labels: of a project or a run whose images are files.

    Attributes:
        left_out: what to print of those that cannot be had.
    """

    def __init__(self, labels: Labels) -> None:
        assert labels.root is not None
        self._root, self._images = labels.root, [each for each in labels.images if each.label is not None]
        self.left_out: list[str] = []

    def __iter__(self) -> Iterator[tuple[Image, Path, bytes]]:
        for each in self._images:
            file = self._root / each.path
            try:
                data = file.read_bytes() if each.path else b""
            except OSError as error:
                self.left_out.append(f"warning: {each.path!r}: left out: {error.strerror}")
                continue
            if not each.path or (each.digest and hashed(data) != each.digest):
                self.left_out.append(f"warning: {each.path or each.digest!r}: left out: no file has its content now")
                continue
            yield each, file, data


def write_folders(labels: Labels, out: Path, *, link: bool) -> list[str]:
    """Write a folder a class, and `classes.json`: which class a folder is.

    Args:
        labels: of a project or a run whose images are files.
        out: an empty folder.
        link: whether files are hard links where the file system can, so that they take no room.

    Returns:
        What to print.
    """
    taken: dict[str, int] = {}
    folders = {name: free(safe(name), taken) for name in labels.classes}
    of_folders = {folder: name for name, folder in folders.items()}
    write_file(out / CLASSES, json.dumps(of_folders, ensure_ascii=False, indent=2).encode() + b"\n")
    names: dict[str, dict[str, int]] = {folder: {} for folder in folders.values()}
    for folder in names:
        (out / folder).mkdir()
    n, files = 0, Files(labels)
    for image, file, data in files:
        n += 1
        folder = folders[image.label or ""]
        _put(file, data, out / folder / free(file.name, names[folder]), link=link)
    return [*files.left_out, f"{n:,} images in {len(folders):,} folders; {CLASSES}: the class of each folder"]


def write_imagefolder(labels: Labels, out: Path, *, link: bool) -> list[str]:
    """Write `images/` and `metadata.csv` with `file_name` and `label`, which `datasets.load_dataset(DIR)` reads.

    It reads the table with pandas, to which a class `None` or `NA` is no value, and `01` a number.

    Args:
        labels: likewise.
        out: likewise.
        link: likewise.

    Returns:
        What to print.
    """
    (out / "images").mkdir()
    taken: dict[str, int] = {}
    rows, files = [], Files(labels)
    for image, file, data in files:
        name = free(file.name, taken)
        _put(file, data, out / "images" / name, link=link)
        rows.append((f"images/{name}", image.label or ""))
    write_file(out / "metadata.csv", to_csv(("file_name", "label"), rows))
    return [*files.left_out, f"{len(rows):,} images in images/; metadata.csv: the class of each"]


def _put(source: Path, data: bytes, target: Path, *, link: bool) -> None:
    if link:
        with suppress(OSError):  # another file system, or one without hard links
            os.link(source.resolve(), target)
            return
    target.write_bytes(data)
