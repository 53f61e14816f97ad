"""Networks for scoring: nothing is trained, so that more can be computed beforehand."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation without gradients that leaves every mode as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def folded(network: nn.Module) -> nn.Module:
    """A network with BatchNorm folded into copies of the convolutions before it, for evaluation only."""
    # A network that cannot be traced, whatever its forward raises when it is tried, stays as it is.
    with suppress(Exception):
        return fuse(network, inplace=True)  # that is a new one, but it shares what is not folded
    return network


def for_scoring(network: nn.Module, dtype: torch.dtype | None = None) -> Callable[[Tensor], Tensor]:
    """A network as a function that returns the same up to the last digits, but sooner; until the network is trained on.

    BatchNorm is folded into copies of the convolutions before it; channels come last in memory.

    Args:
        network: `[B, C, H, W] -> [B, D]`, in evaluation mode.
        dtype: to compute in; None: that of the images.

    Returns:
        From images to outputs, of the type of the images.
    """
    network = folded(network)
    if dtype is not None:
        network = copy.deepcopy(network).to(dtype)

    def outputs(images: Tensor) -> Tensor:
        return network(images.to(dtype=dtype, memory_format=torch.channels_last)).to(images.dtype)

    return outputs
