"""SaliencyMix as a batch augmentation of mmpretrain, and its control with the maps of other images."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing.functional import apply_mix, expand_grey, grey_to_rgb
from ..mixing.plan import MixNumbers, MixOptions, draw_mix, mix_numbers
from ..saliency import SaliencyDetector, build_detector
from ..saliency.base import GivenSaliency
from ..saliency.normalization import Unnormalize
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from .base import BatchAugment


class _SaliencyMix(BatchAugment):
    def __init__(
        self,
        saliency: Mapping[str, Any] | SaliencyDetector = {"type": "FineGrainedSaliency"},  # noqa: B006
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        channel_order: str = "rgb",
        **options: Any,
    ) -> None:
        self.options = MixOptions(**options)
        self.detector = build_detector(saliency)
        advice = "give SaliencyMix the same mean and std as the data preprocessor"
        mean, std, self.channels = expand_grey(mean, std)
        self.unnormalize = Unnormalize(mean, std, channel_order, advice=advice)

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor, maps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Same as calling the object, under the name of mmpretrain's batch augmentations.

        Args:
            batch_inputs, batch_scores: as for calling the object.
            maps: float32 (N, H, W), saliency maps to use in place of the detector's, such as those of the images before
                a crop; in [0, 1], negative where no pixel may be chosen. Defaults to None.
        """
        return super().mix(batch_inputs, batch_scores, maps)

    def mix_checked(self, batch_inputs: Tensor, scores: Tensor, maps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        numbers = self.draw(len(batch_inputs), *batch_inputs.shape[2:])
        return self.apply(batch_inputs, scores, numbers.to(batch_inputs.device), maps)

    def draw(self, samples: int, height: int, width: int) -> MixNumbers:
        """Draw the random numbers for the mix of a batch of ``samples`` images, on the CPU."""
        return mix_numbers(draw_mix(samples, self.options.alpha, self.seeded()), height, width, self.options)

    def apply(
        self, batch_inputs: Tensor, batch_scores: Tensor, numbers: MixNumbers, maps: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch with random numbers that were drawn before, without checks of the arguments.

        Args:
            batch_inputs, maps: as for :meth:`mix`.
            batch_scores: floating-point (N, K), on the same device.
            numbers: from :meth:`draw`, on the same device.
        """
        seen = self.detector_input(batch_inputs, maps)
        detector = self.detector if maps is None else GivenSaliency()
        return apply_mix(batch_inputs, batch_scores, seen, numbers, self.options, detector)

    def detector_input(self, batch_inputs: Tensor, maps: Tensor | None = None) -> Any:
        """The detector's input: the maps if given; else :meth:`uint8_images`, or a batch that it reads normalized."""
        if maps is not None:
            return maps[:, None]
        return self.unnormalize.for_detector(grey_to_rgb(batch_inputs), self.detector)

    def uint8_images(self, batch_inputs: Tensor) -> Tensor:
        """uint8 RGB (N, 3, H, W) from a normalized batch."""
        return self.unnormalize(grey_to_rgb(batch_inputs))


@BATCH_AUGMENTS.register_module()
class SaliencyMix(_SaliencyMix):
    r"""SaliencyMix: cut the most salient patch of one image and paste it on another.

    The method as the paper describes it: `SaliencyMix: A Saliency Guided Data Augmentation
    Strategy for Better Regularization <https://arxiv.org/abs/2006.01791>`_ (ICLR 2021),
    section 3. The released code's behaviour is :class:`OfficialSaliencyMix`.

    mmpretrain mixes after normalization, so the detector's images are recomputed from the normalized ones:
    ``round(x * std + mean)``, clipped to 0..255. λ and partners are drawn from the augmentation's own CPU generator,
    see :class:`~smix_mm.batch_augments.base.BatchAugment`.

    Args:
        saliency: the saliency detector or its config. Defaults to ``dict(type='FineGrainedSaliency')``.
        mean: the data preprocessor's ``mean``, three numbers, or one for grey images. Defaults to ImageNet's.
        std: the data preprocessor's ``std``, as many positive numbers. Defaults to ImageNet's.
        channel_order: ``'rgb'`` or ``'bgr'``, of the batch
            (RGB where the data preprocessor has ``to_rgb=True`` and images are read from files).
            Defaults to ``'rgb'``.
        **options: ``alpha``, ``source``, ``target``, ``border``, ``box_per``, ``lam_per``, ``ties`` and ``label`` of
            :class:`~smix_mm.mixing.MixOptions`. Default to the paper's method.

    Raises:
        ValueError: an argument is not as above.
    """


@BATCH_AUGMENTS.register_module()
class ShuffledSaliencyMix(_SaliencyMix):
    """SaliencyMix with boxes from the map of another image: a control, which is not in the paper.

    A patch of image j lies around the peak of image j - 1 of the batch. Over shuffled batches its
    place, and with ``border='clip'`` its area, have the same distribution as in :class:`SaliencyMix`,
    such as a preference for borders or for the middle, but do not depend on the image's content.
    With the same seed, partners and λ are the same, too. With ``source='random'`` the boxes are the same; the weights
    of ``label='saliency'`` come from the other image's map too.

    Arguments and errors are those of :class:`SaliencyMix`. It is not a subclass of it, because code that draws the
    boxes of a SaliencyMix would draw wrong ones.
    """

    def detector_input(self, batch_inputs: Tensor, maps: Tensor | None = None) -> Any:
        order = torch.arange(len(batch_inputs), device=batch_inputs.device).roll(1)
        return super().detector_input(batch_inputs, maps)[order]
