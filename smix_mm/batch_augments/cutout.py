"""Cutout as its paper describes it."""

from __future__ import annotations

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing.patch import box_mask
from .base import BatchAugment


@BATCH_AUGMENTS.register_module()
class Cutout(BatchAugment):
    """Cut a square hole into every image and fill it with the data set's mean.

    The hole's centre is uniform over the image, so the hole may cross a border, where it is cut off.
    Labels are unchanged. `Improved Regularization of Convolutional Neural Networks with Cutout
    <https://arxiv.org/abs/1708.04552>`_ (DeVries and Taylor 2017), section 3.2.

    It works on the normalized batch, where the mean is exactly zero. (mmpretrain's transform of the same
    name is another method: it acts on every other image, fills with 128, and shifts or shrinks a hole at
    the border.)

    Args:
        length: side of the hole in pixels, positive. The paper's: 16 for CIFAR-10, 8 for CIFAR-100.

    Raises:
        ValueError: ``length`` is not a positive integer.

    .. note::
        The centres are drawn from the augmentation's own CPU generator, see :class:`BatchAugment`.
    """

    def __init__(self, length: int) -> None:
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ValueError(f"length should be a positive integer, in pixels, got {length!r}")
        self.length = length

    def mix_checked(self, batch_inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        height, width = batch_inputs.shape[2:]
        boxes = self.boxes(len(batch_inputs), height, width, self.seeded())
        holes = box_mask(boxes.to(batch_inputs.device, non_blocking=True), height, width)
        # Not `masked_fill`, which loses the memory format.
        return batch_inputs.clone().masked_fill_(holes[:, None], 0), scores

    def boxes(self, samples: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """The holes ``(y1, x1, y2, x2)``, half-open, inside the image: int64 (N, 4) on the CPU."""
        sides = torch.tensor([height, width])
        centres = torch.stack([torch.randint(int(side), (samples,), generator=generator) for side in sides], 1)
        first = centres - self.length // 2
        return torch.cat((first.clamp(min=0), torch.minimum(first + self.length, sides)), 1)
