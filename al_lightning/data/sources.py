"""The data sets that come with scikit-learn and torchvision."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision import datasets

from al_lightning.data import originals
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.originals import SETS, Kind
from al_lightning.errors import ConfigError, DataError

# The test part of digits never changes, whatever the seed of a run: results stay comparable across runs.
DIGITS_SPLIT_SEED = 0


def digits() -> ImageData:
    """scikit-learn's handwritten digits: 1,797 gray images of 8 x 8 pixels, kept in the package, no download.

    Returns:
        A pool of 1,437 and a test part of 360 images, `uint8 [N, 1, 8, 8]`. The split is stratified and fixed.
        Ids are positions in `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    # 17 levels, 0 to 16, spread over 0 to 255.
    images = torch.from_numpy(pixels * (255 / 16)).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    targets = torch.from_numpy(labels).long()
    split = train_test_split(range(len(labels)), test_size=0.2, stratify=labels, random_state=DIGITS_SPLIT_SEED)
    pool, test = (
        ImageSet(images[rows], targets[rows], tuple(map(str, rows))) for rows in (sorted(part) for part in split)
    )
    return ImageData(pool, test, classes=tuple("0123456789"))


def torchvision_set(dataset: str, root: str, download: bool) -> ImageData:
    """One of torchvision's data sets, in its original order and with its original test part.

    Args:
        dataset: mnist, fashion_mnist, kmnist, cifar10, cifar100 or svhn.
        root: folder that torchvision keeps the data set in, as its own classes take it.
        download: fetch the files when they are not there.

    Returns:
        Images as `uint8 [N, C, H, W]`; ids are positions in torchvision's training and test part.

    Raises:
        ConfigError: there is no data set of this name.
        DataError: the files are missing and cannot be fetched, are damaged, or are not the published ones.
    """
    if dataset not in SETS:
        raise ConfigError(f"dataset.dataset={dataset}: must be one of {', '.join(SETS)}.")
    kind = SETS[dataset]
    folder = Path(root).expanduser()
    originals.refuse_copies(kind, folder)
    try:
        pool, classes = _part(kind, folder, True, download)
        test, _ = _part(kind, folder, False, download)
        originals.check(kind, folder)
    # Network, archives, pickle and .mat readers: there is no shorter list of what missing or damaged files raise.
    except Exception as error:
        raise DataError(_explain(dataset, kind, folder, download, error)) from error
    return ImageData(pool, test, classes)


def _part(kind: Kind, root: Path, train: bool, download: bool) -> tuple[ImageSet, tuple[str, ...]]:
    """The training or the test part, and the class names."""
    if issubclass(kind, datasets.SVHN):
        part = kind(root, split="train" if train else "test", download=download)
        # torchvision turns the file's label 10 into 0, the digit that it stands for.
        return _image_set(torch.from_numpy(part.data), torch.from_numpy(part.labels), 10), tuple("0123456789")
    part = kind(root, train=train, download=download)
    if isinstance(part, datasets.CIFAR10):
        images = torch.from_numpy(part.data).permute(0, 3, 1, 2)
    else:
        images = part.data.unsqueeze(1)
    return _image_set(images, torch.as_tensor(part.targets), len(part.classes)), tuple(part.classes)


def _image_set(images: Tensor, labels: Tensor, n_classes: int) -> ImageSet:
    """Files of equal length whose labels are classes; anything else is a mix of data sets or damage."""
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images, but {len(labels)} labels")
    if not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}, but {n_classes} classes")
    return ImageSet(images.contiguous(), labels, tuple(map(str, range(len(labels)))))


def _explain(dataset: str, kind: Kind, root: Path, download: bool, error: Exception) -> str:
    folder, names = originals.files(kind, root)
    said = "" if isinstance(error, DataError) else f" torchvision said: {type(error).__name__}: {_one_line(error)}"
    again = "run again" if download else "run again with dataset.download=true"
    missing = [name for name in names if not (folder / name).is_file()]
    wrong = dict(originals.damaged(kind, root))
    if wrong or not missing:  # where no sum is known, each of them may be the one
        whys = "; ".join(f"{name}: {why}" for name, why in wrong.items())
        return (
            f"{dataset}: files in {folder} are damaged: delete {', '.join(wrong or names)} and {again}. {whys}.{said}"
        )
    if issubclass(kind, datasets.MNIST):
        instead = " (or each of them as the original .gz, which dataset.download=true unpacks)"
    elif issubclass(kind, datasets.CIFAR10):
        instead = f" (or {root / kind.filename}, which dataset.download=true unpacks)"
    else:
        instead = ""
    fetch = "could not be fetched" if download else "are not to be fetched (dataset.download=false)"
    return (
        f"{dataset}: files are missing in {folder} and {fetch}. "
        f"Put {', '.join(missing)} there{instead}, or set paths.data or dataset.root, now {root}.{said}"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
