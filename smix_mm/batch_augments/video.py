"""SaliencyMix for MMAction2, whose data preprocessor calls a batch's mixing ``blending``."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from ..mixing.generator import own_generator
from ..mixing.options import mix_options
from ..mixing.video import FRAMES, saliency_mix_video
from ..saliency import SaliencyDetector, build_detector
from ..saliency.unnormalize import Unnormalize
from ..utils.choices import check_option


# mmengine's own registry is the parent of MMAction2's, so the name is found there, and this
# module imports where MMAction2 is absent.
@MODELS.register_module()
class VideoSaliencyMix:
    """SaliencyMix as a ``blending`` of MMAction2's data preprocessor: one box a clip.

    ``data_preprocessor=dict(type='ActionDataPreprocessor', ..., blending=dict(
    type='VideoSaliencyMix', num_classes=400))``; it also goes into ``RandomBatchAugment``. What is
    mixed is said at :func:`smix_mm.saliency_mix_video`.

    Args:
        num_classes: of the data set, for class numbers.
        alpha: positive; λ ~ Beta(alpha, alpha). Defaults to 1.0.
        saliency: config of the detector. Defaults to ``dict(type='FineGrainedSaliency')``.
        frames: ``'middle'`` or ``'mean'``, which frames the detector looks at. Defaults to
            ``'middle'``.
        mean: the data preprocessor's ``mean``, three numbers. Defaults to ImageNet's.
        std: the data preprocessor's ``std``, three positive numbers. Defaults to ImageNet's.
        channel_order: ``'rgb'`` or ``'bgr'``, of the tensor that is given. Defaults to ``'rgb'``,
            which MMAction2's video decoders give.
        options: ``source``, ``target``, ``border``, ``box_per``, ``lam_per``, ``ties`` of
            :func:`smix_mm.saliency_mix`.

    Raises:
        ValueError: an option has none of these values.

    .. note::
        λ and partners come from a CPU generator of its own, seeded at its first call from
        ``torch.initial_seed()`` and the rank.
    """

    def __init__(
        self,
        num_classes: int,
        alpha: float = 1.0,
        saliency: Mapping[str, Any] | SaliencyDetector = {"type": "FineGrainedSaliency"},  # noqa: B006
        frames: str = "middle",
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        channel_order: str = "rgb",
        **options: str,
    ) -> None:
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes!r}; wanted the number of classes, such as 400")
        check_option("frames", frames, FRAMES)
        self.num_classes = num_classes
        self.frames = frames
        self.options = mix_options(alpha=alpha, **options)
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
            the mixed clips, and the same samples, their ``gt_label`` now floating scores (K,).
        """
        labels = torch.stack([torch.as_tensor(sample.gt_label).reshape(-1) for sample in batch_data_samples])
        labels = labels.to(imgs.device)
        mixed, scores = self.do_blending(imgs, labels[:, 0] if labels.shape[1] == 1 else labels)
        for sample, score in zip(batch_data_samples, scores):
            sample.set_gt_label(score)
        return mixed, batch_data_samples

    def do_blending(self, imgs: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch; ``RandomBatchAugment`` calls this.

        Args:
            imgs: normalised floats, (N, T, 3, H, W) as 2D recognisers take them, or
                (N, M, 3, T, H, W), M clips of T frames, as 3D recognisers do. Never changed.
            label: scores (N, K), or class numbers (N,).

        Returns:
            ``(mixed_imgs, mixed_scores)``, both new; one box for all M clips of a video.

        Raises:
            TypeError, ValueError: something is not as above; NaN or infinity; or un-normalised
                values that are no image, which points to ``mean`` and ``std``.
        """
        uint8_images = self.uint8_images(imgs)
        if label.dim() == 2 and label.shape[1] != self.num_classes:
            raise ValueError(f"labels have {label.shape[1]} scores; wanted num_classes={self.num_classes}")
        if self.generator is None:
            self.generator = own_generator()
        # All frames of all clips of a video share one box, so they may lie in one row.
        mixed, mixed_scores = saliency_mix_video(
            imgs.flatten(1, -3).unsqueeze(2),
            label,
            uint8_images=uint8_images,
            num_classes=self.num_classes,
            detector=self.detector,
            frames=self.frames,
            generator=self.generator,
            **self.options,
        )
        return mixed.view(imgs.shape), mixed_scores

    def uint8_images(self, imgs: Tensor) -> Tensor:
        """The frames that the detector looks at: uint8 RGB (N, T', 3, H, W), T' 1 for ``'middle'``."""
        if not isinstance(imgs, Tensor) or not imgs.is_floating_point():
            given = imgs.dtype if isinstance(imgs, Tensor) else type(imgs).__name__
            raise TypeError(f"the batch is {given}; wanted a floating tensor (N, T, 3, H, W), normalised")
        if imgs.dim() not in (5, 6) or imgs.shape[2] != 3 or 0 in imgs.shape[1:] or min(imgs.shape[-2:]) < 3:
            raise ValueError(
                f"the batch has shape {tuple(imgs.shape)}; wanted (N, T, 3, H, W) or (N, M, 3, T, H, W), "
                "H and W at least 3"
            )
        clips = imgs if imgs.dim() == 5 else imgs.transpose(2, 3).flatten(1, 2)
        if self.frames == "middle":
            middle = clips.shape[1] // 2
            clips = clips[:, middle : middle + 1]
        return self.unnormalize(clips.flatten(0, 1)).view(*clips.shape)
