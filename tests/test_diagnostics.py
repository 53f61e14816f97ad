"""What a run keeps for the report: the map of the pool, scores, queried images."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from sklearn.decomposition import PCA

from al_lightning.acquisition.select import Query
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.sources import digits
from al_lightning.report.run_files import Reader
from al_lightning.runs import diagnostics
from al_lightning.runs.diagnostics import pool_map, score_histogram, strip
from al_lightning.runs.rounds import Round, read_confusion, to_files


def test_the_map_is_the_pca_of_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "CHUNK", 500)  # so that there are three, the last a short one
    data = digits()
    arrays = pool_map(data)
    reference = PCA(2, svd_solver="full").fit(data.pool.images.flatten(1).numpy() / 255)
    expected = reference.transform(data.pool.images.flatten(1).numpy() / 255)
    for axis in range(2):
        sign = np.sign(expected[:, axis] @ arrays["position"][:, axis].astype(float))
        np.testing.assert_allclose(arrays["position"][:, axis], sign * expected[:, axis], atol=5e-3)
    np.testing.assert_allclose(arrays["explained"], reference.explained_variance_ratio_, rtol=1e-4)
    assert arrays["label"].tolist() == data.pool.labels.tolist()


@pytest.mark.parametrize("shape", [(5, 3, 1, 40), (2, 1, 17, 3)])
def test_there_is_a_map_of_images_of_any_size_even_of_equal_ones(shape: tuple[int, int, int, int]) -> None:
    n = shape[0]
    images = ImageSet(
        torch.full(shape, 7, dtype=torch.uint8), torch.zeros(n, dtype=torch.int64), list(map(str, range(n)))
    )
    arrays = pool_map(ImageData(images, images, ("a", "b")))
    assert arrays["position"].shape == (shape[0], 2)
    assert np.isfinite(arrays["position"]).all() and np.isfinite(arrays["explained"]).all()


def test_the_histogram_counts_every_image_once_and_the_query_within_the_pool() -> None:
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=1000))
    best = scores.sort(descending=True).indices[:30]
    table = score_histogram(Query(best, scores[best], scores))
    assert table is not None and table.shape == (40, 4)
    low, high, pool, queried = table.T
    assert (pool.sum(), queried.sum()) == (1000, 30)
    assert (low[1:] == high[:-1]).all()
    assert (low[0], high[-1]) == pytest.approx((scores.min().item(), scores.max().item()), abs=1e-6)
    assert (queried <= pool).all()
    assert queried[(low > scores[best].min().item())].sum() == pool[low > scores[best].min().item()].sum()
    assert score_histogram(Query(best)) is None
    far = torch.tensor([-1.0, 1.0])
    table = score_histogram(Query(torch.arange(2), far * 3e38, far * 3e38))  # an image that is never to be chosen
    assert table is not None and table[:, 2].sum() == 2
    assert score_histogram(Query(torch.arange(2), far, far.double() * 1.7e308)) is None


@pytest.mark.parametrize(
    ("shape", "size"),
    [((3, 1, 8, 8), (24, 8)), ((12, 3, 28, 28), (280, 28)), ((2, 3, 100, 200), (128, 32)), ((1, 1, 1, 500), (64, 1))],
)
def test_the_strip_has_the_first_ten_images_in_order(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    images = torch.arange(shape[0], dtype=torch.uint8).view(-1, 1, 1, 1).expand(shape) * 20
    picture = PIL.Image.open(io.BytesIO(strip(images)))
    assert picture.size == size and picture.mode == ("L" if shape[1] == 1 else "RGB")
    pixels = np.asarray(picture).reshape(size[1], min(10, shape[0]), -1)
    assert [int(value) for value in pixels[0, :, 0]] == [20 * i for i in range(min(10, shape[0]))]


@pytest.mark.parametrize("names", [("true", "0"), ("7", 'a, "b"\nc'), ("Füße", "")])
def test_a_confusion_matrix_is_read_with_its_names_and_as_earlier_versions_wrote_it(
    names: tuple[str, str], tmp_path: Path
) -> None:
    counts = np.array([[3, 1], [0, 2]])
    file = tmp_path / "confusion.csv"
    file.write_bytes(to_files(Round({"round": 0}, [], counts, names, {}))["confusion.csv"])
    with file.open(newline="", encoding="utf-8") as opened:
        matrix, read = read_confusion(opened)
    assert (matrix.tolist(), tuple(read)) == (counts.tolist(), names)
    assert (Reader().confusion(file) == counts).all()
    file.write_text("0,1\n3,1\n0,2\n", encoding="utf-8")
    assert (Reader().confusion(file) == counts).all()
    for damaged in ("", "true,a,b\na,1,2\n", "0,1\n3\n0,2\n", "0,1\nx,1\n0,2\n"):
        file.write_text(damaged, encoding="utf-8")
        assert (reader := Reader()).confusion(file) is None and "damaged" in reader.notes[0]
