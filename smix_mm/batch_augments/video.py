"""SaliencyMix for MMAction2, whose data preprocessor has an option ``blending`` for mixing batches."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Mapping, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from ..mixing.functional import saliency_mix_video
from ..mixing.plan import MixOptions, own_generator
from ..saliency import SaliencyDetector, build_detector
from ..saliency.normalization import Unnormalize
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.tensors import check_images


# In mmengine's registry, the parent of MMAction2's, so that MMAction2 finds it and this module can be imported
# without MMAction2.
@MODELS.register_module()
class VideoSaliencyMix:
    """SaliencyMix as a ``blending`` of MMAction2's data preprocessor: one box a clip.

    ``data_preprocessor=dict(type='ActionDataPreprocessor', ..., blending=dict(
    type='VideoSaliencyMix', num_classes=400))``; it can also be one of ``RandomBatchAugment``'s. For the
    method see :func:`smix_mm.saliency_mix_video`.

    Args:
        num_classes: number of classes of the data set.
        channel_order: ``'rgb'`` or ``'bgr'``, of the batch. Defaults to ``'rgb'``,
            the order of MMAction2's video decoders.
        saliency, mean, std: as for :class:`~smix_mm.batch_augments.SaliencyMix`, but no grey images.
        **options: as for :class:`~smix_mm.batch_augments.SaliencyMix`.

    λ and partners are drawn from the object's own CPU generator, seeded at its first call from ``torch.initial_seed()``
    and the rank.

    Raises:
        ValueError: an argument is not as above.
    """

    def __init__(
        self,
        num_classes: int,
        saliency: Mapping[str, Any] | SaliencyDetector = {"type": "FineGrainedSaliency"},  # noqa: B006
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        channel_order: str = "rgb",
        **options: Any,
    ) -> None:
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f"num_classes should be a positive integer, got {num_classes!r}")
        self.num_classes = num_classes
        self.options = MixOptions(**options)
        self.detector = build_detector(saliency)
        advice = "give VideoSaliencyMix the same mean and std as the data preprocessor"
        self.unnormalize = Unnormalize(mean, std, channel_order, advice=advice)
        self.generator: torch.Generator | None = None

    def __call__(self, imgs: Tensor, batch_data_samples: Sequence[Any]) -> tuple[Tensor, Sequence[Any]]:
        """Mix a batch and write the mixed label into each sample.

        Args:
            imgs: see :meth:`do_blending`.
            batch_data_samples: N samples with ``gt_label``, one class number (1,) or scores (K,),
                and ``set_gt_label``.

        Returns:
            the mixed clips, and the same samples, whose ``gt_label`` is now floating-point scores (K,).
        """
        labels = torch.stack([torch.as_tensor(sample.gt_label).reshape(-1) for sample in batch_data_samples])
        labels = labels.to(imgs.device)
        mixed, scores = self.do_blending(imgs, labels[:, 0] if labels.shape[1] == 1 else labels)
        for sample, score in zip(batch_data_samples, scores):
            sample.set_gt_label(score)
        return mixed, batch_data_samples

    def do_blending(self, imgs: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch, as ``RandomBatchAugment`` calls it.

        Args:
            imgs: normalized, floating-point, (N, T, 3, H, W) for 2D recognizers, or
                (N, M, 3, T, H, W), M clips of T frames, for 3D recognizers. Not changed.
            label: scores (N, K), or class numbers (N,).

        Returns:
            ``(mixed_imgs, mixed_scores)``, both new; one box for all M clips of a video.

        Raises:
            TypeError, ValueError: an argument is not as above; or contains NaN or infinity; or its
                unnormalized values are not pixels, as with a wrong ``mean`` or ``std``.
        """
        uint8_images = self.uint8_images(imgs)
        if label.dim() == 2 and label.shape[1] != self.num_classes:
            raise ValueError(f"label should have num_classes={self.num_classes} columns, got {label.shape[1]}")
        if self.generator is None:
            self.generator = own_generator()
        # All frames of all clips of a video share one box, so they are given as one clip.
        mixed, mixed_scores = saliency_mix_video(
            imgs.flatten(1, -3).unsqueeze(2),
            label,
            uint8_images=uint8_images,
            num_classes=self.num_classes,
            detector=self.detector,
            generator=self.generator,
            **asdict(self.options),
        )
        return mixed.view(imgs.shape), mixed_scores

    def uint8_images(self, imgs: Tensor) -> Tensor:
        """The detector's input, uint8 RGB (N, 1, 3, H, W), of the middle frames of :meth:`do_blending`'s ``imgs``."""
        check_images(imgs, "N, T, 3, H, W", "N, M, 3, T, H, W", dtype="floating-point", name="imgs")
        clips = imgs if imgs.dim() == 5 else imgs.transpose(2, 3).flatten(1, 2)
        return self.unnormalize(clips[:, clips.shape[1] // 2])[:, None]
