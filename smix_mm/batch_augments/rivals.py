"""ResizeMix and GuidedMixup as batch augmentations of mmpretrain."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing.guided import guided_mixup
from ..mixing.resize import check_tau, resize_mix
from ..saliency import SaliencyDetector, build_detector
from ..saliency.normalization import Unnormalize
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from .base import BatchAugment


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
