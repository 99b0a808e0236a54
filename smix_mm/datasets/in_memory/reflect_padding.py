"""Crops of the fast CIFAR path with reflected instead of black padding."""

from __future__ import annotations

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from .preprocessor import InMemoryClsDataPreprocessor


def reflect_pad(images: Tensor, padding: int) -> Tensor:
    """Pad images by reflection without repeating the edge; torch's ``F.pad`` supports this for floats only.

    Args:
        images: (N, C, H, W), any dtype; H and W greater than ``padding``.
        padding: pixels on each side, 0 or more.

    Returns:
        (N, C, H + 2 * padding, W + 2 * padding), same dtype.

    Raises:
        ValueError: ``padding`` is not less than H and W.
    """
    if padding >= min(images.shape[2:]):
        raise ValueError(f"padding should be less than the image size {tuple(images.shape[2:])}, got {padding}.")
    for axis in (2, 3):
        last = images.shape[axis] - 1
        places = torch.arange(-padding, last + 1 + padding, device=images.device).abs()
        images = images.index_select(axis, last - (last - places).abs())
    return images


@MODELS.register_module()
class ReflectClsDataPreprocessor(InMemoryClsDataPreprocessor):
    """:class:`InMemoryClsDataPreprocessor` with reflected instead of black padding.

    In a crop with black padding, the edge of the padding is often the most salient place. Reflected padding has
    no such edge. The same seed gives the same crops and flips; arguments, results and errors are the same.
    """

    def crop(self, images: Tensor, crops: Tensor, value: float = 0) -> Tensor:
        # super().crop pads the reflected image with `value`; the middle of the result contains none of it.
        wide = super().crop(reflect_pad(images, self.padding), crops, value)
        height, width = images.shape[2:]
        return wide[:, :, self.padding : self.padding + height, self.padding : self.padding + width]
