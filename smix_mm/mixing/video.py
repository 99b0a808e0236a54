"""SaliencyMix for video: one λ and one box a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from ..saliency import FineGrainedSaliency, SaliencyDetector, build_detector
from ..saliency.base import check_uint8_images
from ..utils.choices import check_option
from .functional import as_images, as_scores
from .options import mix_options
from .patch import blend_targets, paste
from .plan import draw_mix, plan_mix
from .scheme import Scheme

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
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste the most salient patch of one clip on another, as a tube through all of its frames.

    Each clip gets one λ and one box, which serves every frame of it: a box of each frame's own
    would jump about, and a label weight per frame would be no label of the clip. (One box through
    all frames is also what spatial VideoMix does: Yun et al., arXiv 2012.03457.) Frame t of a clip
    gets frame t of its partner. The paper has no video; everything else is as at
    :func:`smix_mm.saliency_mix`, and for clips of one frame the two give the same.

    Args:
        clips: floating or uint8 (N, T, C, H, W), T at least 1, H and W at least 3.
        targets: scores (N, K), or class numbers (N,) together with ``num_classes``.
        images: uint8 RGB (N, T', 3, H, W), the frames that the detector looks at; T' need not
            be T. Left out, they are those of ``clips``, where that is uint8 or floats in [0, 1].
        frames: ``'middle'``, frame T' // 2: the nearest to all others in time, at the cost of one
            map a clip. ``'mean'``, the mean of the maps of all frames: what is salient throughout,
            at the cost of T' maps.
        num_classes, detector, alpha, source, target, border, box_per, lam_per, ties, generator:
            as for :func:`smix_mm.saliency_mix`.

    Returns:
        ``(mixed_clips, mixed_targets)``, both new. Clips of the dtype and device of ``clips``,
        contiguous; targets floating (N, K), each weight the pasted pixels over all, exact.

    Raises:
        TypeError: a tensor of another dtype, or something that is no tensor.
        ValueError: a shape, an option, alpha, a class number or a pixel value is not as above.
    """
    _check_clips(clips)
    check_option("frames", frames, FRAMES)
    options = mix_options(alpha, source, target, border, box_per, lam_per, ties)
    scores = as_scores(targets, len(clips), num_classes)
    _check_uint8_images(uint8_images, clips)
    uint8_images = clips if uint8_images is None else uint8_images
    if len(clips) == 0:
        return clips.clone(), scores.clone()
    detector = build_detector(FineGrainedSaliency() if detector is None else detector)
    if frames == "middle":
        uint8_images = as_images(uint8_images[:, uint8_images.shape[1] // 2])
    else:
        # The frames of a clip lie in its channels, so that they are picked and paired as one image.
        uint8_images = as_images(uint8_images.flatten(0, 1)).view(len(clips), -1, *clips.shape[-2:])
        detector = _MeanOverFrames(detector)
    scheme = Scheme(source, target, ties)
    draw = draw_mix(len(clips), options["alpha"], generator)
    plan = plan_mix(uint8_images, draw, scheme, detector, border, box_per, lam_per)
    mixed = paste(clips.flatten(1, 2), plan.partner, plan.source_boxes, plan.target_boxes, plan.same_place)
    mixed_scores = blend_targets(scores, plan.partner.to(scores.device), plan.pasted.to(scores.device), plan.pixels)
    return mixed.view(clips.shape), mixed_scores


class _MeanOverFrames(SaliencyDetector):
    """The mean of another detector's maps over the frames of a clip, (N, T * 3, H, W)."""

    def __init__(self, detector: SaliencyDetector) -> None:
        self.detector = detector

    def saliency(self, images: Tensor) -> Tensor:
        maps = self.detector.saliency(images.reshape(-1, 3, *images.shape[-2:]))
        return maps.view(len(images), -1, *maps.shape[-2:]).mean(1)


def _check_clips(clips: Tensor) -> None:
    if not isinstance(clips, Tensor) or not (clips.is_floating_point() or clips.dtype == torch.uint8):
        given = clips.dtype if isinstance(clips, Tensor) else type(clips).__name__
        raise TypeError(f"clips is {given}; wanted a floating or uint8 tensor (N, T, C, H, W)")
    if clips.dim() != 5 or clips.shape[1] < 1 or min(clips.shape[3:]) < 3:
        raise ValueError(
            f"clips has shape {tuple(clips.shape)}; wanted (N, T, C, H, W) with T at least 1, H and W at least 3"
        )


def _check_uint8_images(uint8_images: Tensor | None, clips: Tensor) -> None:
    if uint8_images is None:
        if clips.shape[2] != 3:
            raise ValueError(
                f"clips has {clips.shape[2]} channels, and saliency needs RGB; give uint8_images, uint8 (N, T, 3, H, W)"
            )
        return
    wanted = f"wanted (N, T, 3, H, W), as many and as large as clips, {tuple(clips.shape)}"
    if isinstance(uint8_images, Tensor) and (uint8_images.dim() != 5 or uint8_images.shape[1] < 1):
        raise ValueError(f"uint8_images has shape {tuple(uint8_images.shape)}; {wanted}")
    check_uint8_images(uint8_images.flatten(0, 1) if isinstance(uint8_images, Tensor) else uint8_images, "uint8_images")
    if len(uint8_images) != len(clips) or uint8_images.shape[3:] != clips.shape[3:]:
        raise ValueError(f"uint8_images has shape {tuple(uint8_images.shape)}; {wanted}")
