"""Networks for scoring: nothing is trained, so that more can be computed beforehand."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation without gradients that leaves every mode as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def for_scoring(network: nn.Module, dtype: torch.dtype | None = None) -> Callable[[Tensor], Tensor]:
    """A copy of a network that returns the same up to the last digits, but sooner.

    BatchNorm is folded into the convolution before it, and channels come last in memory.

    Args:
        network: `[B, C, H, W] -> [B, D]`, in evaluation mode.
        dtype: to compute in; None: that of the images.

    Returns:
        From images to outputs, of the type of the images.
    """
    try:
        network = fuse(network)
    except Exception:  # a network that cannot be traced, whatever its forward raises when it is tried, stays as it is
        network = copy.deepcopy(network)
    network = network.to(dtype=dtype, memory_format=torch.channels_last)

    def outputs(images: Tensor) -> Tensor:
        return network(images.to(dtype=dtype, memory_format=torch.channels_last)).to(images.dtype)

    return outputs
