"""The crop of the fast CIFAR path with mirrored pictures around instead of black."""

from __future__ import annotations

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from .device_augment import InMemoryClsDataPreprocessor, crop_and_flip


def reflect_pad(pictures: Tensor, padding: int) -> Tensor:
    """Mirror pictures outwards, the border itself not repeated; torch does so for floats alone.

    Args:
        pictures: (N, C, H, W), any dtype; H and W greater than ``padding``.
        padding: pixels on each side.

    Returns:
        (N, C, H + 2 * padding, W + 2 * padding), new.
    """
    for axis in (2, 3):
        side = pictures.shape[axis]
        places = torch.arange(-padding, side + padding, device=pictures.device).abs()
        pictures = pictures.index_select(axis, side - 1 - (side - 1 - places).abs())
    return pictures


@MODELS.register_module()
class ReflectClsDataPreprocessor(InMemoryClsDataPreprocessor):
    """:class:`InMemoryClsDataPreprocessor` with mirrored pixels in the padding, where that has zeros.

    After a crop that was padded with black, the border of the black is often what is most salient.
    Here there is no such border. The crops and flips drawn are the same.

    Args, results and errors as there.
    """

    def _augment(self, pictures: Tensor) -> Tensor:
        side, padding = pictures.shape[-1], self.padding
        self.padding, padded = 0, reflect_pad(pictures, padding)
        raise NotImplementedError(side, padded, crop_and_flip)
