"""What is taken of libraries: networks of torchvision and timm without their last layer, optimizers of PyTorch."""

import re
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from conftest import TINY, Command, run_here
from safetensors.torch import load_file
from test_bad_input import assert_refused
from torch import nn

from al_lightning import load
from al_lightning.errors import ConfigError, DataError
from al_lightning.models import backbones

# A family each, whose last layers have other names: `fc`, a sequence, one layer, `heads.head`, `head`, two answers.
FAMILIES = ["resnet18", "vgg11_bn", "mobilenet_v3_small", "densenet121", "vit_b_32", "swin_t", "googlenet"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_a_network_of_torchvision_gives_its_features(architecture: str, channels: int) -> None:
    side = 224 if architecture == "vit_b_32" else 32
    made = backbones.torchvision(channels, (side, side), architecture=architecture)
    assert made.module.training and made.statistics is None
    features = made.module(torch.randn(2, channels, side, side))
    assert features.shape == (2, made.n_features) and made.n_features != 1000
    assert all(layer.p == 0 for layer in made.module.modules() if isinstance(layer, nn.Dropout))
    features.sum().backward()
    unused = [name for name, weight in made.module.named_parameters() if weight.grad is None]
    assert not [name for name in unused if name.startswith(("aux", "fc", "classifier", "head"))]


def test_pretrained_weights_come_with_their_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import WeightsEnum, mobilenet_v3_small

    torch.manual_seed(0)
    trained = mobilenet_v3_small()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *args, **kwargs: trained.state_dict())
    color = backbones.torchvision(3, (32, 32), architecture="mobilenet_v3_small", pretrained=True)
    gray = backbones.torchvision(1, (32, 32), architecture="mobilenet_v3_small", pretrained=True)
    assert color.statistics == backbones.IMAGENET_STATISTICS
    assert gray.statistics == ([pytest.approx(0.449)], [pytest.approx(0.226)])
    image = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(gray.module.eval()(image), color.module.eval()(image.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("resnet81", "did you mean resnet18?"),
        ("squeezenet1_0", "no linear last layer"),
        ("vit_b_32", "does not take 8 x 8 images"),
        ("fcn_resnet50", "torchvision has no such network"),
    ],
)
def test_a_network_that_cannot_be_had_is_refused(architecture: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"model.architecture={architecture}: .*{re.escape(said)}"):
        backbones.torchvision(1, (8, 8), architecture=architecture)


def test_weights_that_cannot_be_had_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import WeightsEnum

    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", offline)
    with pytest.raises(DataError, match=r"model\.architecture=resnet18: no weights: URLError: .*no network"):
        backbones.torchvision(3, (32, 32), architecture="resnet18", pretrained=True)


def test_a_run_trains_a_network_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import WeightsEnum, shufflenet_v2_x0_5

    trained = shufflenet_v2_x0_5()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *args, **kwargs: trained.state_dict())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # main() sets it, and this sets it back
    short = ("train.min_steps=2", "train.max_cycles=1", "trainer.max_epochs=1", "al.rounds=1", "logger=none")
    network = ("model=torchvision", "model.architecture=shufflenet_v2_x0_5", "model.pretrained=true")
    assert run_here(*network, *short) == 0
    monkeypatch.undo()  # the model of a run needs no other weights
    monkeypatch.setattr(WeightsEnum, "get_state_dict", None)
    (folder,) = tmp_path.glob("multirun_outputs/default/digits-torchvision-margin-s0-*")
    assert load(folder).model(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).shape == (1, 10)


def test_timm_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"pip install 'al-lightning\[timm\]'"):
        backbones.timm(1, (32, 32), architecture="resnet18")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", ["resnet18", "mobilenetv3_small_100", "convnext_atto"])
def test_a_network_of_timm_gives_its_features(architecture: str, channels: int) -> None:
    pytest.importorskip("timm")
    made = backbones.timm(channels, (32, 32), architecture=architecture)
    assert made.module(torch.randn(2, channels, 32, 32)).shape == (2, made.n_features)
    with pytest.raises(ConfigError, match="near it: resnet"):
        backbones.timm(channels, (32, 32), architecture="resnet1888")


def test_weights_of_a_file_are_fine_tuned_and_the_first_stages_stay(weights: Path) -> None:
    def made(channels: int, **others: Any) -> nn.Module:
        return backbones.timm(channels, (32, 32), architecture=TINY, weights=str(weights), **others).module

    trained, image = load_file(weights), torch.rand(4, 1, 32, 32)
    with torch.no_grad():  # gray is color with three equal channels
        torch.testing.assert_close(made(1).eval()(image), made(3).eval()(image.expand(-1, 3, -1, -1)))
    network = made(3, freeze=3)
    moved = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert {name.split(".")[1] for name in moved if name.startswith("blocks")} == {"2", "3", "4"}
    assert not [name for name in moved if name.startswith(("conv_stem", "bn1"))] and "conv_head.weight" in moved
    optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=0.1)
    network.train()(image.expand(-1, 3, -1, -1)).square().sum().backward()
    optimizer.step()
    after = network.state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, trained[name])}
    stays = ("conv_stem", "bn1", "blocks.0", "blocks.1")
    assert not [name for name in changed if name.startswith(stays)]
    assert [name for name in changed if name.endswith("running_mean")] and "conv_head.weight" in changed


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"freeze": 3}, "model.freeze=3: keeps weights that nobody has trained; give some: model.pretrained=true"),
        ({"freeze": 9, "weights": ""}, "model.freeze=9: the network has 6 stages"),
        (
            {"weights": "", "architecture": "resnet18"},
            "is not of timm resnet18: it lacks 96 tensors",
        ),
        (
            {"freeze": 1, "pretrained": True, "architecture": "poolformer_s12"},
            "timm does not say what the stages",
        ),
        ({"weights": "nowhere.safetensors"}, "model.weights=nowhere.safetensors: cannot be read: No such file"),
    ],
)
def test_weights_that_cannot_be_fine_tuned_are_refused(
    others: dict[str, Any], said: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = pytest.importorskip("timm")
    create = timm.create_model  # without a download
    monkeypatch.setattr(timm, "create_model", lambda *a, pretrained, **kw: create(*a, pretrained=False, **kw))
    if "weights" in others:
        others = {**others, "weights": others["weights"] or str(weights)}
    with pytest.raises((ConfigError, DataError), match=re.escape(said)):
        backbones.timm(3, (32, 32), **{"architecture": TINY, **others})


def test_a_run_fine_tunes_and_its_model_needs_no_weights(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # main() sets it, and this sets it back
    given = Path("given.safetensors")
    given.write_bytes(weights.read_bytes())
    network = ("model=timm", f"model.architecture={TINY}", f"model.weights={given}", "model.freeze=6")
    short = ("train.min_steps=2", "train.max_cycles=1", "trainer.max_epochs=1", "al.rounds=1", "logger=none")
    assert run_here(*network, *short) == 0
    given.write_bytes(weights.read_bytes() + b"\n")
    monkeypatch.setattr("al_lightning.models.backbones.libraries.fill", lambda *_: None)
    assert run_here(*network, *short[:-2], "al.rounds=2", "logger=none") == 1
    assert "its models began with other weights than are in model.weights now" in capsys.readouterr().err
    given.unlink()
    (folder,) = tmp_path.glob("multirun_outputs/default/digits-timm-margin-s0-*")
    assert load(folder).model(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 10)
    trained, kept = load_file(weights), load_file(folder / "rounds" / "001" / "model.safetensors")
    for name in ("conv_head.weight", "bn2.running_mean"):
        assert torch.equal(kept[f"backbone.{name}"], trained[name])


@pytest.mark.parametrize("name", ["Adagrad", "NAdam", "RMSprop"])
def test_a_run_takes_an_optimizer_of_pytorch(name: str, command: Command) -> None:
    done = command("~optimizer.fused", f"optimizer._target_=torch.optim.{name}", "al.rounds=0")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SparseAdam", "not sparse"),
        ("Muon", "2D"),
        ("LBFGS", "channels-last"),
        ("Muun", "did you mean Muon?"),
        ("Optimizer", "not a target"),
        ("lr_scheduler.StepLR", "not a target"),
    ],
)
def test_an_optimizer_that_cannot_train_is_refused(name: str, said: str, command: Command) -> None:
    arguments = ("~optimizer.fused", "~optimizer.weight_decay", f"optimizer._target_=torch.optim.{name}")
    assert_refused(command(*arguments), said)
