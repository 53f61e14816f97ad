"""Files that are not those that were published are named, one by one."""

import gzip
import shutil
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
from test_data import WRITERS, offline

from al_lightning.data import originals
from al_lightning.data.sources import torchvision_set
from al_lightning.errors import DataError

__all__ = ["offline"]
TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small MNIST with the sums of its own files in place of the published ones."""
    WRITERS["mnist"](tmp_path, "mnist", monkeypatch)
    return tmp_path / "MNIST/raw"


def refused(raw: Path, download: bool = False) -> str:
    with pytest.raises(DataError) as error:
        torchvision_set("mnist", str(raw.parents[1]), download)
    return str(error.value)


def test_files_that_were_exchanged(raw: Path) -> None:
    (raw / TRAIN).rename(raw / "kept")
    (raw / TEST).rename(raw / TRAIN)
    (raw / "kept").rename(raw / TEST)
    said = refused(raw)
    assert f"{TRAIN}: it is {TEST} of MNIST" in said and f"{TEST}: it is {TRAIN} of MNIST" in said


def test_a_file_that_was_cut(raw: Path) -> None:
    whole = (raw / TRAIN).read_bytes()
    (raw / TRAIN).write_bytes(whole[:-100])
    said = refused(raw)
    assert f"delete {TRAIN} and run again" in said and f"it has {len(whole) - 100} of {len(whole)} bytes" in said
    assert TEST not in said


def test_pixels_that_were_changed(raw: Path) -> None:
    content = bytearray((raw / TEST).read_bytes())
    content[-1] ^= 1
    (raw / TEST).write_bytes(content)
    said = refused(raw)
    assert f"delete {TEST} and run again" in said and "that of the original is" in said and TRAIN not in said


def test_files_of_another_set(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = originals.SUMS
    other = tmp_path / "other"
    WRITERS["fashion_mnist"](other, "fashion_mnist", monkeypatch)
    monkeypatch.setattr(originals, "SUMS", sums)
    for file in (other / "FashionMNIST/raw").iterdir():
        shutil.copy(file, raw)
    said = refused(raw)
    assert all(name in said for name in sums["MNIST"])


def test_a_truncated_archive_is_the_one_that_is_named(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress((raw / TRAIN).read_bytes())
    (raw / TRAIN).unlink()
    kind = originals.SETS["mnist"]
    resources = [(name, md5(packed).hexdigest() if name == f"{TRAIN}.gz" else right) for name, right in kind.resources]
    monkeypatch.setattr(kind, "resources", resources)
    (raw / f"{TRAIN}.gz").write_bytes(packed[: len(packed) // 2])
    said = refused(raw)
    assert f"delete {TRAIN}.gz and run again" in said and f"it has {len(packed) // 2} bytes" in said


def test_what_torchvision_kept_before_is_not_read(raw: Path) -> None:
    (raw.parent / "processed").mkdir()
    np.save(raw.parent / "processed/training.pt", np.zeros(1))
    (raw.parent / "processed/training.pt.npy").rename(raw.parent / "processed/training.pt")
    assert "copies of an older torchvision" in refused(raw)


def test_the_real_files_are_the_published_ones(real: Path) -> None:
    originals.check(originals.SETS["mnist"], real)
    assert dict(originals.damaged(originals.SETS["mnist"], real)) == {}
