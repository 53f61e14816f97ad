"""Backbones, heads, fresh weights, schedules, and the pretrained weights (never from the network)."""

import math
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from torchvision.models import ResNet18_Weights
from torchvision.models import resnet18 as torchvision_resnet18

from al_lightning import build
from al_lightning.config import schema
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.errors import ConfigError, DataError
from al_lightning.models.backbones import cnn, gal2017, resnet18
from al_lightning.trainer import make_trainer

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:`isinstance.treespec")
SIZES = [8, 28, 32, 33]
N = 30


def settings_of(*overrides: str) -> build.Settings:
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", ["model=cnn", "model.width=2", "trainer=cpu", *overrides]))


def make_data(channels: int = 1, size: int = 8) -> ImageData:
    images = torch.randint(
        256, (N, channels, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    part = ImageSet(images, torch.arange(N) % 3, [str(i) for i in range(N)])
    return ImageData(part, part, tuple("abc"))


# --- shapes and stems -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stem", ["auto", "imagenet", "small"])
def test_resnet18_turns_images_into_512_features(channels: int, size: int, stem) -> None:
    backbone = resnet18(channels, (size, size), stem=stem)
    assert backbone.n_features == 512
    with torch.inference_mode():
        assert backbone.module.eval()(torch.rand(2, channels, size, size)).shape == (2, 512)
    assert backbone.statistics is None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [1, 2])
def test_cnn_turns_images_into_four_times_width_features(channels: int, size: int, width: int) -> None:
    backbone = cnn(channels, (size, size), width=width)
    assert backbone.n_features == 4 * width
    assert backbone.module.eval()(torch.rand(2, channels, size, size)).shape == (2, 4 * width)


@pytest.mark.parametrize(("channels", "size", "features"), [(1, 28, 3872), (3, 32, 5408), (1, 8, 32)])
def test_gal2017_is_the_network_of_its_paper(channels: int, size: int, features: int) -> None:
    backbone = gal2017(channels, (size, size))
    assert backbone.n_features == features
    assert backbone.module(torch.rand(2, channels, size, size)).shape == (2, features)
    model = build.make_classifier(settings_of("model=gal2017", "model.width=32"), make_data(channels, size), 0, 20)
    assert [(p, layer.in_features, layer.out_features) for p, layer in model.dropped] == [
        (0.25, features, 128),
        (0.5, 128, len(make_data(channels, size).classes)),
    ]
    with pytest.raises(ConfigError, match="at least 8 x 8"):
        gal2017(1, (7, 28))


@pytest.mark.parametrize(
    ("channels", "size", "is_small"),
    [
        (1, (16, 16), True),
        (1, (17, 17), False),
        (1, (8, 28), False),
        (3, (16, 16), True),
        (3, (40, 40), True),
        (3, (32, 41), False),
    ],
)
def test_auto_takes_the_small_stem_where_the_original_leaves_nothing_to_see(channels, size, is_small) -> None:
    conv = resnet18(channels, size).module.conv1
    assert isinstance(conv, nn.Conv2d)
    assert (conv.kernel_size == (3, 3)) == is_small


def test_small_stem_has_a_3x3_convolution_and_pools_nothing() -> None:
    network = resnet18(1, (28, 28), stem="small").module
    conv = network.conv1
    assert isinstance(conv, nn.Conv2d)
    assert (conv.in_channels, conv.kernel_size, conv.stride, conv.padding) == (1, (3, 3), (1, 1), (1, 1))
    assert not any(isinstance(module, nn.MaxPool2d) for module in network.modules())
    before_layers = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)  # type: ignore[arg-type]
    assert before_layers(torch.rand(1, 1, 28, 28)).shape == (1, 64, 28, 28)


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenet_stem_is_torchvision_s(channels: int) -> None:
    network = resnet18(channels, (28, 28), stem="imagenet").module
    reference = torchvision_resnet18()
    shapes, expected = ({k: tuple(v.shape) for k, v in net.state_dict().items()} for net in (network, reference))
    del expected["fc.weight"], expected["fc.bias"]
    assert shapes == expected | {"conv1.weight": (64, channels, 7, 7)}
    scale = network.conv1.weight.std().item()  # type: ignore[union-attr]
    assert scale == pytest.approx(math.sqrt(2 / (64 * 7 * 7)), rel=0.1), "fan-out, as He et al. initialize"


# --- the classifier -------------------------------------------------------------------------------------------------


def weights(data: ImageData, round_: int = 0, *overrides: str) -> dict[str, torch.Tensor]:
    return build.make_classifier(settings_of(*overrides), data, round_, 20).state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_weights_are_the_same_for_every_strategy_and_new_in_every_round() -> None:
    data = make_data()
    reference = weights(data)
    torch.manual_seed(5)  # whatever was drawn before
    before = torch.get_rng_state()
    for name in sorted(file.stem for file in (schema.conf_dir() / "strategy").glob("*.yaml")):
        assert same(reference, weights(data, 0, f"strategy={name}"))
    others = [weights(data, 1), weights(data, 2), weights(data, 0, "seed=1")]
    assert torch.equal(torch.get_rng_state(), before), "making a model leaves the global stream alone"
    matrices = [key for key in reference if reference[key].ndim > 1 and key not in ("mean", "deviation")]
    for i, other in enumerate(others):
        for rival in [reference, *others[:i]]:
            assert not any(torch.equal(rival[key], other[key]) for key in matrices)


@pytest.mark.parametrize("channels", [1, 3])
def test_head_of_features_is_the_forward_pass_of_normalized_images(channels: int) -> None:
    data = make_data(channels)
    model = build.make_classifier(settings_of(), data, 0, 20).eval()
    images = data.pool.images
    logits = model(images)
    assert torch.equal(model.logits(model.backbone(model.normalized(images))), logits)
    mean, deviation = (torch.tensor(values).view(1, -1, 1, 1) for values in data.statistics)
    by_hand = model.head(model.backbone((images / 255 - mean) / deviation))
    torch.testing.assert_close(logits, by_hand, rtol=1e-4, atol=1e-5)


class RateRecorder(pl.Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_start(self, trainer, pl_module) -> None:
        trainer.optimizers[0].register_step_pre_hook(self.note)

    def note(self, optimizer, *unused) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        ("constant", lambda t: 1.0),
        ("linear", lambda t: 1 - t),
        ("cosine", lambda t: (1 + math.cos(math.pi * t)) / 2),
    ],
)
@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("n_labeled", [16, 17, 25])  # batches of 8, 8; of 8, 9; of 8, 8, 9
def test_schedule_runs_over_exactly_one_fit(
    schedule: str, formula: Callable[[float], float], engine: str, n_labeled: int
) -> None:
    settings = settings_of(
        f"train.schedule={schedule}",
        f"train.engine={engine}",
        "batch_size=8",
        "trainer.max_epochs=2",
        "train.min_steps=7",
        "optimizer.lr=0.1",
    )
    data, recorder = make_data(), RateRecorder()
    pool = PoolDataModule(data, 8, 64, seed=0, whole_epochs=engine != "plain")
    pool.label(torch.arange(n_labeled), data.pool.labels[:n_labeled], since=0)
    epochs, steps = build.fit_length(settings, n_labeled)
    trainer = make_trainer(settings, epochs, [recorder])
    trainer.fit(build.make_classifier(settings, data, 0, n_labeled), datamodule=pool)
    assert steps >= 7
    assert recorder.rates == pytest.approx([0.1 * formula(step / steps) for step in range(steps)], abs=1e-12)
    assert recorder.rates[0] == 0.1


# --- pretrained weights ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(url: str, *args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


def serve(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A download that brings a network of our own."""
    network = torchvision_resnet18()
    nn.init.uniform_(network.bn1.weight, 0.5, 1.5)  # type: ignore[arg-type]

    state = network.state_dict()

    def download(url: str, file: str, *args: object, **kwargs: object) -> None:
        torch.save(state, file)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    network.fc = nn.Identity()  # type: ignore[assignment]
    return network.eval()


@pytest.mark.parametrize("size", [8, 33])
def test_pretrained_color_is_the_downloaded_network(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = serve(monkeypatch)
    backbone = resnet18(3, (size, size), pretrained=True)
    images = torch.rand(2, 3, size, size)
    assert torch.equal(backbone.module.eval()(images), network(images))
    assert backbone.statistics is not None and [len(part) for part in backbone.statistics] == [3, 3]


def test_pretrained_gray_sees_the_image_in_all_three_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    network = serve(monkeypatch)
    backbone = resnet18(1, (33, 33), pretrained=True)
    image = torch.rand(2, 1, 33, 33)
    expected = network(image.expand(-1, 3, -1, -1))
    assert expected.std() > 0.1, "features that are all nearly 0 show nothing"
    torch.testing.assert_close(backbone.module.eval()(image), expected, rtol=1e-4, atol=1e-5)
    assert backbone.statistics == ([pytest.approx(0.449)], [pytest.approx(0.226)])


def test_without_a_network_the_error_names_the_file_that_is_then_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DataError, match=r"model\.pretrained=true.*no network.*https://download\.pytorch\.org/"
    ) as refused:
        resnet18(3, (32, 32), pretrained=True)
    file = Path(str(refused.value).rsplit(": ", 1)[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    reference = torchvision_resnet18()
    torch.save(reference.state_dict(), file)
    read = resnet18(3, (32, 32), pretrained=True).module.state_dict()
    assert torch.equal(read["conv1.weight"], reference.conv1.weight)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused(legacy: bool, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints" / ResNet18_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[1]
    file.parent.mkdir()
    torch.save({"conv1.weight": Bomb(tmp_path / "ran")}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DataError, match=r"model\.pretrained=true: no weights"):
        resnet18(3, (32, 32), pretrained=True)
    assert not (tmp_path / "ran").exists()


def test_pretrained_weights_refuse_the_small_stem() -> None:
    with pytest.raises(ConfigError, match=r"model\.stem=small"):
        resnet18(3, (32, 32), stem="small", pretrained=True)
