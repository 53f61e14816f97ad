"""Features of the user's own, from a file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA

import al_lightning
from al_lightning.data.images import ImageData
from al_lightning.data.sources import digits
from al_lightning.embedding.file import file
from al_lightning.errors import ConfigError, DataError
from al_lightning.predict import main as predict

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> ImageData:
    return digits()


@pytest.fixture(scope="module")
def matrix(data: ImageData) -> np.ndarray:
    """Pool, then test part."""
    pixels = np.concatenate([part.images.flatten(1).numpy() for part in (data.pool, data.test)])
    return PCA(20, random_state=0).fit_transform(pixels).astype(np.float32) / 255


def test_with_ids_rows_come_in_any_order(data: ImageData, matrix: np.ndarray, tmp_path: Path) -> None:
    ids = np.array([*data.pool.ids, *data.test.ids])
    order = np.random.default_rng(0).permutation(len(ids))
    extra = np.zeros((1, 20), np.float32)  # of an image that is not there
    rows, names = np.concatenate([matrix[order], extra]), np.append(ids[order], "another")
    np.savez(tmp_path / "own.npz", embedding=rows, ids=names)
    np.save(tmp_path / "own.npy", matrix)
    np.save(tmp_path / "half.npy", matrix.astype(np.float16))  # stays mapped
    found, plain, half = (
        file(data, path=str(tmp_path / name)).embed(data, tmp_path, CPU) for name in ("own.npz", "own.npy", "half.npy")
    )
    for part in ("pool", "test"):
        assert torch.equal(getattr(found, part), getattr(plain, part))
        assert torch.equal(getattr(half, part), getattr(plain, part))
    expected = torch.from_numpy(matrix).half()
    assert torch.equal(torch.cat([plain.pool, plain.test]), expected) and found.key == plain.key


def test_a_matrix_in_columns_is_read(data: ImageData, matrix: np.ndarray, tmp_path: Path) -> None:
    expected = torch.from_numpy(matrix).half()
    for kind in (np.float16, np.float32):
        np.save(tmp_path / "own.npy", np.asfortranarray(matrix.astype(kind)))
        found = file(data, path=str(tmp_path / "own.npy")).embed(data, tmp_path, CPU)
        assert torch.equal(torch.cat([found.pool, found.test]), expected)


def test_files_that_are_something_else_are_refused(data: ImageData, matrix: np.ndarray, tmp_path: Path) -> None:
    ids = [*data.pool.ids, *data.test.ids]
    np.savez(tmp_path / "a.npz", embedding=matrix, ids=[*ids, "more"])
    np.save(tmp_path / "b.npy", matrix)
    (tmp_path / "c.npy").write_bytes((tmp_path / "a.npz").read_bytes())
    (tmp_path / "d.npz").write_bytes((tmp_path / "b.npy").read_bytes())
    (tmp_path / "e.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-100])
    for name, said in {
        "a.npz": "has ids .* for rows .*; every row has one",
        "c.npy": "is an .npz by its content; name it so",
        "d.npz": "is no .npz by its content",
        "e.npz": "is no .npz by its content",
    }.items():
        with pytest.raises((ConfigError, DataError), match=said):
            file(data, path=str(tmp_path / name))


def test_ids_that_stand_for_two_images_are_refused(data: ImageData, matrix: np.ndarray, tmp_path: Path) -> None:
    ids = [*data.pool.ids, *data.test.ids]
    np.savez(tmp_path / "own.npz", embedding=np.concatenate([matrix, matrix[:1]]), ids=[*ids, ids[0]])
    with pytest.raises(ConfigError, match=f"own.npz: has more than one row for {ids[0]}"):
        file(data, path=str(tmp_path / "own.npz"))
    counted = replace(data, test=replace(data.test, ids=data.pool.ids[: len(data.test)]))
    np.savez(tmp_path / "own.npz", embedding=matrix[: len(data.pool)], ids=[*data.pool.ids])
    with pytest.raises(ConfigError, match="pool and test part of this data set have the same ids; give"):
        file(counted, path=str(tmp_path / "own.npz"))


@pytest.mark.parametrize("layout", ["a column a feature", "one column of lists"])
def test_parquet_is_read(layout: str, data: ImageData, matrix: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    ids = [*data.pool.ids, *data.test.ids]
    columns = {"features": list(matrix)} if "lists" in layout else {f"f{i}": row for i, row in enumerate(matrix.T)}
    table = pd.DataFrame({"id": ids, **columns}).sample(frac=1, random_state=0)
    table.to_parquet(tmp_path / "own.parquet")
    found = file(data, path=str(tmp_path / "own.parquet")).embed(data, tmp_path, CPU)
    assert torch.equal(torch.cat([found.pool, found.test]), torch.from_numpy(matrix).half())
    table.drop(columns="id").to_parquet(tmp_path / "own.parquet")
    with pytest.raises(ConfigError, match="and needs a column id"):
        file(data, path=str(tmp_path / "own.parquet"))


def test_a_run_on_them(
    matrix: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", matrix)
    head = ("embedding=file", "embedding.path=own.npy", "model=linear", "al.rounds=2", "logger=none")
    outcome = al_lightning.run(["dataset=digits", *head])
    assert outcome.summary["final"]["acc"] > 0.8
    trained = al_lightning.load(outcome.folder)
    assert trained.takes_features and predict([str(outcome.folder), __file__]) == 1
    assert "takes the features of embedding.path" in capsys.readouterr().err
    accuracy = (trained.model(torch.from_numpy(matrix[-360:])).argmax(1) == digits().test.labels).float().mean()
    assert float(accuracy) == pytest.approx(outcome.summary["final"]["acc"], abs=0.006)
    np.save("own.npy", matrix * 2)
    with pytest.raises(DataError, match=r"its features were those of own\.npy"):
        al_lightning.run(["dataset=digits", *head, "al.rounds=3"])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda rows: rows[:-1], ConfigError, "has 1796 rows for 1797 images"),
        (lambda rows: rows[:, 0], ConfigError, "has to be a matrix of numbers"),
        (lambda rows: rows.astype(str), ConfigError, "has to be a matrix of numbers"),
        (lambda rows: np.where(np.arange(20) == 3, np.nan, rows), DataError, "no finite number in half precision"),
        (lambda rows: rows * 1e6, DataError, "no finite number in half precision"),
        (lambda rows: np.ones_like(rows), DataError, "all images of the pool have the same features"),
    ],
)
def test_what_cannot_be_features_is_refused(
    change: Any, error: type[Exception], said: str, data: ImageData, matrix: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "own.npy", change(matrix))
    with pytest.raises(error, match=said):
        file(data, path=str(tmp_path / "own.npy"))


@pytest.mark.parametrize(
    ("arrays", "error", "said"),
    [
        ({"x": np.zeros(3)}, ConfigError, "has x, and needs embedding and ids"),
        ({"embedding": np.zeros((2, 3)), "ids": np.array(["0", "1"])}, ConfigError, "has no row for 1795 of 1797"),
    ],
)
def test_a_file_without_ids_for_all_is_refused(
    arrays: dict[str, np.ndarray], error: type[Exception], said: str, data: ImageData, tmp_path: Path
) -> None:
    np.savez(tmp_path / "own.npz", **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(error, match=said):
        file(data, path=str(tmp_path / "own.npz"))


@pytest.mark.parametrize(("name", "error"), [("none.npy", DataError), ("text.npy", DataError), ("a.txt", ConfigError)])
def test_no_such_file(name: str, error: type[Exception], data: ImageData, tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no numbers")
    with pytest.raises(error, match=f"embedding.path=.*{name}"):
        file(data, path=str(tmp_path / name))
