"""Augmentation of training batches, on the device, drawn for each image on its own."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def augment(
    images: Tensor, crop: int, flip: bool, generator: torch.Generator, part: tuple[int, int] | None = None
) -> Tensor:
    """Shift by a random crop out of the zero-padded image, and mirror left-right with probability one half.

    Args:
        images: `[B, C, H, W]`, any type.
        crop: pixels of padding on each side; shifts are uniform in [-crop, crop]. 0 = no shift.
        flip: whether to mirror.
        generator: on the device of the images.
        part: where in a batch they begin, and its size: what is drawn is drawn for all of it. None: they are all of it.

    Returns:
        A tensor of the same shape and type.
    """
    n, _, height, width = images.shape
    begin, whole = part or (0, n)

    def draw(high: int) -> Tensor:
        return torch.randint(high, (whole, 1), generator=generator, device=images.device)[begin : begin + n]

    rows = torch.arange(height, device=images.device).expand(n, height)
    columns = torch.arange(width, device=images.device).expand(n, width)
    if crop:
        images = pad(images, (crop, crop, crop, crop))
        rows, columns = rows + draw(2 * crop + 1), columns + draw(2 * crop + 1)
    if flip:
        columns = torch.where(draw(2).bool(), columns.flip(1), columns)
    image = torch.arange(n, device=images.device)
    return images[image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
