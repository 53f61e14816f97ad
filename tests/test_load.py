"""The model of a finished run outside of the run: the run's own pixels and accuracy, and every way to export it."""

import csv
import json
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_images import saved
from conftest import FAST, Command, run_here
from PIL import Image, ImageOps
from run_folders import only_run
from torch import Tensor

import al_lightning
from al_lightning.data.folder import folder
from al_lightning.data.sources import digits, torchvision_set
from al_lightning.errors import DataError
from al_lightning.runs.export import Trained

SIZE = 16
Made = Callable[[np.ndarray, np.random.Generator], bytes]


def sideways(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90), ".jpg", quality=95, exif=exif)


def with_alpha(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    """The image is in the opacity alone."""
    return saved(np.dstack([np.zeros_like(pixels), 255 - pixels[..., 0]]), ".png")


def gray_with_alpha(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    return saved(np.dstack([np.zeros_like(pixels[..., 0]), 255 - pixels[..., 0]]), ".png")


def twelve_bits(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    return saved(pixels[..., 0].astype(np.uint16) * 16 + rng.integers(0, 16, pixels.shape[:2], np.uint16), ".png")


def large_jpeg(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    return saved(Image.fromarray(pixels).resize((300, 260), Image.Resampling.BICUBIC), ".jpg", quality=80)


def clear(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    return saved(np.dstack([pixels, np.zeros_like(pixels[..., 0])]), ".png")


KINDS: tuple[Made, ...] = (sideways, with_alpha, gray_with_alpha, twelve_bits, large_jpeg, clear)


def make_root(root: Path, kinds: tuple[Made, ...]) -> None:
    """Bright above or bright on the left, hard enough to be wrong about some."""
    rng = np.random.default_rng(0)
    for part, count in {"train": 24, "test": 24}.items():
        for name in ("top", "left"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 180, (48, 48, 1), dtype=np.uint8).repeat(3, axis=2)
                bright = pixels[:24] if name == "top" else pixels[:, :24]
                bright += np.uint8(rng.integers(0, 40))
                kind = kinds[number % len(kinds)]
                (root / part / name / f"{number:02}{kind.__name__}").with_suffix(".png").write_bytes(kind(pixels, rng))


def accuracy(trained: Trained, images: list[Tensor], labels: Sequence[int]) -> float:
    """In as many digits as `rounds.csv` has."""
    with torch.no_grad():
        right = trained.model(torch.stack(images)).argmax(1) == torch.tensor(labels)
    return float(f"{right.double().mean().item():.7g}")


def measured(run: Path) -> float:
    with (run / "rounds.csv").open(newline="", encoding="utf-8") as file:
        return float(list(csv.DictReader(file))[-1]["test/acc"])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_recipe_of_the_readme_has_the_accuracy_of_the_run(channels: int, command: Command, tmp_path: Path) -> None:
    make_root(tmp_path / "data", KINDS)
    settings = (f"dataset.root={tmp_path / 'data'}", f"dataset.image_size={SIZE}", f"dataset.channels={channels}")
    ended = command("dataset=folder", *settings, "al.rounds=0", "al.initial_size=32", "train.min_steps=60")
    assert ended.code == 0, ended.err
    assert "note      16-bit values 0 to 4095 become 0 to 255 (dataset.levels=auto)" in ended.out
    assert f"{clear.__name__}.png is transparent everywhere" in ended.err
    trained = al_lightning.load(only_run(tmp_path / "cwd"))
    data = folder(str(tmp_path / "data"), SIZE, channels, 0.2, 0)
    files = [tmp_path / "data" / path for path in data.test.ids]
    labels = [trained.classes.index(file.parent.name) for file in files]
    for images in (
        [trained.transform(file) for file in files],
        [trained.transform(str(file)) for file in files],
        [trained.transform(file.read_bytes()) for file in files],
        [trained.transform(Image.open(file)) for file in files],
        [trained.transform(Image.open(BytesIO(file.read_bytes()))) for file in files],
    ):
        assert torch.equal(torch.stack(images), data.test.images)
        assert accuracy(trained, images, labels) == measured(only_run(tmp_path / "cwd"))


def test_an_image_that_was_changed_is_taken_as_it_is(command: Command, tmp_path: Path) -> None:
    make_root(tmp_path / "data", (sideways, twelve_bits))
    settings = (f"dataset.root={tmp_path / 'data'}", f"dataset.image_size={SIZE}", "al.initial_size=8")
    assert command("dataset=folder", *settings, "al.rounds=0", "dataset.channels=1").code == 0
    trained = al_lightning.load(only_run(tmp_path / "cwd"))
    turned, deep = sorted((tmp_path / "data/train/top").iterdir())[:2]
    for file in (turned, deep):
        with Image.open(file) as image:
            fresh = trained.transform(image)
            assert torch.equal(trained.transform(image), fresh)  # it has not been read, and can be
            image.load()
            assert torch.equal(trained.transform(image), fresh)
            before = image.tobytes()
            image.paste(0, (0, 0, image.width, image.height))
            assert trained.transform(image).max() == 0
            assert image.tobytes() != before
    with Image.open(turned) as image:
        upright = ImageOps.exif_transpose(image)
        assert torch.equal(trained.transform(upright), trained.transform(turned))
        raw = image.convert("RGB")
        raw.info.pop("exif")
        assert not torch.equal(trained.transform(raw), trained.transform(turned))
    with Image.open(deep) as image:
        assert torch.equal(trained.transform(Image.fromarray(np.asarray(image))), trained.transform(deep))


def test_images_of_other_data_sets_pass_through_unchanged(command: Command, tmp_path: Path) -> None:
    assert command("al.rounds=0").code == 0
    trained, data = al_lightning.load(only_run(tmp_path / "cwd")), digits()
    images = [trained.transform(Image.fromarray(image[0].numpy())) for image in data.test.images]
    assert torch.equal(torch.stack(images), data.test.images)
    assert accuracy(trained, images, data.test.labels.tolist()) == measured(only_run(tmp_path / "cwd"))


def test_mnist_has_the_accuracy_of_the_run(command: Command, tmp_path: Path, real: Path) -> None:
    settings = (f"paths.data={real}", "dataset=mnist", "dataset.download=false", "al.rounds=0")
    assert command(*settings).code == 0
    trained = al_lightning.load(only_run(tmp_path / "cwd"))
    data = torchvision_set("mnist", str(real), False)
    images = [trained.transform(Image.fromarray(image[0].numpy())) for image in data.test.images]
    assert torch.equal(torch.stack(images), data.test.images)
    assert accuracy(trained, images, data.test.labels.tolist()) == measured(only_run(tmp_path / "cwd"))


def test_what_cannot_be_decoded_is_named(command: Command, tmp_path: Path) -> None:
    assert command("al.rounds=0").code == 0
    trained = al_lightning.load(only_run(tmp_path / "cwd"))
    (tmp_path / "bad.png").write_text("hello", encoding="utf-8")
    for source, message in {
        tmp_path / "bad.png": "bad.png: not an image that can be read",
        tmp_path / "nowhere.png": "nowhere.png: No such file",
        b"": "the image: the file has 0 bytes",
    }.items():
        with pytest.raises(DataError, match=message):
            trained.transform(source)


def test_a_run_of_before_has_the_scale_of_before(command: Command, tmp_path: Path) -> None:
    """All 16 bits, as it was when a run did not say."""
    assert command("al.rounds=0").code == 0
    run = only_run(tmp_path / "cwd")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary.pop("levels") is None
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    deep = Image.fromarray(np.full((8, 8), 100 * 257, np.uint16))
    assert al_lightning.load(run).transform(deep).unique().tolist() == [100]


@pytest.mark.parametrize("model", ["cnn", "resnet18", "gal2017"])
def test_the_model_can_be_exported(model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    fast = [f"{key}={value}" for key, value in FAST.items() if key not in ("model", "model.width", "al.rounds")]
    assert run_here(*fast, f"model={model}", "al.rounds=0") == 0
    trained = al_lightning.load(only_run(tmp_path))
    example, others = (digits().test.images[rows] for rows in (slice(2), slice(5, 20)))
    expected = trained.model(others).detach()
    batch = ({0: torch.export.Dim("batch")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace calls itself deprecated
        traced = torch.jit.trace(trained.model, example)
    assert isinstance(traced, torch.nn.Module)
    exported = torch.export.export(trained.model, (example,), dynamic_shapes=batch).module()
    program = torch.onnx.export(trained.model, (example,), dynamo=True, dynamic_shapes=batch, verbose=False)
    assert program is not None
    program.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (name,) = [each.name for each in session.get_inputs()]
    (in_onnx,) = session.run(None, {name: others.numpy()})
    torch.testing.assert_close(traced(others).detach(), expected)
    torch.testing.assert_close(exported(others).detach(), expected)
    torch.testing.assert_close(torch.from_numpy(in_onnx), expected, rtol=1e-4, atol=1e-4)
