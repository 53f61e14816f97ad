"""The files that torchvision's data sets come in: where they lie, and whether they are those that were published."""

import math
import zlib
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

from torchvision import datasets

from al_lightning.errors import DataError

SETS = {
    "mnist": datasets.MNIST,
    "fashion_mnist": datasets.FashionMNIST,
    "kmnist": datasets.KMNIST,
    "cifar10": datasets.CIFAR10,
    "cifar100": datasets.CIFAR100,
    "svhn": datasets.SVHN,
}
Kind = type[datasets.MNIST] | type[datasets.CIFAR10] | type[datasets.SVHN]

# torchvision holds the archives of the sets in IDX format against their md5 sums, and not what it reads from then on.
SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
# Of what is in the archives whose sums torchvision has; those of the other sets are not published.
SUMS = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
}
BLOCK = 2**20  # bytes


def files(kind: Kind, root: Path) -> tuple[Path, list[str]]:
    """The folder that torchvision reads a data set from, and the names of the files that it needs there."""
    if issubclass(kind, datasets.MNIST):
        return root / kind.__name__ / "raw", [name.removesuffix(".gz") for name, _ in kind.resources]
    if issubclass(kind, datasets.CIFAR10):
        names = [name for name, _ in kind.train_list + kind.test_list]
        return root / kind.base_folder, [*names, kind.meta["filename"]]
    return root, [kind.split_list[part][1] for part in ("train", "test")]


def check(kind: Kind, root: Path) -> None:
    """Hold the files of a set that was read against what is known of them, as far as torchvision did not.

    Raises:
        DataError: names those that are others.
    """
    if issubclass(kind, datasets.MNIST) and (wrong := dict(damaged(kind, root))):
        raise DataError("; ".join(f"{name}: {why}" for name, why in wrong.items()))


def refuse_copies(kind: Kind, root: Path) -> None:
    """Refuse what torchvision would read in place of the files: the tensors that it kept before version 0.10.

    Raises:
        DataError: names the folder.
    """
    if issubclass(kind, datasets.MNIST) and any((copies := root / kind.__name__ / "processed").glob("*.pt")):
        raise DataError(f"{copies}: copies of an older torchvision, which cannot be checked: delete this folder")


def damaged(kind: Kind, root: Path) -> Iterator[tuple[str, str]]:
    """Files that are there and are not the originals: (name, or path where it lies elsewhere; what is wrong with it).

    Where one is missing, the archive that it would come from is looked at, too.

    Raises:
        DataError: one cannot be read.
    """
    folder, names = files(kind, root)
    sums = _sums(kind)
    for name in names:
        if (path := folder / name).is_file() and (why := _wrong(kind, path, sums.get(name))):
            yield name, why
    missing = [name for name in names if not (folder / name).is_file()]
    for path, right in _archives(kind, root, folder, missing):
        if path.is_file() and (md5 := _md5(path)) != right:
            shown = path.name if path.parent == folder else str(path)
            yield shown, f"it has {path.stat().st_size} bytes and the md5 sum {md5}, that of the original is {right}"


def _sums(kind: Kind) -> dict[str, str]:
    """md5 sums by name, as far as they are known."""
    if issubclass(kind, datasets.MNIST):
        return SUMS.get(kind.__name__, {})
    if issubclass(kind, datasets.CIFAR10):
        return dict(kind.train_list + kind.test_list) | {kind.meta["filename"]: kind.meta["md5"]}
    return {name: md5 for _, name, md5 in kind.split_list.values()}


def _wrong(kind: Kind, path: Path, right: str | None) -> str:
    """What is wrong with a file; nothing where it is the original, as far as that is known."""
    md5 = _md5(path)
    if md5 == right:
        return ""
    for name, known in {kind.__name__: _sums(kind), **SUMS}.items():
        for other, each in known.items():
            if md5 == each:
                return f"it is {other} of {name}"
    if issubclass(kind, datasets.MNIST):
        shape = SHAPES[path.name]
        header = bytes([0, 0, 8, len(shape)]) + b"".join(side.to_bytes(4, "big") for side in shape)
        size, whole = path.stat().st_size, len(header) + math.prod(shape)
        with path.open("rb") as file:
            begins = file.read(len(header))
        if begins == header and size != whole:
            return f"it has {size} of {whole} bytes"
        if begins != header:
            return f"it does not hold {' x '.join(map(str, shape))} bytes in IDX format"
        if right is None:
            return _against_archive(kind, path)
    return f"its md5 sum is {md5}, that of the original is {right}"


def _against_archive(kind: type[datasets.MNIST], path: Path) -> str:
    """Hold a file whose sum is not known against the archive beside it, whose sum is; nothing where there is none."""
    archive = path.with_name(f"{path.name}.gz")
    if not archive.is_file() or _md5(archive) != dict(kind.resources)[archive.name]:
        return ""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    with archive.open("rb") as file:
        file.seek(-8, 2)  # a gzip file ends with the CRC of what is in it and its length
        right = int.from_bytes(file.read(4), "little")
    return "" if crc == right else f"it is not what {archive.name} holds"


def _archives(kind: Kind, root: Path, folder: Path, missing: list[str]) -> list[tuple[Path, str]]:
    """Archives that missing files come from, with their md5 sums."""
    if issubclass(kind, datasets.MNIST):
        return [(folder / name, md5) for name, md5 in kind.resources if name.removesuffix(".gz") in missing]
    if issubclass(kind, datasets.CIFAR10) and missing:
        return [(root / kind.filename, kind.tgz_md5)]
    return []


def _md5(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
