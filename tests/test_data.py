"""Every data set's loader, on small real files; on the real MNIST and CIFAR-10 where they are at hand."""

import inspect
import pickle
import random
import shutil
from hashlib import md5
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
from conftest import REAL
from hydra.utils import get_method
from omegaconf import OmegaConf
from PIL import Image
from torchvision import datasets

from al_lightning.data import originals
from al_lightning.data.folder import folder
from al_lightning.data.sources import SETS, digits, torchvision_set
from al_lightning.errors import ConfigError, DataError

REPO = Path(__file__).parents[1]
N_TRAIN, N_TEST = 5, 3
GRAY = ["mnist", "fashion_mnist", "kmnist"]
PIXELS = np.random.default_rng(0)


# --- tiny data sets, in the formats that torchvision reads ----------------------------------------------------------


def _write_idx(root: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    raw = root / SETS[dataset].__name__ / "raw"
    raw.mkdir(parents=True)
    written, shapes, sums = {}, {}, {}
    for part, count in {"train": N_TRAIN, "t10k": N_TEST}.items():
        images = PIXELS.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = PIXELS.integers(0, 10, count, dtype=np.uint8)
        for name, array in {"images-idx3": images, "labels-idx1": labels}.items():
            header = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
            file = raw / f"{part}-{name}-ubyte"
            file.write_bytes(header + array.tobytes())
            shapes[file.name], sums[file.name] = array.shape, md5(file.read_bytes()).hexdigest()
        written["test" if part == "t10k" else part] = images[:, None], labels
    monkeypatch.setattr(originals, "SHAPES", shapes)
    monkeypatch.setattr(originals, "SUMS", {"MNIST": sums} if dataset == "mnist" else {})
    return written


def _write_cifar(root: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[dataset]
    key, n_classes = {"cifar10": ("labels", 10), "cifar100": ("fine_labels", 100)}[dataset]
    (root / kind.base_folder).mkdir(parents=True)

    def dump(name: str, content: dict) -> str:
        packed = pickle.dumps(content)
        (root / kind.base_folder / name).write_bytes(packed)
        return md5(packed).hexdigest()

    written = {}
    for part, attribute in {"train": "train_list", "test": "test_list"}.items():
        sums, images, labels = [], [], []
        for name, _ in getattr(kind, attribute):
            images.append(PIXELS.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8))
            labels.append(PIXELS.integers(0, n_classes, 2).tolist())
            sums.append([name, dump(name, {"data": images[-1].reshape(2, -1), key: labels[-1]})])
        monkeypatch.setattr(kind, attribute, sums)
        written[part] = np.concatenate(images), np.concatenate(labels)
    names = [f"class {label}" for label in range(n_classes)]
    md5_of_meta = dump(kind.meta["filename"], {kind.meta["key"]: names})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5_of_meta})
    return written


def _write_svhn(root: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    root.mkdir(exist_ok=True)
    written, split_list = {}, {}
    for part, count in {"train": N_TRAIN, "test": N_TEST}.items():
        images = PIXELS.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = np.array([10, *range(1, count)], dtype=np.uint8)  # in the file, 10 stands for the digit 0
        path = root / f"{part}_32x32.mat"
        scipy.io.savemat(path, {"X": images, "y": labels[:, None]})
        split_list[part] = ["http://localhost/", path.name, md5(path.read_bytes()).hexdigest()]
        written[part] = images.transpose(3, 2, 0, 1), labels % 10
    monkeypatch.setattr(datasets.SVHN, "split_list", split_list)
    return written


WRITERS = {**dict.fromkeys(GRAY, _write_idx), "cifar10": _write_cifar, "cifar100": _write_cifar, "svhn": _write_svhn}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise URLError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


# --- scikit-learn and torchvision -----------------------------------------------------------------------------------


def test_digits_is_partitioned_by_a_fixed_stratified_split() -> None:
    data = digits()
    assert data.pool.images.dtype == torch.uint8
    assert data.pool.images.shape == (1437, 1, 8, 8)
    assert (data.pool.images.min(), data.pool.images.max()) == (0, 255)
    assert sorted(map(int, [*data.pool.ids, *data.test.ids])) == list(range(1797))
    shares = data.test.labels.bincount() / (data.pool.labels.bincount() + data.test.labels.bincount())
    assert torch.allclose(shares, torch.full((10,), 0.2), atol=0.005)
    assert data.fingerprint() == "a4c1cc2682d286a8"  # pinned: results stay comparable


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("dataset", SETS)
def test_torchvision_set_gives_back_what_the_files_hold(
    dataset: str, download: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = WRITERS[dataset](tmp_path, dataset, monkeypatch)
    data = torchvision_set(dataset, str(tmp_path), download)
    for part, (images, labels) in {"pool": written["train"], "test": written["test"]}.items():
        loaded = getattr(data, part)
        assert (loaded.images.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
        assert loaded.images.is_contiguous()
        np.testing.assert_array_equal(loaded.images, images)
        np.testing.assert_array_equal(loaded.labels, labels)
        assert list(loaded.ids) == [str(position) for position in range(len(labels))]
    assert len(data.classes) == (100 if dataset == "cifar100" else 10)
    assert all(isinstance(name, str) for name in data.classes)


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize(
    ("dataset", "files"),
    [
        *[
            (name, [f"{SETS[name].__name__}/raw", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", ".gz"])
            for name in GRAY
        ],
        ("cifar10", ["cifar-10-batches-py", "data_batch_1", "test_batch", "batches.meta", "cifar-10-python.tar.gz"]),
        ("cifar100", ["cifar-100-python", "train", "test", "meta", "cifar-100-python.tar.gz"]),
        ("svhn", ["train_32x32.mat", "test_32x32.mat"]),
    ],
)
def test_missing_files_are_named_with_their_folder_and_the_key(
    dataset: str, files: list[str], download: bool, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        torchvision_set(dataset, str(tmp_path), download)
    message = str(caught.value)
    for part in [dataset, str(tmp_path), "paths.data", "dataset.root", *files]:
        assert part in message
    assert ("no network in tests" if download else "dataset.download=false") in message
    assert "\n" not in message


def test_a_folder_that_cannot_be_made_is_reported_and_not_raised_through(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"svhn.*dataset\.root"):
        torchvision_set("svhn", str(tmp_path / "file"), True)


@pytest.mark.parametrize("damage", ["cut", "empty", "other labels"])
@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "svhn"])
def test_damaged_files_are_named(dataset: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS[dataset](tmp_path, dataset, monkeypatch)
    name = {"mnist": "MNIST/raw/train-labels-idx1-ubyte", "svhn": "train_32x32.mat"}.get(
        dataset, "cifar-10-batches-py/data_batch_2"
    )
    file = tmp_path / name
    whole = file.read_bytes()
    if damage == "other labels":
        {
            "mnist": lambda: file.write_bytes(whole[:-1] + b"\x0a"),
            "cifar10": lambda: file.write_bytes(pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [3]})),
            "svhn": lambda: scipy.io.savemat(file, {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[1], [12]]}),
        }[dataset]()
    else:
        file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    # As if the sums were right: what is behind them has to be caught as well.
    for module in ("cifar", "svhn"):
        monkeypatch.setattr(
            f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: Path(path).exists()
        )
    monkeypatch.setattr("torchvision.datasets.utils.check_integrity", lambda path, md5=None: Path(path).exists())
    with pytest.raises(DataError, match="damaged: delete") as caught:
        torchvision_set(dataset, str(tmp_path), True)
    assert str(file.parent) in str(caught.value)
    assert file.name in str(caught.value)


def test_a_sum_that_does_not_match_is_damage_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_cifar(tmp_path, "cifar100", monkeypatch)
    (tmp_path / "cifar-100-python" / "train").write_bytes(b"other")
    with pytest.raises(DataError, match=r"cifar-100-python are damaged.*dataset\.download=true.*corrupted"):
        torchvision_set("cifar100", str(tmp_path), False)


def test_unknown_name_lists_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.dataset=mnits: must be one of mnist, .*svhn"):
        torchvision_set("mnits", "data", False)


# --- the configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted((REPO / "conf" / "dataset").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_data_set_file_holds_what_its_target_takes(file: Path) -> None:
    node = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    assert isinstance(node, dict)
    if file.read_text(encoding="utf-8").startswith("# @package _global_"):
        node = node["dataset"]
    assert node.pop("name") == file.stem
    assert set(node.pop("augment")) == {"crop", "flip"}
    target = get_method(node.pop("_target_"))
    assert set(node) == set(inspect.signature(target).parameters)
    assert node.get("dataset", file.stem) == file.stem


# --- real images ----------------------------------------------------------------------------------------------------


def test_real_mnist_unpacked_or_still_in_its_archives(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = torchvision_set("mnist", str(real), False)
    assert data.pool.images.shape == (60_000, 1, 28, 28)
    assert data.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.pool.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    mean, deviation = data.statistics
    assert (round(mean[0], 4), round(deviation[0], 4)) == (0.1307, 0.3081)  # the figures everybody uses

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, _ in datasets.MNIST.resources:
        shutil.copy(REAL / name, raw)
    # These archives hold the original files, but are not the original archives.
    sums = [(name, md5((raw / name).read_bytes()).hexdigest()) for name, _ in datasets.MNIST.resources]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    assert torchvision_set("mnist", str(tmp_path), True).fingerprint() == data.fingerprint()


def test_real_photographs_as_a_folder(real: Path) -> None:
    data = folder(str(real / "cifar10-jpeg"), 32, 3, 0.2, 0)
    assert (len(data.pool), len(data.test), data.rejected) == (200, 50, ())
    assert (data.classes[0], data.classes[9], len(data.classes)) == ("airplane", "truck", 10)
    row = random.Random(0).randrange(len(data.pool))
    path = data.pool.ids[row]
    with Image.open(real / "cifar10-jpeg" / path) as image:
        np.testing.assert_array_equal(data.pool.images[row].permute(1, 2, 0), np.asarray(image))
    assert f"/{data.classes[int(data.pool.labels[row])]}/" in path
    mean, _ = data.statistics
    assert mean == pytest.approx([0.491, 0.482, 0.447], abs=0.03)
