"""SaliencyMix for video: one λ and one box a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from ..saliency import FineGrainedSaliency, SaliencyDetector, build_detector
from ..utils.choices import check_option
from ..utils.tensors import check_images
from .functional import apply_mix, as_scores, to_uint8_images
from .plan import MixOptions, draw_mix

FRAMES = ("middle", "mean")


def saliency_mix_video(
    clips: Tensor,
    targets: Tensor,
    *,
    uint8_images: Tensor | None = None,
    num_classes: int | None = None,
    detector: SaliencyDetector | None = None,
    frames: str = "middle",
    alpha: float = 1.0,
    source: str = "salient",
    target: str = "corresponding",
    border: str = "shift",
    box_per: str = "sample",
    lam_per: str = "sample",
    ties: str = "first",
    label: str = "area",
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste the most salient patch of one clip on another, as a tube through all of its frames.

    Each clip gets one λ and one box for all of its frames: separate boxes would jump from frame to
    frame, and a label has one weight a clip. (Spatial VideoMix also has one box through all frames:
    Yun et al., arXiv 2012.03457.) Frame t of a clip gets frame t of its partner. The paper has no
    video; everything else is as in :func:`smix_mm.saliency_mix`, and for clips of one frame the
    results are equal.

    Args:
        clips: floating-point or uint8 (N, T, C, H, W), T at least 1, H and W at least 3.
        targets: scores (N, K), or class numbers (N,) together with ``num_classes``.
        uint8_images: uint8 RGB (N, T', 3, H, W), the frames for the detector; T' may differ from T.
            Defaults to ``clips``, which then have to be RGB or grey, uint8 or floats in [0, 1].
        frames: ``'middle'`` takes the map of frame T' // 2, which is nearest to all others in time.
            ``'mean'`` takes the mean of the maps of all T' frames, at T' times the cost. Defaults to
            ``'middle'``.
        num_classes, detector, alpha, source, target, border, box_per, lam_per, ties, label, generator:
            as for :func:`smix_mm.saliency_mix`.

    Returns:
        ``(mixed_clips, mixed_targets)``, both new. Clips of the dtype and device of ``clips``,
        contiguous; targets floating-point (N, K), weighed as there.

    Raises:
        TypeError: an argument is not a tensor, or a tensor of another dtype.
        ValueError: a shape, an option, alpha, a class number or a pixel value is not as above.
    """
    check_images(clips, "N, T, C, H, W", name="clips")
    check_option("frames", frames, FRAMES)
    options = MixOptions(alpha, source, target, border, box_per, lam_per, ties, label)
    scores = as_scores(targets, len(clips), num_classes)
    if uint8_images is None:
        uint8_images = clips
    else:
        check_images(uint8_images, "N, T, 3, H, W", dtype="uint8", name="uint8_images")
        if len(uint8_images) != len(clips) or uint8_images.shape[3:] != clips.shape[3:]:
            raise ValueError(
                f"uint8_images should have the number and size of clips, {tuple(clips.shape)}, "
                f"got {tuple(uint8_images.shape)}"
            )
    if frames == "middle":
        middle = uint8_images.shape[1] // 2
        uint8_images = uint8_images[:, middle : middle + 1]
    uint8_images = to_uint8_images(uint8_images.flatten(0, 1), "clips")
    if len(clips) == 0:
        return clips.clone(), scores.clone()
    detector = FineGrainedSaliency() if detector is None else build_detector(detector)
    if frames == "mean":
        # The frames of a clip become channels of one image, so that they stay together in every index.
        uint8_images = uint8_images.reshape(len(clips), -1, *clips.shape[-2:])
        detector = _MeanOverFrames(detector)
    draw = draw_mix(len(clips), options.alpha, generator)
    mixed, mixed_scores = apply_mix(clips.flatten(1, 2), scores, uint8_images, draw, options, detector)
    return mixed.view(clips.shape), mixed_scores


class _MeanOverFrames(SaliencyDetector):
    """The mean of another detector's maps over the frames of a clip, (N, T * 3, H, W)."""

    def __init__(self, detector: SaliencyDetector) -> None:
        self.detector = detector

    def saliency(self, images: Tensor) -> Tensor:
        maps = self.detector.saliency(images.reshape(-1, 3, *images.shape[-2:]))
        return maps.view(len(images), -1, *maps.shape[-2:]).mean(1)
