"""A network cut to its live taps against the same network whole, in double precision."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer
from torchvision.models import resnet18
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from al_lightning.models.backbones import resnet18 as our_resnet18
from al_lightning.models.live_taps import keep_live_taps

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": lambda parameters: Adam(parameters, lr=1e-4, weight_decay=0.01, fused=True),
    "sgd": lambda parameters: SGD(parameters, lr=0.001, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
}


def pair(network: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """The network whole and cut, in double precision."""
    whole = network.double()
    cut = copy.deepcopy(whole)
    keep_live_taps(cut, torch.zeros(1, *shape, dtype=torch.float64))
    return whole, cut


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "shape", "optimizer", "kept"),
    [
        (lambda: our_resnet18(1, (28, 28), stem="imagenet").module, (1, 28, 28), "adam", 4_225_000),
        (lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10), (3, 64, 20), "sgd", None),
        (lambda: ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10), (3, 16, 16), "sgd", None),
    ],
    ids=["mnist", "oblong", "bottleneck"],
)
def test_steps_of_a_cut_network_are_those_of_the_whole_one(make, shape, optimizer, kept) -> None:
    torch.manual_seed(0)
    whole, cut = pair(make(), shape)
    assert n_parameters(cut) < n_parameters(whole)
    assert kept is None or n_parameters(cut) == pytest.approx(kept, rel=0.01)
    n = 8
    ends = [OPTIMIZERS[optimizer](network.parameters()) for network in (whole, cut)]
    for _ in range(8):
        images, labels = torch.randn(n, *shape, dtype=torch.float64), torch.arange(n)
        losses = []
        for network, end in zip((whole, cut), ends, strict=True):
            end.zero_grad()
            losses.append(cross_entropy(network(images), labels))
            losses[-1].backward()
            end.step()
        close(*losses)
    for network in (whole, cut):
        network.eval()
    images = torch.randn(n, *shape, dtype=torch.float64)
    close(whole(images), cut(images))
    state, live = whole.state_dict(), cut.state_dict()
    assert {key: value.shape for key, value in live.items()} == {key: value.shape for key, value in state.items()}
    own = dict(cut.named_parameters())
    for key, value in state.items():
        conv = cut.get_submodule(key.rpartition(".")[0])
        close(own[key] if key in own else live[key], value[conv.taps] if hasattr(conv, "taps") else value)


def test_without_weight_decay_the_state_is_that_of_the_whole_network_dead_taps_too() -> None:
    torch.manual_seed(0)
    whole, cut = pair(resnet18(num_classes=3), (3, 20, 20))
    for network in (whole, cut):
        end = Adam(network.parameters())
        torch.manual_seed(1)
        for _ in range(2):
            end.zero_grad()
            network(torch.randn(4, 3, 20, 20, dtype=torch.float64)).logsumexp(1).sum().backward()
            end.step()
    state = cut.state_dict()
    for key, value in whole.state_dict().items():
        close(state[key], value)
    other = resnet18(num_classes=3).double()
    other.load_state_dict(state)  # a standard network takes the state
    fresh = pair(resnet18(num_classes=3), (3, 20, 20))[1]
    fresh.load_state_dict(other.state_dict())  # and a cut one takes the standard state
    assert all(torch.equal(fresh.state_dict()[key], value) for key, value in state.items())


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.integers(1, 3),
    padding=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
)
def test_any_convolution_returns_and_learns_the_same(size, kernel, stride, padding, dilation, groups) -> None:
    reach = [dilation * (length - 1) + 1 for length in kernel]
    if any(side + 2 * pad < most for side, pad, most in zip(size, padding, reach, strict=True)):
        return  # it takes no image of this size
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups)
    whole, cut = pair(nn.Sequential(conv), (2, *size))
    images = torch.randn(3, 2, *size, dtype=torch.float64)
    outputs = [network(images) for network in (whole, cut)]
    close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    gradient, gradient_cut = (network.get_parameter("0.weight").grad for network in (whole, cut))
    taps = getattr(cut.get_submodule("0"), "taps", ...)
    assert gradient is not None and gradient_cut is not None
    close(gradient[taps], gradient_cut)
    dead = torch.ones_like(gradient, dtype=torch.bool)
    dead[taps] = False
    assert (gradient[dead] == 0).all(), "what was cut off got no gradient"


def test_what_cannot_be_cut_safely_stays_whole() -> None:
    twice = nn.Conv2d(1, 1, 3, padding=1)
    shared = [nn.Conv2d(1, 1, 3, padding=1) for _ in range(2)]
    shared[1].weight = shared[0].weight
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 3, padding=1))
    mirrored = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate")
    worded = nn.Conv2d(1, 1, 3, padding="same")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([twice, *shared, normed, mirrored, worded])

        def forward(self, images: Tensor) -> Tensor:
            images = nn.functional.max_pool2d(self.parts[0](images), 2)
            for part in self.parts:
                images = part(images)
            return images

    torch.manual_seed(0)
    whole, cut = pair(Net(), (1, 2, 2))
    assert n_parameters(whole) == n_parameters(cut)
    images = torch.randn(2, 1, 2, 2, dtype=torch.float64)
    assert torch.equal(whole(images), cut(images))


def test_modes_statistics_and_the_random_stream_are_left_alone() -> None:
    torch.manual_seed(0)
    network = resnet18(num_classes=2)
    network.bn1.eval()
    before, stream = copy.deepcopy(network), torch.get_rng_state()
    keep_live_taps(network, torch.zeros(1, 3, 28, 28))
    assert torch.equal(torch.get_rng_state(), stream)
    assert [m.training for m in network.modules()] == [m.training for m in before.modules()]
    state = before.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
