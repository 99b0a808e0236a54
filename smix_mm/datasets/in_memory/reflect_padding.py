"""The crop of the fast CIFAR path with mirrored images around, instead of black."""

from __future__ import annotations

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from .preprocessor import InMemoryClsDataPreprocessor


def reflect_pad(images: Tensor, padding: int) -> Tensor:
    """Continue images mirrored, their outermost pixels not repeated; torch does so for floats alone.

    Args:
        images: (N, C, H, W), any dtype; H and W greater than ``padding``.
        padding: pixels on each side, 0 or more.

    Returns:
        (N, C, H + 2 * padding, W + 2 * padding), new.

    Raises:
        ValueError: ``padding`` is as large as a side.
    """
    if padding >= min(images.shape[2:]):
        raise ValueError(f"padding is {padding} for images of {tuple(images.shape[2:])}; wanted less than a side")
    for axis in (2, 3):
        last = images.shape[axis] - 1
        places = torch.arange(-padding, last + 1 + padding, device=images.device).abs()
        images = images.index_select(axis, last - (last - places).abs())
    return images


@MODELS.register_module()
class ReflectClsDataPreprocessor(InMemoryClsDataPreprocessor):
    """:class:`InMemoryClsDataPreprocessor` with mirrored pixels in the padding, where that has black ones.

    After a crop padded with black, the edge of the black is often what is most salient. Here there is
    no such edge. The same seed gives the same crops and flips; arguments, results and errors are the
    same.
    """

    def crop(self, images: Tensor, crops: Tensor) -> Tensor:
        # The crop of the wider image is padded with black as well; its middle has none of that.
        wide = super().crop(reflect_pad(images, self.padding), crops)
        height, width = images.shape[2:]
        return wide[:, :, self.padding : self.padding + height, self.padding : self.padding + width]
