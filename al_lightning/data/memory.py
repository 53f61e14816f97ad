"""The memory of the device: what fits into it lies there, the rest streams from the host."""

import torch
from torch import Tensor

CPU_BYTES, CPU_IMAGES = 2**32, 256  # more images a step are no faster on a CPU, and a signal would wait for them
GPU_IMAGES = 8192
BYTES_PER_PIXEL = 1024  # of an image, while a ResNet without pooling in its stem looks at it: three maps of 64 channels


def fits(images: Tensor, device: torch.device) -> bool:
    """Whether images may lie on the device for good: they take up to half of what is free there."""
    return device.type != "cuda" or 2 * images.nbytes <= torch.cuda.mem_get_info(device)[0]


def largest_batch(image_size: tuple[int, int], device: torch.device) -> int:
    """Images a step without gradients: as many as fit and still make it faster.

    Args:
        image_size: height and width.
        device: where the step runs; a quarter of what is free on a GPU may be taken.
    """
    on_gpu = device.type == "cuda"
    memory, most = (torch.cuda.mem_get_info(device)[0] // 4, GPU_IMAGES) if on_gpu else (CPU_BYTES, CPU_IMAGES)
    return max(1, min(most, memory // (BYTES_PER_PIXEL * image_size[0] * image_size[1])))


def take(images: Tensor, indices: Tensor) -> Tensor:
    """`images[indices]` on the device of the indices, wherever the images are.

    From the host they are copied while the device still computes on the batch before.
    """
    if images.device == indices.device:
        return images[indices]
    batch = images[indices.to(images.device)]
    return (batch.pin_memory() if indices.is_cuda else batch).to(indices.device, non_blocking=True)
