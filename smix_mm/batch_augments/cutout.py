"""Cutout as its paper describes it."""

from __future__ import annotations

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing.functional import as_scores
from ..mixing.patch import box_mask
from ..mixing.plan import own_generator
from ..utils.tensors import check_images


@BATCH_AUGMENTS.register_module()
class Cutout:
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
        The centres are drawn from the augmentation's own CPU generator, seeded at its first call from
        ``torch.initial_seed()`` and the rank.
    """

    def __init__(self, length: int) -> None:
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ValueError(f"length should be a positive integer, in pixels, got {length!r}")
        self.length = length
        self.generator: torch.Generator | None = None

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Cut a batch.

        Args:
            batch_inputs: normalized, floating-point (N, 3, H, W), H and W at least 3; not changed.
            batch_scores: scores (N, K), floating-point or one-hot integers.

        Returns:
            ``(cut_inputs, scores)``; the inputs new, of the same dtype, device and memory format;
            the scores floating-point.

        Raises:
            TypeError, ValueError: an argument is not as above.
        """
        return self.mix(batch_inputs, batch_scores)

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Same as calling the object, under the name of mmpretrain's batch augmentations."""
        check_images(batch_inputs, "N, 3, H, W", dtype="floating-point", name="batch_inputs")
        scores = as_scores(batch_scores, len(batch_inputs), None)
        if self.generator is None:
            self.generator = own_generator()
        height, width = batch_inputs.shape[2:]
        boxes = self.boxes(len(batch_inputs), height, width, self.generator)
        holes = box_mask(boxes.to(batch_inputs.device, non_blocking=True), height, width)
        # Not `masked_fill`, which loses the memory format.
        return batch_inputs.clone().masked_fill_(holes[:, None], 0), scores

    def boxes(self, samples: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """The holes ``(y1, x1, y2, x2)``, half-open, inside the image: int64 (N, 4) on the CPU."""
        sides = torch.tensor([height, width])
        centres = torch.stack([torch.randint(int(side), (samples,), generator=generator) for side in sides], 1)
        first = centres - self.length // 2
        return torch.cat((first.clamp(min=0), torch.minimum(first + self.length, sides)), 1)
