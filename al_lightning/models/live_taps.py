"""Convolutions without the taps that only ever multiply padding: an exact rewrite, faster on small images.

At 28 pixels the stock ResNet-18 has 1x1 maps in its last layer: of a 3x3 kernel with a padding of 1 the center alone
meets the image, the other eight taps add 0 and get no gradient. They are 7 of its 11 million parameters.
"""

from collections import Counter

import torch
from torch import Tensor, nn

from al_lightning.models.inference import evaluating


def keep_live_taps(network: nn.Module, image: Tensor) -> None:
    """Cut every convolution of a network down to the taps that meet an image of this size, in place.

    Outputs, losses and the live taps are those of the network as it was, over any number of optimizer steps. Its
    `state_dict` stays the standard one, in both directions: dead taps keep the values that they were made or loaded
    with. (Weight decay would pull them toward 0 in the network as it was, which changes nothing that it returns.)
    From now on the network takes images of this size only.

    Args:
        network: any module; its weights have been drawn, because their scale depends on the whole kernel.
        image: `[1, C, H, W]`, one image as the network takes it; the values do not matter.
    """
    uses = Counter(id(parameter) for module in network.modules() for parameter in module._parameters.values())
    for conv, sizes in _input_sizes(network, image).items():
        alone = "weight" in conv._parameters and uses[id(conv.weight)] == 1  # neither shared nor parametrized
        if alone and len(sizes) == 1 and conv.padding_mode == "zeros" and not isinstance(conv.padding, str):
            _cut(conv, conv.padding, sizes.pop())


def _input_sizes(network: nn.Module, image: Tensor) -> dict[nn.Conv2d, set[tuple[int, int]]]:
    """Height and width that every convolution is called with."""
    sizes: dict[nn.Conv2d, set[tuple[int, int]]] = {}

    def note(conv: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        assert isinstance(conv, nn.Conv2d)
        height, width = arguments[0].shape[-2:]
        sizes.setdefault(conv, set()).add((height, width))

    hooks = [module.register_forward_pre_hook(note) for module in network.modules() if type(module) is nn.Conv2d]
    try:
        with evaluating(network):
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return sizes


def _cut(conv: nn.Conv2d, padding: tuple[int, ...], size: tuple[int, int]) -> None:
    geometry = zip(size, conv.kernel_size, conv.stride, padding, conv.dilation, strict=True)
    rows, columns = (_live(*axis) for axis in geometry)
    if (rows, columns) == tuple(slice(0, length) for length in conv.kernel_size):
        return
    conv.register_buffer("whole_weight", conv.weight.detach().clone(), persistent=False)
    conv.taps = (..., rows, columns)  # type: ignore[assignment]
    conv.weight = nn.Parameter(conv.weight.detach()[..., rows, columns].contiguous(), conv.weight.requires_grad)
    conv.padding = tuple(
        pixels - taps.start * dilation
        for pixels, taps, dilation in zip(padding, (rows, columns), conv.dilation, strict=True)
    )
    conv.kernel_size = tuple(conv.weight.shape[2:])
    conv.register_state_dict_post_hook(_as_whole)
    conv.register_load_state_dict_pre_hook(_from_whole)


def _live(size: int, length: int, stride: int, padding: int, dilation: int) -> slice:
    """The taps of a kernel, along one axis, from the first that meets the image to the last; all where none can go."""
    reach = dilation * (length - 1) + 1
    n_outputs = (size + 2 * padding - reach) // stride + 1
    meets = [
        tap for tap in range(length) if any(0 <= o * stride - padding + tap * dilation < size for o in range(n_outputs))
    ]
    first, last = (meets[0], meets[-1]) if meets else (0, length - 1)
    inside, kept = padding - first * dilation, dilation * (last - first) + 1
    # What is left is padded by as much on both sides, or not at all: some other kernels cannot be cut.
    alike = inside >= 0 and (size + 2 * inside - kept) // stride + 1 == n_outputs
    return slice(first, last + 1) if alike else slice(0, length)


def _as_whole(conv: nn.Conv2d, state: dict[str, Tensor], prefix: str, metadata: object) -> None:
    whole = conv.whole_weight.clone()  # type: ignore[operator]
    whole[conv.taps] = state[f"{prefix}weight"]  # type: ignore[index]
    state[f"{prefix}weight"] = whole


def _from_whole(conv: nn.Conv2d, state: dict[str, Tensor], prefix: str, *unused: object) -> None:
    whole = state.get(f"{prefix}weight")
    if whole is not None and whole.shape == conv.whole_weight.shape:  # type: ignore[union-attr]
        with torch.no_grad():
            conv.whole_weight.copy_(whole)  # type: ignore[operator]
        state[f"{prefix}weight"] = whole[conv.taps]  # type: ignore[index]
