"""Cutout, ResizeMix and GuidedMixup as batch augmentations of mmpretrain."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing.patch import box_mask
from ..mixing.rivals import check_tau, guided_mixup, resize_mix
from ..saliency import SaliencyDetector, build_detector
from ..saliency.normalization import Unnormalize
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from .base import BatchAugment


@BATCH_AUGMENTS.register_module()
class Cutout(BatchAugment):
    """Cut a square hole into every image and fill it with the data set's mean.

    The hole's centre is uniform over the image, so the hole may cross a border, where it is cut off.
    Labels are unchanged. `Improved Regularization of Convolutional Neural Networks with Cutout
    <https://arxiv.org/abs/1708.04552>`_ (DeVries and Taylor 2017), section 3.2.

    It works on the normalized batch, where the mean is exactly zero. The centres are drawn from the augmentation's own
    CPU generator, see :class:`~smix_mm.batch_augments.base.BatchAugment`. (mmpretrain's transform of the same
    name is another method: it acts on every other image, fills with 128, and shifts or shrinks a hole at
    the border.)

    Args:
        length: side of the hole in pixels, positive. The paper's: 16 for CIFAR-10, 8 for CIFAR-100.

    Raises:
        ValueError: ``length`` is not a positive integer.
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


@BATCH_AUGMENTS.register_module()
class PaperResizeMix(BatchAugment):
    """ResizeMix as its paper defines it, for each image; see :func:`smix_mm.resize_mix`.

    mmpretrain's ``ResizeMix`` is another distribution: 0.1 to 0.8 are there bounds of λ, so that a side is
    ``sqrt(1 - λ)``, 0.45 to 0.95 of the image's; the box lies around a uniform centre and is cut off at the borders,
    and the partner is squeezed into what is left of it; one box serves the batch. With ``cutmix_minmax=[0.1, 0.8]`` its
    sides are right, but height and width are drawn separately.

    Args:
        tau: smallest and largest side of the pasted image over that of the target, in 0 to 1. Defaults to the paper's
            (0.1, 0.8).

    Raises:
        ValueError: ``tau`` is not as above.
    """

    def __init__(self, tau: Sequence[float] = (0.1, 0.8)) -> None:
        self.tau = check_tau(tau)

    def mix_checked(self, batch_inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        return resize_mix(batch_inputs, scores, tau=self.tau, generator=self.seeded())


@BATCH_AUGMENTS.register_module()
class GuidedMixup(BatchAugment):
    """GuidedMixup: each pixel mixed in the ratio of the two images' saliency, see :func:`smix_mm.guided_mixup`.

    Args:
        saliency: the saliency detector or its config. Defaults to ``dict(type='SpectralResidualSaliency')``.
        mean, std, channel_order: as for :class:`SaliencyMix`, three numbers each.

    Raises:
        ValueError: an argument is not as above.
    """

    def __init__(
        self,
        saliency: Mapping[str, Any] | SaliencyDetector = {"type": "SpectralResidualSaliency"},  # noqa: B006
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        channel_order: str = "rgb",
    ) -> None:
        self.detector = build_detector(saliency)
        advice = "give GuidedMixup the same mean and std as the data preprocessor"
        self.unnormalize = Unnormalize(mean, std, channel_order, advice=advice)

    def mix_checked(self, batch_inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        return guided_mixup(batch_inputs, scores, uint8_images=self.unnormalize(batch_inputs), detector=self.detector)
