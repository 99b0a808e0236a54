"""SaliencyMix as one pure function of a batch of images or clips."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..saliency import FineGrainedSaliency, SaliencyDetector, build_detector
from ..saliency.base import GivenSaliency
from ..saliency.normalization import NormalizedImages
from ..utils.tensors import check_images
from .patch import blend_targets, paste, saliency_weights, weigh
from .plan import MixDraw, MixNumbers, MixOptions, draw_mix, plan_mix


def saliency_mix(
    images: Tensor,
    targets: Tensor,
    *,
    uint8_images: Tensor | NormalizedImages | None = None,
    num_classes: int | None = None,
    detector: SaliencyDetector | None = None,
    generator: torch.Generator | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Paste the most salient patch of one image on another and mix their labels by area.

    A permutation of the batch gives each image a partner. λ ~ Beta(alpha, alpha); the patch
    has the sides ``int(H * sqrt(1 - λ))`` and ``int(W * sqrt(1 - λ))`` and lies around the
    partner's most salient pixel, kept inside the image. It is pasted at the same place, and
    the label is the area-weighted mean of both. An image without any contrast has no salient
    pixel: its patch lies around a random one. An image that is its own partner, as in a batch
    of one, is returned unchanged with its own label.

    Source: Uddin et al., SaliencyMix, ICLR 2021 (arXiv 2006.01791), section 3.

    Args:
        images: floating-point or uint8 (N, C, H, W), H and W at least 3.
        targets: scores (N, K), or class numbers (N,) together with ``num_classes``.
        uint8_images: uint8 RGB (N, 3, H, W), the detector's input (or ``NormalizedImages``, for a
            detector that reads them). Defaults to ``images``, which then have to be RGB or grey (C = 3 or 1),
            uint8 or floats in [0, 1]; this range is checked, which waits for a GPU.
        num_classes: K, for class numbers.
        detector: the saliency detector. Defaults to :class:`~smix_mm.saliency.FineGrainedSaliency`.
        generator: a CPU generator. Defaults to torch's global one.
        **options: ``alpha``, ``source``, ``target``, ``border``, ``box_per``, ``lam_per``, ``ties`` and ``label`` of
            :class:`~smix_mm.mixing.MixOptions`. Default to the paper's method.

    Returns:
        ``(mixed_images, mixed_targets)``, both new. Images of the dtype, device and memory
        format of ``images``; targets floating-point (N, K), with
        ``label='area'`` each weight a number of pixels divided by H * W.

    Raises:
        TypeError: an argument is not a tensor, or a tensor of another dtype; or there is no such option.
        ValueError: a shape, an option, a class number or a pixel value is not as above.
    """
    check_images(images, "N, C, H, W")
    mix = MixOptions(**options)
    scores = as_scores(targets, len(images), num_classes)
    uint8_images = detector_images(images, uint8_images)
    if len(images) == 0:
        return images.clone(), scores.clone()
    detector = FineGrainedSaliency() if detector is None else build_detector(detector)
    return apply_mix(images, scores, uint8_images, draw_mix(len(images), mix.alpha, generator), mix, detector)


def saliency_mix_video(
    clips: Tensor, targets: Tensor, *, uint8_images: Tensor | None = None, **options: Any
) -> tuple[Tensor, Tensor]:
    """Paste the most salient patch of one clip on another, as a tube through all of its frames.

    Each clip gets one λ and one box for all of its frames: separate boxes would jump from frame to
    frame, and a label has one weight a clip. (Spatial VideoMix also has one box through all frames:
    Yun et al., arXiv 2012.03457.) Frame t of a clip gets frame t of its partner. The map is that of the middle frame,
    T // 2, which is nearest to all others in time. The paper has no video; everything else is as in
    :func:`smix_mm.saliency_mix`, and for clips of one frame the results are equal.

    Args:
        clips: floating-point or uint8 (N, T, C, H, W), T at least 1, H and W at least 3.
        targets: as for :func:`smix_mm.saliency_mix`.
        uint8_images: uint8 RGB (N, T', 3, H, W), the frames for the detector; T' may differ from T.
            Defaults to ``clips``, which then have to be RGB or grey, uint8 or floats in [0, 1].
        **options: all other arguments of :func:`smix_mm.saliency_mix`, as are the errors.

    Returns:
        ``(mixed_clips, mixed_targets)``, both new. Clips of the dtype and device of ``clips``,
        contiguous; targets floating-point (N, K), weighed as there.
    """
    check_images(clips, "N, T, C, H, W", name="clips")
    if uint8_images is None:
        uint8_images = clips
    else:
        check_images(uint8_images, "N, T, 3, H, W", dtype="uint8", name="uint8_images")
        if len(uint8_images) != len(clips) or uint8_images.shape[3:] != clips.shape[3:]:
            raise ValueError(
                f"uint8_images should have the number and size of clips, {tuple(clips.shape)}, "
                f"got {tuple(uint8_images.shape)}"
            )
    middle = to_uint8_images(uint8_images[:, uint8_images.shape[1] // 2], "clips")
    mixed, mixed_targets = saliency_mix(clips.flatten(1, 2), targets, uint8_images=middle, **options)
    return mixed.view(clips.shape), mixed_targets


def apply_mix(
    images: Tensor,
    scores: Tensor,
    uint8_images: Any,
    draw: MixDraw | MixNumbers,
    options: MixOptions,
    detector: SaliencyDetector,
) -> tuple[Tensor, Tensor]:
    """:func:`saliency_mix` without its checks and its draw.

    Args:
        images, detector: as there.
        scores: floating-point (N, K), on the images' device or the CPU.
        uint8_images: as there, or what else ``detector`` reads.
        draw: see :func:`~smix_mm.mixing.plan_mix`; with numbers on the images' device nothing is copied to a GPU.
        options: all but ``alpha`` are used.
    """
    maps = None
    if options.label == "saliency":
        normalized = isinstance(uint8_images, NormalizedImages)
        maps = detector.saliency(uint8_images.to_uint8() if normalized else uint8_images)
        # The boxes follow from the same maps.
        uint8_images, detector = maps[:, None], GivenSaliency()
    plan = plan_mix(uint8_images, draw, options, detector)
    mixed = paste(images, plan.partner, plan.source_boxes, plan.target_boxes, plan.same_place)
    partner = plan.partner.to(scores.device)
    if maps is None:
        return mixed, blend_targets(scores, partner, plan.pasted.to(scores.device), plan.pixels)
    own = saliency_weights(maps, plan.partner, plan.source_boxes, plan.target_boxes)
    return mixed, weigh(scores, scores[partner], own, 1 - own)


def detector_images(images: Tensor, uint8_images: Tensor | NormalizedImages | None) -> Tensor | NormalizedImages:
    """``uint8_images``, checked, or those made of ``images`` if it is None."""
    if uint8_images is None:
        return to_uint8_images(images)
    if not isinstance(uint8_images, NormalizedImages):
        check_images(uint8_images, "N, 3, H, W", dtype="uint8", name="uint8_images")
    if uint8_images.shape[0] != images.shape[0] or uint8_images.shape[2:] != images.shape[2:]:
        raise ValueError(
            "uint8_images should have the number and size of images, "
            f"{tuple(images.shape)}, got {tuple(uint8_images.shape)}"
        )
    return uint8_images


def as_scores(targets: Tensor, samples: int, num_classes: int | None) -> Tensor:
    """Floating-point scores (N, K) from scores (N, K), or from class numbers (N,) and ``num_classes``."""
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets should be a tensor, got {type(targets).__name__}")
    if targets.is_complex():
        raise TypeError(f"targets should be real scores (N, K) or class numbers (N,), got {targets.dtype}")
    if targets.dim() == 1 and num_classes is not None:
        targets = _one_hot(targets, num_classes)
    elif targets.dim() != 2:
        raise ValueError(
            f"targets should be scores (N, K), got shape {tuple(targets.shape)}; "
            "for class numbers (N,) give num_classes as well"
        )
    elif num_classes is not None and targets.shape[1] != num_classes:
        raise ValueError(
            f"targets should be scores with num_classes={num_classes} columns, got shape {tuple(targets.shape)}; "
            "class numbers have the shape (N,)"
        )
    if len(targets) != samples:
        raise ValueError(f"targets should have one row for each of the {samples} images, got {len(targets)} rows")
    if targets.shape[1] == 0:
        raise ValueError("targets should have at least one column, got none")
    return targets if targets.is_floating_point() else targets.to(torch.float32)


def _one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """bool (N, K), checked."""
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"targets (N,) should be integer class numbers, got {labels.dtype}")
    if not isinstance(num_classes, Integral):
        raise TypeError(f"num_classes should be an integer, got {num_classes!r}")
    if num_classes < 1:
        raise ValueError(f"num_classes should be at least 1, got {num_classes}")
    labels = labels.to(torch.int64)  # torch has no min and max of unsigned integers but uint8
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"targets should be class numbers from 0 to {num_classes - 1} for num_classes={num_classes}, "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    return labels[:, None] == torch.arange(num_classes, device=labels.device)


def to_uint8_images(
    images: Tensor, name: str = "images", way: str = "give it its RGB images before normalization as uint8_images"
) -> Tensor:
    """uint8 RGB (N, 3, H, W) from RGB or grey images, uint8 or floats in [0, 1].

    The messages have the argument's ``name`` and the ``way`` in which a user can give the detector other images.
    """
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"{name} should have 3 channels (RGB) or 1 (grey) for the detector, got {images.shape[1]}; or {way}"
        )
    if images.dtype == torch.uint8:
        return grey_to_rgb(images)
    values = images.to(torch.float32)
    if len(images) and not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError(
            f"{name} should be uint8, or floats from 0 to 1, for the detector, got floats outside that range; {way}"
        )
    return grey_to_rgb((values * 255).round().to(torch.uint8))


def grey_to_rgb(images: Tensor) -> Tensor:
    """Images with one channel get three equal ones, whose luma is that channel; others stay as they are."""
    return images.repeat(1, 3, 1, 1) if images.shape[1] == 1 else images


def expand_grey(mean: Any, std: Any) -> tuple[Any, Any, int]:
    """Mean and std of three channels and the images' number of channels, 1 if there is one number each, else 3."""
    grey = all(isinstance(values, (list, tuple)) and len(values) == 1 for values in (mean, std))
    return ([*mean] * 3, [*std] * 3, 1) if grey else (mean, std, 3)
