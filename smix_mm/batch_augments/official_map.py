"""The saliency map that the code released with the paper gets, and the peak that it takes from it."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import torch
from torch import Tensor

from ..saliency.base import check_uint8_images
from ..saliency.opencv import create_opencv_detector

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


def normalise(images: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Tensor:
    """``(images - mean) / std`` a channel, as a data preprocessor does.

    Args:
        images: uint8 RGB (N, 3, H, W).
        mean: three numbers on the scale of 0 to 255. Defaults to ImageNet's.
        std: three positive numbers on the same scale. Defaults to ImageNet's.

    Returns:
        float32 (N, 3, H, W).

    Raises:
        TypeError, ValueError: ``images`` are none, or a ``std`` is not positive.
    """
    check_uint8_images(images, "images")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean is {list(mean)} and std {list(std)}; wanted three numbers each, those of std positive")
    shape = (1, 3, 1, 1)
    return (images.float() - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def released_code_maps(images: Tensor) -> Tensor:
    """What OpenCV's fine-grained detector answers when it is handed normalised floats instead of bytes.

    The released code does that. The detector makes a grey image of it, of floats again, and then
    reads that buffer as if it held bytes: the map shows bit patterns of floats, not saliency.

    Args:
        images: normalised floats (N, 3, H, W), in any channel order: what the network is given.

    Returns:
        float32 (N, H, W) in [0, 1], on the CPU, in the 256 steps that the released code keeps.

    Raises:
        ImportError: OpenCV's contrib build is missing.
        TypeError, ValueError: ``images`` are no such tensor.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        given = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images is {given}; wanted a floating tensor (N, 3, H, W), normalised")
    if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 3:
        raise ValueError(f"images has shape {tuple(images.shape)}; wanted (N, 3, H, W) with H and W at least 3")
    detector = create_opencv_detector("fine_grained")
    maps = np.zeros((len(images), *images.shape[2:]), np.uint8)
    for index, image in enumerate(images.detach().float().cpu().numpy()):
        found, saliency_map = detector.computeSaliency(np.ascontiguousarray(image.transpose(1, 2, 0)))
        if not found:
            raise RuntimeError(f"OpenCV found no saliency in an image of shape {image.shape}")
        maps[index] = (saliency_map * 255).astype(np.uint8)
    return torch.from_numpy(maps).float() / 255


def first_peaks(maps: Tensor) -> Tensor:
    """int64 (N, 2): (y, x) of the first maximum in row order of each map (N, H, W), as ``argmax`` takes it."""
    flat = maps.flatten(1).numpy()
    index = torch.from_numpy(flat.argmax(1))
    return torch.stack((index // maps.shape[2], index % maps.shape[2]), 1)
